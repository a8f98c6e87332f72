"""What plays one run on a machine of a Ray cluster; knows nothing of Ray itself."""

from __future__ import annotations

import contextlib
import threading
import time
from pathlib import Path
from typing import NamedTuple

from adadfq_core.ablation.executors.base import Evaluation, Job, evaluations_of
from adadfq_core.ablation.executors.guarded_folder import guarded_folder
from adadfq_core.errors import InputError, RunFailed
from adadfq_core.runs import control
from adadfq_core.runs.archive import export_run, import_run
from adadfq_core.runs.records import RecordKind, RunStatus

POLL_SECONDS = 0.2
FOLDER_PREFIX = "adadfq-cell-"


class News(NamedTuple):
    """Where a run stands: its iteration and all evaluations of the trained Q so far, in order."""

    iteration: int = 0
    evaluations: tuple[Evaluation, ...] = ()


class Outcome(NamedTuple):
    """How a run ended; `archive` is the whole run as one file's bytes, empty if none came about.

    `run_id` is its name in the archive.
    """

    run_id: str | None
    status: RunStatus
    reason: str
    news: News
    archive: bytes


class Player:
    """Plays one run in a folder of its own, by the ordinary worker process.

    `play` blocks until the run has ended; `news` and `stop` are for other threads meanwhile.
    """

    def __init__(self) -> None:
        self._news = News()
        self._stop = threading.Event()

    def play(self, job: Job, earlier: bytes) -> Outcome:
        """Play the run of `job` to its end; nothing of it is left on this machine then.

        Args:
            earlier: archive of `job.run_id`, which then goes on if it has a checkpoint, or empty.

        Raises:
            OSError: this machine has no room for a file or a process.
        """
        with guarded_folder(FOLDER_PREFIX) as folder:
            try:
                return self._play(folder / "runs", folder / "archive.zip", job, earlier)
            except (InputError, RunFailed) as error:
                return Outcome(None, RunStatus.FAILED, str(error), self._news, b"")

    def news(self) -> News:
        """Where the run stands."""
        return self._news

    def stop(self) -> None:
        """Ask the run to end after its iteration."""
        self._stop.set()

    def _play(self, root: Path, archive: Path, job: Job, earlier: bytes) -> Outcome:
        archive.write_bytes(earlier)
        run_id = _gone_on(root, archive) if earlier else None
        if run_id is None:
            # Whether code of the user's may be run was decided where the sweep was started.
            run_id = control.start(root, job.settings, job.preset, own_code=True)
        cursor = 0
        while True:
            update = control.read(root, run_id, cursor, kinds=[RecordKind.EVALUATION])
            cursor = update.cursor
            new = evaluations_of(update.records)
            info = update.info
            self._news = News(info.iteration, self._news.evaluations + new)
            if not info.active:
                break
            if self._stop.is_set():
                with contextlib.suppress(InputError):  # it is stopping, or has just ended
                    control.stop(root, run_id)
            time.sleep(POLL_SECONDS)
        export_run(root, run_id, archive)
        return Outcome(run_id, info.status, info.reason, self._news, archive.read_bytes())


def _gone_on(root: Path, archive: Path) -> str | None:
    """The id of the run in `archive`, which goes on; `None` if it has no checkpoint."""
    run_id = import_run(root, archive)
    try:
        control.resume(root, run_id, own_code=True)
    except InputError:
        return None
    return run_id
