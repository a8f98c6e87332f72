"""How far a request to the inspection process has got."""

from __future__ import annotations

from dataclasses import dataclass

from adadfq_core.inspection.replies import Reply


@dataclass(frozen=True)
class NotAsked:
    """Nobody asked, or the answer was overtaken or forgotten: to be submitted (again)."""


@dataclass(frozen=True)
class Waiting:
    """Others come first."""


@dataclass(frozen=True)
class Working:
    """Being worked on: what is done now, and how much of that, within [0, 1], where known."""

    stage: str
    share: float | None = None


@dataclass(frozen=True, eq=False)
class Answered:
    """Done."""

    reply: Reply


@dataclass(frozen=True)
class Refused:
    """Could not be done: why and what to do, in one sentence."""

    sentence: str


State = NotAsked | Waiting | Working | Answered | Refused
