"""What a sweep asks of the place where its runs are played."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from adadfq_core.runs.records import Record, RunStatus
from adadfq_core.settings import RunSettings


@dataclass(frozen=True)
class Job:
    """A cell's run to play. `run_id` is an earlier attempt's in the store, to go on from."""

    cell: int
    settings: RunSettings
    preset: str
    run_id: str | None = None


class Evaluation(NamedTuple):
    """Top-1 of Q in percent after `iteration` iterations."""

    iteration: int
    top1: float


def evaluations_of(records: Iterable[Record]) -> tuple[Evaluation, ...]:
    """Those of the trained Q among the `evaluation` records of a run."""
    return tuple(
        Evaluation(record.iteration, record.data["top1"])
        for record in records
        if record.data["network"] == "q"
    )


@dataclass(frozen=True)
class Progress:
    """Where a cell's run stands; `run_id` is `None` until it is in the sweep's store.

    `evaluations` are all those of the trained Q so far, in order.
    """

    cell: int
    run_id: str | None
    iteration: int
    evaluations: tuple[Evaluation, ...]


@dataclass(frozen=True)
class Ended:
    """A cell's run has ended and is in the sweep's store, complete, as `run_id`.

    `run_id` is `None` where none came about: it could not be started (`status` failed), or the
    place went away with it (`status` lost, which is worth another attempt).
    """

    cell: int
    run_id: str | None
    status: RunStatus
    reason: str


Event = Progress | Ended


class Executor(Protocol):
    """Plays jobs; used by one thread, which polls about twice a second."""

    def room(self) -> int:
        """How many more jobs can start now."""

    def submit(self, job: Job) -> None:
        """Start `job`; whatever becomes of it is told by `poll`, also that it could not start.

        Raises:
            RunFailed: the place itself does not answer any more, so no job can start.
        """

    def poll(self) -> list[Event]:
        """What happened since the last call: news of running cells, and every end exactly once."""

    def stop(self, cell: int) -> None:
        """Ask the run of `cell` to end after its iteration; `Ended` follows (status stopped)."""

    def close(self) -> None:
        """Give everything back at once. Runs that have not ended are of no more use to the place:
        a local one is left stopping, with its checkpoint; a remote one ends without a trace.
        """
