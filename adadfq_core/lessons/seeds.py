"""What a few seeds say of a mean: its interval, and whether two intervals overlap."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

CONFIDENCE = 0.95


class Interval(NamedTuple):
    """A mean and the ends of its interval; these are NaN for a single value."""

    mean: float
    low: float
    high: float

    def overlaps(self, other: Interval) -> bool:
        """Whether some value lies in both; so too where one of them is not known."""
        return not (self.low > other.high or other.low > self.high)


def interval(values: Sequence[float]) -> Interval:
    """Mean of `values` with Student's interval of `CONFIDENCE` for the mean of all seeds.

    Half its width is `t * sd / sqrt(n)`, sd with `ddof=1` and t of `n - 1` degrees of freedom
    (Student 1908, Biometrika 6(1)).

    Args:
        values: one or more, in any unit.
    """
    # Imported here as it takes half a second, which the other lessons need not wait for.
    from scipy.stats import t

    mean = float(np.mean(values))
    count = len(values)
    if count < 2:
        return Interval(mean, math.nan, math.nan)
    width = float(t.ppf((1 + CONFIDENCE) / 2, count - 1) * np.std(values, ddof=1) / count**0.5)
    return Interval(mean, mean - width, mean + width)


def seeds_to_tell(first: Sequence[float], second: Sequence[float]) -> int | None:
    """From how many seeds on the intervals of both stay apart; `None` if the last ones overlap.

    Args:
        first, second: a result each for the same seeds in the same order.
    """
    apart: int | None = None
    for count in range(1, len(first) + 1):
        if interval(first[:count]).overlaps(interval(second[:count])):
            apart = None
        elif apart is None:
            apart = count
    return apart
