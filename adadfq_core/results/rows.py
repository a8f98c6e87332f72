"""A table's rows: the seeds of each averaged, beside what the paper states."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from adadfq_core import runs
from adadfq_core.errors import InputError
from adadfq_core.results.cells import RowKey, find_table
from adadfq_core.results.found import Found, State
from adadfq_core.results.paper import PaperResult, paper_result
from adadfq_core.settings import RunSettings


class Measured(NamedTuple):
    """Top-1 of Q and of P on the same images at the end of a run, in percent."""

    q: float
    p: float


@dataclass(frozen=True)
class Row:
    """What is measured of one network, bits and method.

    Attributes:
        preset, settings: what all its runs started from, and the mark of what they were played
            with (`settings_mark`).
        measured: by seed, of those that are.
        planned: how many seeds there are to be.
        failed: how many have failed.
        paper: what stands beside it, `None` where the paper has nothing.
        versions: what computed the numbers.
    """

    network: str
    bits: int
    method: str
    preset: str
    settings: str
    measured: dict[int, Measured]
    planned: int
    failed: int
    paper: PaperResult | None
    versions: tuple[str, ...]

    @property
    def key(self) -> RowKey:
        """What one table has once."""
        return self.network, self.bits, self.method

    @property
    def kind(self) -> str:
        """Bits of weights and of activations, as papers write them."""
        return f"{self.bits}w{self.bits}a"

    @property
    def missing(self) -> int:
        """How many seeds are still to be measured."""
        return max(self.planned - self.failed - len(self.measured), 0)

    @property
    def mean(self) -> float:
        """Mean top-1 of Q in percent; NaN where nothing is measured."""
        return mean_and_deviation([each.q for each in self.measured.values()])[0]

    @property
    def deviation(self) -> float:
        """The seeds' sample standard deviation; NaN of one seed."""
        return mean_and_deviation([each.q for each in self.measured.values()])[1]

    @property
    def top1_p(self) -> float:
        """P's mean top-1 in percent, on the images that measured Q."""
        return mean_and_deviation([each.p for each in self.measured.values()])[0]

    @property
    def loss(self) -> float:
        """The mean of what Q is behind P, in points."""
        return mean_and_deviation([each.p - each.q for each in self.measured.values()])[0]


def mean_and_deviation(values: Sequence[float]) -> tuple[float, float]:
    """Mean and sample standard deviation (n - 1); NaN where there are too few or no finite ones."""
    numbers = np.asarray(values, dtype=np.float64)
    with np.errstate(all="ignore"):
        mean = float(numbers.mean()) if len(numbers) else math.nan
        deviation = float(numbers.std(ddof=1)) if len(numbers) > 1 else math.nan
    return mean, deviation


def make_rows(root: Path, table: str, preset: str, found: Iterable[Found]) -> list[Row]:
    """The rows of a table, in the order of its cells."""
    by_row: dict[RowKey, list[Found]] = {}
    for each in found:
        by_row.setdefault(each.cell.row, []).append(each)
    return [_row(root, table, preset, cells) for cells in by_row.values()]


def _row(root: Path, table: str, preset: str, cells: Sequence[Found]) -> Row:
    network, bits, method = cells[0].cell.row
    calibrated = find_table(table).methods[method].calibrated
    done = [(c.cell.seed, c.run) for c in cells if c.state is State.MEASURED and c.run]
    known = runs.summaries(root, [run.run_id for _, run in done])
    measured: dict[int, Measured] = {}
    tags: dict[str, None] = {}
    for seed, run in done:
        summary = known[run.run_id]
        q = summary.top1_q_calibrated if calibrated else summary.top1_q_last
        if summary.top1_p is None or q is None:
            continue
        measured[seed] = Measured(q, summary.top1_p)
        tags |= dict.fromkeys(tag for tag in run.tags if tag.startswith(("torch ", "adadfq ")))
    return Row(
        network=network,
        bits=bits,
        method=method,
        preset=preset,
        settings=settings_mark(cells[0].cell.settings),
        measured=measured,
        planned=len(cells),
        failed=sum(cell.state is State.FAILED for cell in cells),
        paper=paper_result(table, network, method, bits),
        versions=tuple(tags),
    )


# Of settings, what says where something lies or how fast it is played.
_WHEREABOUTS = {"seed", "threads", "code_folder"}
_FILES = {"data", "weights"}


def settings_mark(settings: RunSettings) -> str:
    """Eight characters that differ between settings whose numbers must not be averaged.

    Neither the seed nor where a file lies makes a difference, its name does. What a setting that
    came later leaves as it was makes none either: its default is what runs before it did.
    """
    values = settings.model_dump(mode="json", exclude=_WHEREABOUTS, exclude_defaults=True)
    for name in _FILES & values.keys():
        values[name] = Path(values[name]).name
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:8]


def joined(kept: Sequence[Row], rows: Sequence[Row], methods: Sequence[str]) -> list[Row]:
    """`rows` with what a table of earlier measured, and its other rows.

    Of a seed that both have, the number of `rows` counts.

    Args:
        methods: in the order that they have on each network at equal bits.

    Raises:
        InputError: a row of `kept` was measured with other settings than that of `rows`.
    """
    before = {row.key: row for row in kept}
    both = {**before, **{row.key: _joined(before.get(row.key), row) for row in rows}}
    networks = list(dict.fromkeys(network for network, _, _ in both))
    places = {method: place for place, method in enumerate(methods)}

    def place(row: Row) -> tuple[int, int, int]:
        return networks.index(row.network), row.bits, places.get(row.method, len(places))

    return sorted(both.values(), key=place)


def _joined(before: Row | None, row: Row) -> Row:
    if before is None or not before.measured:
        return row
    if before.settings != row.settings:
        raise InputError(
            f"The table has {row.network} {row.kind} {row.method} with other settings "
            f"(preset {before.preset}); name another folder with --out, or delete the table."
        )
    measured = dict(sorted({**before.measured, **row.measured}.items()))
    return replace(
        row,
        measured=measured,
        planned=max(row.planned, len(measured)),
        versions=tuple(dict.fromkeys((*before.versions, *row.versions))),
    )
