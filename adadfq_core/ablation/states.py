"""States of sweeps and of their cells."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from adadfq_core.ablation.plan import Plan, Point


class SweepStatus(StrEnum):
    """State of a sweep. `lost`: its process went away; what is missing can be resumed."""

    RUNNING = "running"
    FINISHED = "finished"
    STOPPED = "stopped"
    FAILED = "failed"
    LOST = "lost"


class CellStatus(StrEnum):
    """State of a cell.

    `refused`: its settings are not allowed (the triangle lambda_l >= lambda_u), so nothing ran.
    `halved`: stopped early, as others were better at its rung.
    """

    WAITING = "waiting"
    RUNNING = "running"
    FINISHED = "finished"
    HALVED = "halved"
    FAILED = "failed"
    REFUSED = "refused"


SETTLED = (CellStatus.FINISHED, CellStatus.HALVED, CellStatus.FAILED, CellStatus.REFUSED)
"""States of cells from which a sweep has nothing more to do."""


@dataclass(frozen=True, slots=True)
class SweepInfo:
    """State of one sweep; times are seconds since 1970 (UTC).

    `workers` runs go at once with `threads` CPU threads each; `ray_address` is empty for runs on
    this machine. `pid` and `process_started` name the process that drives it. `owner` is who
    started it where users sign in, else empty; the runs of its cells are theirs as well.
    """

    sweep_id: str
    created: float
    name: str
    plan: Plan
    workers: int
    threads: int
    ray_address: str
    status: SweepStatus
    reason: str
    pid: int | None
    process_started: float | None
    updated: float
    owner: str = ""


@dataclass(frozen=True, slots=True)
class CellInfo:
    """State of one cell; `run_id` is its run in the same store, once there is one.

    `attempts` counts starts; `started` and `ended` are seconds since 1970 of the last one.
    """

    sweep_id: str
    index: int
    point: Point
    seed: int
    status: CellStatus
    reason: str
    run_id: str | None
    attempts: int
    started: float | None
    ended: float | None

    @property
    def missing(self) -> bool:
        """Whether a resumed sweep would run it: it has not ended, or it failed."""
        return self.status not in SETTLED or self.status is CellStatus.FAILED
