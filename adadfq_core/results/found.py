"""Which of a table's cells have a run in the store, and what became of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from adadfq_core import runs
from adadfq_core.results.cells import Cell
from adadfq_core.runs import RunInfo, RunStatus

TAG = "results"
"""What the runs of tables are tagged with."""


class State(StrEnum):
    """What is known of a cell.

    `failed`: its run ended by a fault after it had begun, as one that diverges does; it is not
    tried again unless the run is deleted. `missing`: there is no run, or none to go on from.
    """

    MEASURED = "measured"
    GOING = "going"
    INTERRUPTED = "interrupted"
    FAILED = "failed"
    MISSING = "missing"


# What is taken where several runs have a cell's settings.
_ORDER = (State.MEASURED, State.GOING, State.INTERRUPTED, State.FAILED)


@dataclass(frozen=True)
class Found:
    """A cell and the run that measures it, `None` where there is none (any more)."""

    cell: Cell
    state: State
    run: RunInfo | None = None


def find(
    root: Path, cells: Sequence[Cell], kept: Container[tuple[str, int, str, int]] = ()
) -> list[Found]:
    """What the store in `root` has of each of `cells`.

    A cell's run has its settings, also after all changes by hand, and was tagged `TAG`; one that
    has not ended may have lost its starter before that.

    Args:
        kept: network, bits, method and seed of what is measured though its run may be gone.

    Raises:
        InputError: the store is damaged or not writable.
    """
    known: defaultdict[object, list[RunInfo]] = defaultdict(list)
    for info in runs.list_runs(root):
        if TAG in info.tags or not info.ended:
            known[info.settings].append(info)
    found = [_found(root, cell, known[cell.settings]) for cell in cells]
    return [
        Found(each.cell, State.MEASURED)
        if each.state is not State.MEASURED and (*each.cell.row, each.cell.seed) in kept
        else each
        for each in found
    ]


def _found(root: Path, cell: Cell, infos: Sequence[RunInfo]) -> Found:
    states = [(_state(info), info) for info in infos]
    for wanted in _ORDER:
        for state, info in states:
            if state is wanted and runs.current_settings(root, info.run_id) == cell.settings:
                return Found(cell, state, info)
    return Found(cell, State.MISSING)


def _state(info: RunInfo) -> State:
    if not info.ended:
        return State.GOING
    if info.status is RunStatus.FINISHED:
        return State.MEASURED
    if info.status is RunStatus.FAILED:
        # Before the first iteration nothing but its surroundings can have been at fault.
        return State.FAILED if info.iteration else State.MISSING
    return State.INTERRUPTED
