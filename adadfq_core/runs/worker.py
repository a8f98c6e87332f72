"""The process of one run: `python -m adadfq_core.runs.worker ROOT RUN_ID`."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
import traceback
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from types import FrameType

import numpy as np
import torch
from torch import Tensor

from adadfq_core.embedding.events import Dropped, Failed, Fitted, Transformed
from adadfq_core.embedding.features import real_features
from adadfq_core.embedding.service import EmbeddingService
from adadfq_core.embedding.settings import ProjectionSettings
from adadfq_core.errors import InputError, RunFailed
from adadfq_core.game.step import Outcome
from adadfq_core.home import cache_folder
from adadfq_core.runs.control import refresh
from adadfq_core.runs.loading import checkpoint_state, load_real_images, make_trainer
from adadfq_core.runs.process import identity
from adadfq_core.runs.recorder import Recorder
from adadfq_core.runs.records import Command, CommandKind, RecordKind, RunStatus
from adadfq_core.runs.resumption import last_whole_checkpoint
from adadfq_core.runs.retention import prune
from adadfq_core.runs.store import RunStore
from adadfq_core.runs.writer import RunWriter
from adadfq_core.settings import change_live
from adadfq_core.training import checkpoints
from adadfq_core.training.examination import Score
from adadfq_core.training.loop import train
from adadfq_core.training.trainer import HalfMove
from adadfq_core.zoo.evaluation_data import EvaluationData
from adadfq_core.zoo.formats import ImageFormat
from adadfq_core.zoo.loading import load_float_network, unnamed_classes

REAL_SAMPLES = 1000
# Pictures that could not be read, of which the log keeps the names.
LISTED_PICTURES = 100
PAUSE_POLL_SECONDS = 0.03
LAST_EMBEDDING_SECONDS = 20.0
# Below the page's server, so that the page stays quick while all cores train.
NICENESS = 5


class Stopped(Exception):
    """The run was asked to stop."""


class Worker:
    """Runs one run to its end: an `Observer` of the training loop that obeys commands."""

    def __init__(self, root: Path, run_id: str, writer: RunWriter) -> None:
        store = RunStore(root)
        info = store.info(run_id)
        self._store = store
        self._run_id = run_id
        self._writer = writer
        self._paused = False
        self._steps_left = 0
        self._halves_left = 0
        self._stop = False
        torch.set_num_threads(info.settings.threads)
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        loaded = load_float_network(info.settings)
        self._data, self._lessons = (
            None if part is None else part.to(device)
            for part in load_real_images(info.settings, loaded.images, loaded.data)
        )
        self._trainer = make_trainer(info.settings, loaded, device, self._lessons)
        if store.latest(run_id, RecordKind.NETWORK) is None:
            self._tell_what_was_loaded(loaded.images)
        log = store.read(
            run_id, kinds=[RecordKind.PARAMETERS, RecordKind.STEP, RecordKind.EVALUATION]
        ).records
        resumed_at = (0, 0)
        if store.latest(run_id, RecordKind.CHECKPOINT) is not None:
            checkpoint, notice = last_whole_checkpoint(store, run_id)
            self._trainer.load_state_dict(checkpoint_state(store, checkpoint))
            resumed_at = (checkpoint.iteration, checkpoint.seq)
            if notice:
                writer.append(RecordKind.NOTICE, checkpoint.iteration, {"text": notice})
        # Changes made after the checkpoint hold again from the iteration at which they did.
        self._replay = [
            (record.iteration, record.data["changes"])
            for record in log
            if record.kind == RecordKind.PARAMETERS and (record.iteration, record.seq) > resumed_at
        ]
        recorded = {
            kind: record.iteration
            for kind in (
                RecordKind.STEP,
                RecordKind.VALUE,
                RecordKind.IMAGES,
                RecordKind.EMBEDDING,
            )
            if (record := store.latest(run_id, kind)) is not None
        }
        measured = {
            (r.iteration, r.data["network"]) for r in log if r.kind == RecordKind.EVALUATION
        }
        steps = [r for r in log if r.kind == RecordKind.STEP]
        self._recorder = Recorder(
            writer,
            self._trainer,
            loaded.images,
            recorded,
            measured,
            steps[-1].data["seconds"] if steps else 0.0,
        )
        self._embedding: EmbeddingService | None = None
        self._real_labels = np.zeros(0, dtype=np.int64)
        self._embedded: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def _tell_what_was_loaded(self, images: ImageFormat) -> None:
        """Record the classes, what Q's quantization covers, and the data that measure it."""
        data = self._data
        classes = images.classes
        if data is not None and classes == unnamed_classes(len(classes)):
            classes = data.classes or classes
        coverage = [asdict(row) for row in self._trainer.players.q.coverage.rows]
        measured = None
        if data is not None:
            measured = {
                "spec": data.spec,
                "images": len(data.images),
                "skipped": list(data.skipped[:LISTED_PICTURES]),
                "skipped_count": len(data.skipped),
            }
        self._writer.append(
            RecordKind.NETWORK,
            0,
            {"classes": list(classes), "coverage": coverage, "data": measured},
        )
        for text in (*self._trainer.notices, *_notices_of_data(data, self._lessons)):
            self._writer.append(RecordKind.NOTICE, 0, {"text": text})

    def run(self) -> None:
        """Play until the end or a stop; the caller sets the final state."""
        self._writer.set_status(RunStatus.RUNNING)
        try:
            train(self._trainer, self._data, self)
            self._await_last_embedding()
        finally:
            if self._embedding is not None:
                self._embedding.close()

    def request_stop(self, _signal: int, _frame: FrameType | None) -> None:
        """Signal handler: stop before the next iteration."""
        self._stop = True

    def before_iteration(self) -> None:
        self._poll_embedding()
        for iteration, changes in self._replay:
            if iteration == self._trainer.iteration:
                self._trainer.change(change_live(self._trainer.settings, changes))
        self._obey()
        self._wait_in_slow_motion()
        self._wait_while_paused()
        if self._stop:
            self.checkpoint()
            raise Stopped
        if not self.wants_halves():
            self._steps_left = max(0, self._steps_left - 1)

    def _wait_in_slow_motion(self) -> None:
        """Hold as long as the setting says, obeying commands meanwhile."""
        began = time.monotonic()
        while not (self._paused or self._stop):
            left = began + self._trainer.settings.slow_motion / 1e3 - time.monotonic()
            if left <= 0:
                break
            time.sleep(min(left, PAUSE_POLL_SECONDS))
            self._obey()
        self._recorder.leave_out(time.monotonic() - began)

    def _wait_while_paused(self) -> None:
        paused_at = time.monotonic()
        while self._paused and not (self._steps_left or self._halves_left or self._stop):
            time.sleep(PAUSE_POLL_SECONDS)
            self._poll_embedding()
            self._obey()
        self._recorder.leave_out(time.monotonic() - paused_at)

    def wants_halves(self) -> bool:
        return self._halves_left > 0

    def half_played(self, move: HalfMove) -> None:
        self._recorder.half_played(move)
        self._halves_left = max(0, self._halves_left - 1)
        if move.player == "g":
            # A whole step, a resumption or a stop lets Q complete the iteration as well.
            self._wait_while_paused()
            if not self._halves_left:
                self._steps_left = max(0, self._steps_left - 1)

    def _obey(self) -> None:
        for command in self._writer.take_commands():
            error = self._apply(command)
            self._writer.mark_applied(command, self._trainer.iteration, error)

    def _apply(self, command: Command) -> str | None:
        """Do what `command` says; why not, if it is refused."""
        if command.kind == CommandKind.PAUSE:
            self._paused = True
            self._recorder.drain()
            self._writer.set_status(RunStatus.PAUSED)
        elif command.kind == CommandKind.RESUME:
            self._paused = False
            self._steps_left = self._halves_left = 0
            self._writer.set_status(RunStatus.RUNNING)
        elif command.kind == CommandKind.STEP:
            self._steps_left += command.payload.get("iterations", 0)
            self._halves_left += command.payload.get("halves", 0)
        elif command.kind == CommandKind.STOP:
            self._stop = True
        else:
            changes = command.payload["changes"]
            try:
                self._trainer.change(change_live(self._trainer.settings, changes))
            except InputError as error:
                return str(error)
            self._recorder.drain()
            self._writer.append(
                RecordKind.PARAMETERS, self._trainer.iteration, {"changes": changes}
            )
        return None

    def played(self, outcome: Outcome, milliseconds: float, value: Mapping[str, Tensor]) -> None:
        self._recorder.played(outcome, milliseconds, value)
        iteration = self._trainer.iteration
        if self._paused:
            self._recorder.drain()
        every = self._trainer.settings.embed_every
        if self._data is None or every == 0:
            return
        if self._embedding is None:
            # After the first point is out: the page shows life before the embedding is prepared.
            self._writer.flush()
            self._embedding = self._start_embedding(self._data)
        if iteration % every == 0 or self._trainer.finished:
            features, labels, adaptability = self._recorder.recent_samples()
            self._embedded[iteration] = (labels, adaptability)
            self._embedding.submit_transform(iteration, features)

    def _start_embedding(self, data: EvaluationData) -> EmbeddingService:
        service = EmbeddingService(cache_folder() / "embedding", ProjectionSettings())
        chosen = data.spread(REAL_SAMPLES)
        self._real_labels = data.labels.cpu()[chosen].numpy()
        features = real_features(self._trainer.players.p, data.images, chosen)
        service.submit_fit(features.numpy())
        return service

    def between_batches(self) -> None:
        self._poll_embedding()

    def evaluated(self, network: str, score: Score) -> None:
        self._recorder.evaluated(network, score)
        self._writer.flush()

    def checkpoint(self) -> None:
        self._recorder.drain()
        iteration = self._trainer.iteration
        state = self._trainer.state_dict()
        self._recorder.check_state(state)
        path = self._writer.checkpoints / f"{iteration:08d}.pt"
        digest = checkpoints.save(state, path)
        self._writer.append(RecordKind.CHECKPOINT, iteration, {"sha256": digest}, file=path)
        # Earlier ones go only when this one's record is safe.
        self._writer.flush()
        with contextlib.suppress(RunFailed):  # a busy disk: the next checkpoint tries again
            prune(self._store, self._run_id)

    def _poll_embedding(self) -> None:
        if self._embedding is None:
            return
        for event in self._embedding.poll():
            if isinstance(event, Fitted):
                labels = self._real_labels[event.rows]
                self._writer.append(
                    RecordKind.EMBEDDING,
                    self._trainer.iteration,
                    {"source": "real", "notice": event.notice, "method": event.method},
                    {"positions": event.positions, "labels": labels},
                )
            elif isinstance(event, Transformed):
                labels, adaptability = self._embedded.pop(event.tag)
                self._recorder.append(
                    RecordKind.EMBEDDING,
                    event.tag,
                    {"source": "synthetic", "notice": event.notice},
                    {
                        "positions": event.positions,
                        "labels": labels[event.rows],
                        "adaptability": adaptability[event.rows],
                    },
                )
            elif isinstance(event, Dropped):
                del self._embedded[event.tag]
            elif isinstance(event, Failed):
                if event.tag is None:
                    self._embedded.clear()
                else:
                    self._embedded.pop(event.tag, None)
                self._writer.append(
                    RecordKind.NOTICE, self._trainer.iteration, {"text": event.reason}
                )

    def _await_last_embedding(self) -> None:
        deadline = time.monotonic() + LAST_EMBEDDING_SECONDS
        last = self._trainer.iteration
        while last in self._embedded and time.monotonic() < deadline:
            time.sleep(PAUSE_POLL_SECONDS)
            self._poll_embedding()


def _notices_of_data(data: EvaluationData | None, lessons: EvaluationData | None) -> list[str]:
    """What the user should know of the real images, a sentence each."""
    if data is None:
        return [
            "No real images were given, so accuracy is not measured and there is no map; "
            "training needs none."
        ]
    told = []
    readable = len(data.images)
    if lessons is not None:
        readable += len(lessons.images)
        told.append(
            f"There is no generator: Q learns from {len(lessons.images):,} of the {readable:,} "
            "real images, every second one of each class, and P, the calibrated Q and Q are "
            f"measured on the other {len(data.images):,} alone."
        )
    if data.skipped:
        told.append(
            f"{len(data.skipped)} of {len(data.skipped) + readable} pictures could not be read "
            f"and are left out, the first being {data.skipped[0]}."
        )
    return told


def _lower_priority() -> None:
    if hasattr(os, "nice"):
        # What another run's process has started has the lower priority already.
        os.nice(max(0, NICENESS - os.nice(0)))


def main() -> int:
    """Run the run that the command line names, then let the next that waits start.

    The run's end and the reason stand in the store.
    """
    root, run_id = Path(sys.argv[1]), sys.argv[2]
    try:
        return _play_and_note(root, run_id)
    finally:
        # Else whoever looks at the store next does it.
        with contextlib.suppress(InputError, RunFailed):
            refresh(root)


def _play_and_note(root: Path, run_id: str) -> int:
    """Play a run and note in the store how it ends; the process's exit code."""
    # Before torch starts its threads: on Linux each inherits its niceness when it is created.
    _lower_priority()
    try:
        with RunWriter(root, run_id) as writer:
            status, reason = _play(root, run_id, writer)
            writer.set_status(status, reason)
    except (InputError, RunFailed) as error:
        # The store takes nothing any more: whoever finds the process gone reads its last words.
        print(error)
        return 1
    return int(status is RunStatus.FAILED)


def _play(root: Path, run_id: str, writer: RunWriter) -> tuple[RunStatus, str]:
    """Play a run as this process; the state in which it ends, and the reason if it fails."""
    own = identity(os.getpid())
    assert own is not None
    writer.attach(own.pid, own.started)
    try:
        worker = Worker(root, run_id, writer)
        signal.signal(signal.SIGTERM, worker.request_stop)
        worker.run()
        return RunStatus.FINISHED, ""
    except Stopped:
        return RunStatus.STOPPED, ""
    except (InputError, RunFailed) as error:
        print(error)
        return RunStatus.FAILED, str(error)
    except Exception as error:
        traceback.print_exc()
        return RunStatus.FAILED, f"{type(error).__name__}: {error}"


if __name__ == "__main__":
    sys.exit(main())
