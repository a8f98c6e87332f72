"""A run as TensorBoard's event files."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary

from adadfq_core.errors import InputError, RunFailed
from adadfq_core.runs.records import Record, RecordKind, RunInfo, Update
from adadfq_core.sinks.event_file import EventFile
from adadfq_core.sinks.readings import dated, scalars, sheet_picture, texts
from adadfq_core.sinks.summaries import (
    BINS,
    histogram_summary,
    image_summary,
    opening_summaries,
    scalar_summary,
    session_end_summary,
    text_summary,
)

_FILE_VERSION = "brain.Event:2"


@dataclass(frozen=True)
class _Progress:
    """How far a run was written.

    `cursor` is its last record and `seconds` its time at work by then; `h_prime` counts the
    samples since the last histogram, `ended` says whether the session's end is written.
    """

    cursor: int = 0
    seconds: float = 0.0
    h_prime: tuple[int, ...] = (0,) * BINS
    ended: bool = False


def binned(h_prime: Iterable[float], counts: Iterable[int]) -> tuple[int, ...]:
    """`counts` of `BINS` equal bins over [0, 1] with finite H' counted in."""
    new = list(counts)
    for value in h_prime:
        if math.isfinite(value):
            new[min(max(int(value * BINS), 0), BINS - 1)] += 1
    return tuple(new)


class TensorBoardSink:
    """Writes a run of store `root` to `<out>/<run id>`, one event file that only grows.

    Steps are iterations; a wall time is the run's start plus its time at work, so that the axis
    of relative time leaves pauses out. A histogram of H' holds all samples since the last one.

    Raises:
        InputError: the folder or what lies there cannot be used.
    """

    def __init__(self, root: Path, info: RunInfo, out: Path) -> None:
        self._root = root
        self._created = info.created
        self.folder = out / info.run_id
        self._file = EventFile(self.folder, f"events.out.tfevents.{int(info.created)}.adadfq")
        state = self._file.state
        self._progress = _Progress(**{**state, "h_prime": tuple(state["h_prime"])} if state else {})

    @property
    def cursor(self) -> int:
        return self._progress.cursor

    def write(self, update: Update) -> None:
        if not update.records:
            return
        progress = self._progress
        with self._file.appending() as writer:
            if progress.cursor == 0:
                version = Event(wall_time=self._created, file_version=_FILE_VERSION)
                writer.write(version.SerializeToString())
                for summary in opening_summaries(update.info):
                    writer.write(self._event(summary, 0, 0.0))
            for record, seconds in dated(update.records, progress.seconds):
                for summary in self._summaries(record):
                    writer.write(self._event(summary, record.iteration, seconds))
                progress = replace(progress, cursor=record.seq, seconds=seconds)
                if record.kind == RecordKind.STEP:
                    counts = binned(record.data.get("h_prime", ()), progress.h_prime)
                    if record.iteration % update.info.settings.snapshot_every == 0:
                        shown = histogram_summary(counts)
                        writer.write(self._event(shown, record.iteration, seconds))
                        counts = (0,) * BINS
                    progress = replace(progress, h_prime=counts)
        self._commit(progress)

    def settle(self, info: RunInfo) -> None:
        end = session_end_summary(info)
        if end is None or self._progress.ended:
            return
        with self._file.appending() as writer:
            writer.write(self._event(end, info.iteration, self._progress.seconds))
        self._commit(replace(self._progress, ended=True))

    def _commit(self, progress: _Progress) -> None:
        self._file.commit(asdict(progress))
        self._progress = progress

    def _event(self, summary: Summary, step: int, seconds: float) -> bytes:
        event = Event(wall_time=self._created + seconds, step=step, summary=summary)
        content: bytes = event.SerializeToString()
        return content

    def _summaries(self, record: Record) -> Iterator[Summary]:
        numbers = scalars(record)
        if numbers:
            yield scalar_summary(numbers)
        for tag, text in texts(record).items():
            yield text_summary(tag, text)
        if record.kind == RecordKind.IMAGES:
            try:
                yield image_summary(sheet_picture(self._root, record))
            except (InputError, RunFailed) as error:
                # The run itself is whole without one of its pictures.
                yield text_summary("notices", f"The sheet of images is left out: {error}")
