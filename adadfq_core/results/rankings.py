"""What the paper says of its methods, held against a table of results."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from adadfq_core.lessons.seeds import Interval, interval
from adadfq_core.results.rows import Row


class Verdict(StrEnum):
    """What the runs say of a ranking."""

    AGREES = "agrees"
    DISAGREES = "does not agree"
    OPEN = "cannot be told"


@dataclass(frozen=True)
class Ranking:
    """Of two methods on one network, which is ahead.

    Attributes:
        better, worse: the methods as the paper ranks them.
        stated: by how many points the paper's `better` is ahead; NaN where it only ranks them.
        stated_on: the paper's network and data, empty where it only ranks them.
        found: the mean of what `better` is ahead here, over the seeds that both have, with its
            95 % interval.
        seeds: how many these are.
    """

    network: str
    bits: int
    better: str
    worse: str
    stated: float
    stated_on: str
    found: Interval
    seeds: int

    @property
    def verdict(self) -> Verdict:
        """Open unless the whole interval is on one side of zero."""
        if self.found.low > 0:
            return Verdict.AGREES
        if self.found.high < 0:
            return Verdict.DISAGREES
        return Verdict.OPEN

    @property
    def sentence(self) -> str:
        """The ranking and what was seen, in one sentence."""
        kind = f"{self.bits}w{self.bits}a"
        paper = f" by {self.stated:.2f} points in the paper ({self.stated_on})"
        seen = f"{self.found.mean:+.2f}"
        if math.isfinite(self.found.low):
            seen += f" ({self.found.low:+.2f} to {self.found.high:+.2f})"
        count = "one seed" if self.seeds == 1 else f"{self.seeds} seeds"
        return (
            f"{self.network}, {kind}: {self.better} ahead of {self.worse}"
            f"{paper if self.stated_on else ''}; here {seen} points over {count}: {self.verdict}."
        )


# Whom the paper ranks ahead of whom, of what the tables hold.
STATED = {
    "main": (("AdaDFQ", "GDFQ"),),
    "ablation": (
        ("AdaDFQ", "without L_ds"),
        ("AdaDFQ", "without L_as"),
        ("AdaDFQ", "without the margin"),
    ),
    "margins": (
        ("the paper's margin", "disagreement end"),
        ("the paper's margin", "agreement end"),
    ),
}


def rankings(table: str, rows: Sequence[Row]) -> list[Ranking]:
    """The paper's rankings of table `table` on every network and at all bits that `rows` have.

    Seeds that only one of both methods has are left out: the same seed gives both the same start.
    """
    by_key = {(row.network, row.bits, row.method): row for row in rows}
    places = dict.fromkeys((row.network, row.bits) for row in rows)
    found = []
    for network, bits in places:
        for better, worse in STATED.get(table, ()):
            first = by_key.get((network, bits, better))
            second = by_key.get((network, bits, worse))
            if first is None or second is None:
                continue
            ahead = [
                first.measured[seed].q - second.measured[seed].q
                for seed in first.measured
                if seed in second.measured
            ]
            if not ahead:
                continue
            stated, stated_on = math.nan, ""
            if first.paper and second.paper:
                stated = first.paper.top1_q - second.paper.top1_q
                stated_on = first.paper.network
            found.append(
                Ranking(
                    network=network,
                    bits=bits,
                    better=better,
                    worse=worse,
                    stated=stated,
                    stated_on=stated_on,
                    found=interval(ahead),
                    seeds=len(ahead),
                )
            )
    return found
