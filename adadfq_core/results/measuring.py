"""Running what a table still lacks, one cell after the other."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from adadfq_core import runs
from adadfq_core.errors import InputError, RunFailed
from adadfq_core.own_version import own_version
from adadfq_core.results.cells import Cell
from adadfq_core.results.found import TAG, Found, State, find
from adadfq_core.runs import RunInfo
from adadfq_core.settings import NO_DATA, RunSettings

LOCK = "results.lock"
_LOCK_SECONDS = 60.0
POLL_SECONDS = 0.5


class Claim(NamedTuple):
    """The run that measures a cell, and whether this process has started it or let it go on."""

    run_id: str
    own: bool


def unmeasurable(settings: RunSettings) -> str | None:
    """Why a network of these settings cannot be measured here, in a sentence; `None` if it can.

    Its weights and its first images are read; those of a user's own code are left to the run.
    """
    from adadfq_core.zoo.evaluation_data import load_evaluation_data
    from adadfq_core.zoo.loading import load_float_network

    unnamed = f"{settings.network} has no images that measure it; name some with --data."
    if settings.data == NO_DATA or (settings.names_own_code and not settings.data):
        return unnamed
    if settings.names_own_code:
        return None
    try:
        network = load_float_network(settings)
        if network.data is None:
            return unnamed
        load_evaluation_data(network.data, network.images, 2)
    except (InputError, RunFailed) as error:
        return str(error)
    return None


@contextmanager
def _alone(root: Path) -> Iterator[None]:
    """Within it, no other process looks for a cell's run in order to start one.

    SQLite's lock goes with its process, on every system.
    """
    try:
        with closing(sqlite3.connect(root / LOCK, _LOCK_SECONDS, isolation_level=None)) as lock:
            lock.execute("BEGIN EXCLUSIVE")
            yield
    except sqlite3.Error as error:
        raise RunFailed(
            f"'{root / LOCK}' cannot be locked ({error}); see whether another table is made there."
        ) from error


def claim(root: Path, cell: Cell, preset: str) -> Claim | None:
    """Let a run measure `cell`: one that goes, one that is resumed, or a new one, tagged.

    Two processes never start a cell twice: the second gets the run of the first. Where other runs
    have all places, it waits for one.

    Returns:
        `None` if there is nothing to run any more.

    Raises:
        InputError: the store is not writable.
        RunFailed: the run could not be started.
    """
    runs.refresh(root)
    with _alone(root):
        (found,) = find(root, [cell])
        if found.state in (State.MEASURED, State.FAILED):
            return None
        own = found.state is not State.GOING
        if found.run is not None and own and not _resumed(root, found.run.run_id):
            found = Found(cell, State.MISSING)
        if found.run is None:
            run_id = runs.start(root, cell.settings, preset, own_code=True, waits=True)
            tags: tuple[str, ...] = ()
        else:
            run_id, tags = found.run.run_id, found.run.tags
        runs.set_labels(root, run_id, [*tags, TAG, *versions()])
        return Claim(run_id, own)


def _resumed(root: Path, run_id: str) -> bool:
    try:
        runs.resume(root, run_id, own_code=True, waits=True)
    except InputError:  # it ended before its first checkpoint, or has lost it
        return False
    return True


def versions() -> tuple[str, str]:
    """What computes the numbers, as runs are tagged with it."""
    return f"torch {version('torch')}", f"adadfq {own_version()}"


def follow(root: Path, run_id: str, tell: Callable[[RunInfo, float | None], None]) -> RunInfo:
    """Wait until a run has ended; returns its last state.

    Args:
        tell: gets the run's state and the latest top-1 of Q, twice a second.
    """
    while True:
        info = runs.info(root, run_id)
        summary = runs.summaries(root, [run_id])[run_id]
        tell(info, summary.top1_q_last)
        if info.ended:
            return info
        time.sleep(POLL_SECONDS)
