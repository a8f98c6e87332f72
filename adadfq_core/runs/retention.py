"""Which checkpoints of a run are kept: they are most of what a run stores.

A checkpoint of the interactive preset is 8 MB and comes every 100 iterations, 4 GB an hour. Kept
are the newest ones, to resume from, and a ladder over the whole run; with the default numbers an
hour of that preset stores 190 MB at most, all other records (118 MB) included.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence

from adadfq_core.errors import InputError
from adadfq_core.runs.records import RecordKind
from adadfq_core.runs.store import CHECKPOINTS, RunStore

_CHECKPOINT_FILE = re.compile(r"\.?(\d+)\.pt(?:\.\d+\.tmp)?")
"""Names of checkpoints, also of those that a process was writing when it ended."""


def _rung(newest: int, thinned: int) -> int:
    """Distance of the ladder's rungs, the smallest power of two that needs `thinned` at most."""
    distance = 1
    while newest // distance + 1 > thinned:
        distance *= 2
    return distance


def checkpoints_to_drop(
    iterations: Sequence[int], keep_last: int = 2, thinned: int = 6, warmup: int | None = None
) -> list[int]:
    """Those of the checkpoints at `iterations` (0 or more) that may go, in order.

    Kept are the newest `keep_last`, a ladder of at most `thinned` (more than half as many where
    there are enough) and, if `warmup` is given, the first one at that iteration or later. The
    ladder is the first checkpoint in each of equal stretches of the run, whose length doubles as
    the run grows: so it only ever loses rungs, and pruning again and again while a run grows keeps
    the same as pruning once at the end.

    Raises:
        InputError: `keep_last` or `thinned` is below 1.
    """
    if keep_last < 1 or thinned < 1:
        raise InputError(
            f"keep_last = {keep_last} with thinned = {thinned} is not allowed; both must be whole "
            "numbers of at least 1."
        )
    ordered = sorted(set(iterations))
    if not ordered:
        return []
    distance = _rung(ordered[-1], thinned)
    ladder: dict[int, int] = {}
    for iteration in ordered:
        ladder.setdefault(iteration // distance, iteration)
    kept = {*ordered[-keep_last:], *ladder.values()}
    if warmup is not None:
        kept.update([iteration for iteration in ordered if iteration >= warmup][:1])
    return [iteration for iteration in ordered if iteration not in kept]


def prune(store: RunStore, run_id: str) -> list[int]:
    """Delete the checkpoints of a run that need not be kept; returns their iterations.

    The rows go first, for good, and then the files: a crash in between leaves files that nothing
    names, which the next call deletes, and never a row without its file. A file that its process
    has written but not yet logged is safe, as it is newer than every logged one.

    Raises:
        InputError: there is no such run.
        RunFailed: the database stays locked or its disk is full.
    """
    update = store.read(run_id, kinds=[RecordKind.CHECKPOINT])
    if not update.records:
        return []
    iterations = [record.iteration for record in update.records]
    dropped = checkpoints_to_drop(iterations, warmup=update.info.settings.warmup_iterations)
    going = [record for record in update.records if record.iteration in set(dropped)]
    if going:
        store.forget(run_id, going)
    kept = {store.path(record).name for record in update.records if record not in going}
    for path in (store.folder(run_id) / CHECKPOINTS).iterdir():
        name = _CHECKPOINT_FILE.fullmatch(path.name)
        if name and int(name[1]) < max(iterations) and path.name not in kept:
            # Windows keeps a file that someone reads just now; the next call tries again.
            with contextlib.suppress(OSError):
                path.unlink()
    return dropped
