"""What a run looked like at an earlier iteration, read from its log.

A moment is an iteration at which something was stored that a page can show: a sheet of images, an
embedding of synthetic samples or a measurement of Q.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from adadfq_core.runs.records import Record, RecordKind, Update, settings_in_force
from adadfq_core.runs.store import RunStore
from adadfq_core.settings import RunSettings

_SHOWN = (RecordKind.IMAGES, RecordKind.EMBEDDING, RecordKind.EVALUATION)


@dataclass(frozen=True, slots=True)
class Moments:
    """The stored moments of a run, in order and each once; pass it to the next `moments`."""

    iterations: tuple[int, ...] = ()
    cursor: int = 0


@dataclass(frozen=True)
class Snapshot:
    """A run as it was at `iteration`: of every kind the newest record at or before it.

    `settings` are those that the iteration was played with. `evaluation` is the last measurement
    of Q. Arrays are read from disk when they are first asked for, and then kept; asking raises
    `RunFailed` if their file is missing or damaged.
    """

    root: Path
    iteration: int
    settings: RunSettings
    step: Record | None
    sheet: Record | None
    evaluation: Record | None
    synthetic_embedding: Record | None
    real_embedding: Record | None

    @cached_property
    def images(self) -> dict[str, np.ndarray] | None:
        """The sheet: `pixels` `(n, C, H, W)` uint8, `labels`, `h_prime`, `p_logits`, `q_logits`."""
        return self._arrays(self.sheet)

    @cached_property
    def synthetic(self) -> dict[str, np.ndarray] | None:
        """Generated samples on the map: `positions` `(n, 2)`, `labels`, `adaptability` `(n,)`."""
        return self._arrays(self.synthetic_embedding)

    @cached_property
    def real(self) -> dict[str, np.ndarray] | None:
        """Real samples on the same map: `positions` `(n, 2)` and `labels` `(n,)`."""
        return self._arrays(self.real_embedding)

    def _arrays(self, record: Record | None) -> dict[str, np.ndarray] | None:
        return None if record is None else RunStore(self.root).arrays(record)


def _is_moment(record: Record) -> bool:
    """Whether `record` shows the run's state: neither real samples nor P change with it."""
    return (
        record.kind in _SHOWN
        and record.data.get("source") != "real"
        and record.data.get("network") != "p"
    )


def extended(known: Moments, update: Update) -> Moments:
    """`known` with the moments among `update`, which was read from where `known` ends."""
    new = {record.iteration for record in update.records if _is_moment(record)}
    # Sorted, not appended: an embedding is stored some iterations after the one that it shows.
    return Moments(tuple(sorted(new.union(known.iterations))), update.cursor)


def moments(root: Path, run_id: str, known: Moments | None = None) -> Moments:
    """The moments of a run; reads only what was stored since `known`, and never its steps.

    Raises:
        InputError: there is no such run.
    """
    known = known or Moments()
    return extended(known, RunStore(root).read(run_id, known.cursor, _SHOWN))


def _last(records: list[Record]) -> Record | None:
    return max(records, key=lambda record: (record.iteration, record.seq), default=None)


def _map_under(synthetic: Record | None, real: list[Record], iteration: int) -> Record | None:
    """The real samples that `synthetic` was placed among.

    A process fits its map once and stores it before anything that is placed on it, though perhaps
    with a later iteration; a resumed run has one for each process.
    """
    if synthetic is None:
        return _last([record for record in real if record.iteration <= iteration])
    before = [record for record in real if record.seq < synthetic.seq]
    return before[-1] if before else None


def at(root: Path, run_id: str, iteration: int) -> Snapshot:
    """The run as it was at `iteration`, which need not be a moment.

    Raises:
        InputError: there is no such run.
    """
    store = RunStore(root)
    small = store.read(
        run_id, kinds=(RecordKind.PARAMETERS, RecordKind.EVALUATION, RecordKind.EMBEDDING)
    )
    changes, measured, synthetic, real = [], [], [], []
    for record in small.records:
        if record.kind == RecordKind.PARAMETERS:
            changes.append(record)
        elif record.kind == RecordKind.EVALUATION:
            if record.data["network"] != "p" and record.iteration <= iteration:
                measured.append(record)
        elif record.data["source"] == "real":
            real.append(record)
        elif record.iteration <= iteration:
            synthetic.append(record)
    placed = _last(synthetic)
    step = store.nearest(run_id, RecordKind.STEP, iteration)
    if step is not None:
        # A run that was resumed from before it may have been changed at an earlier iteration.
        changes = [record for record in changes if record.seq < step.seq]
    return Snapshot(
        root=root,
        iteration=iteration,
        settings=settings_in_force(small.info.settings, changes, iteration),
        step=step,
        sheet=store.nearest(run_id, RecordKind.IMAGES, iteration),
        evaluation=_last(measured),
        synthetic_embedding=placed,
        real_embedding=_map_under(placed, real, iteration),
    )
