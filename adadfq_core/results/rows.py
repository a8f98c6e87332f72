"""A table's rows: the seeds of each averaged, beside what the paper states."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from adadfq_core import runs
from adadfq_core.results.found import Found, State
from adadfq_core.results.paper import PaperResult, paper_result


@dataclass(frozen=True)
class Row:
    """What is measured of one network, bits and method; NaN where nothing is.

    Attributes:
        seeds: top-1 of Q in percent by seed, of those that are measured.
        planned: how many seeds there are to be.
        failed: how many have failed.
        mean, deviation: of `seeds`; the sample's deviation, NaN of one seed.
        top1_p: P's mean top-1 in percent, on the images that measured Q.
        loss: the mean of what Q is behind P, in points.
        paper: what stands beside it, `None` where the paper has nothing.
        versions: what computed the numbers.
    """

    network: str
    bits: int
    method: str
    seeds: dict[int, float]
    planned: int
    failed: int
    mean: float
    deviation: float
    top1_p: float
    loss: float
    paper: PaperResult | None
    versions: tuple[str, ...]

    @property
    def missing(self) -> int:
        """How many seeds are still to be measured."""
        return self.planned - self.failed - len(self.seeds)


def mean_and_deviation(values: Sequence[float]) -> tuple[float, float]:
    """Mean and sample standard deviation (n - 1); NaN where there are too few or no finite ones."""
    numbers = np.asarray(values, dtype=np.float64)
    with np.errstate(all="ignore"):
        mean = float(numbers.mean()) if len(numbers) else float("nan")
        deviation = float(numbers.std(ddof=1)) if len(numbers) > 1 else float("nan")
    return mean, deviation


def make_rows(root: Path, table: str, found: Iterable[Found]) -> list[Row]:
    """The rows of a table, in the order of its cells."""
    by_row: dict[tuple[str, int, str], list[Found]] = {}
    for each in found:
        by_row.setdefault(each.cell.row, []).append(each)
    return [_row(root, table, cells) for cells in by_row.values()]


def _row(root: Path, table: str, cells: Sequence[Found]) -> Row:
    network, bits, method = cells[0].cell.row
    measured = [(c.cell.seed, c.run) for c in cells if c.state is State.MEASURED and c.run]
    known = runs.summaries(root, [run.run_id for _, run in measured])
    seeds, of_p, behind = {}, [], []
    tags: dict[str, None] = {}
    for seed, run in measured:
        p, q = known[run.run_id].top1_p, known[run.run_id].top1_q_last
        if p is None or q is None:
            continue
        seeds[seed] = q
        of_p.append(p)
        behind.append(p - q)
        tags |= dict.fromkeys(tag for tag in run.tags if tag.startswith(("torch ", "adadfq ")))
    mean, deviation = mean_and_deviation(list(seeds.values()))
    return Row(
        network=network,
        bits=bits,
        method=method,
        seeds=seeds,
        planned=len(cells),
        failed=sum(cell.state is State.FAILED for cell in cells),
        mean=mean,
        deviation=deviation,
        top1_p=mean_and_deviation(of_p)[0],
        loss=mean_and_deviation(behind)[0],
        paper=paper_result(table, network, method, bits),
        versions=tuple(tags),
    )
