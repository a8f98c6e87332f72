"""What the integers of a value stand for: their step and their bounds, known before any image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from adadfq_core.export.integer.arithmetic import Floats, Integers

_LIMIT_BITS = 30
SUM_LIMIT = 2**_LIMIT_BITS - 1
"""Of what rescaling yields: every multiplier up to there fits 31 bits."""

# Sums of fewer bits have fraction bits added.
_FINE_BITS = 24


@dataclass(frozen=True)
class Format:
    """`value = integer * step` with `low <= integer <= high`, for all channels or one by one.

    Attributes:
        step: float64 `(1,)` or `(C,)`, positive.
        low, high: int64 `(1,)` or `(C,)`.
    """

    step: Floats
    low: Integers
    high: Integers

    @property
    def largest(self) -> Integers:
        """The largest absolute integer, at least 1."""
        return np.maximum(np.maximum(-self.low, self.high), 1)

    @property
    def reach(self) -> Floats:
        """The largest absolute value."""
        reach: Floats = self.largest * self.step
        return reach

    def at(self, step: Floats) -> Format:
        """The same values in another step; the rounding widens the bounds."""
        low, high = np.floor(self.low * self.step / step), np.ceil(self.high * self.step / step)
        return Format(step, low.astype(np.int64), high.astype(np.int64))

    def clipped(self, low: Integers, high: Integers) -> Format:
        """After a clamp of the integers."""
        return Format(self.step, np.clip(self.low, low, high), np.clip(self.high, low, high))

    def summed(self, count: int) -> Format:
        """Sums of `count` integers that stand for their mean."""
        return Format(self.step / count, self.low * count, self.high * count)


def common_step(first: Format, reach: Floats) -> Floats:
    """That of the sum of `first` and of values up to `reach` `(1,)` or `(C,)`.

    It is the step of `first` divided by a power of two, so that `first` is shifted exactly: as
    fine as gives the sum 24 bits, and coarser only where the sum would not stay below 2^30.
    """
    bits = np.ceil(np.log2((first.reach + reach) / first.step))
    fraction_bits = np.where(bits >= _LIMIT_BITS, _LIMIT_BITS - 1 - bits, _FINE_BITS - bits)
    fraction_bits = np.where(bits < _LIMIT_BITS, np.maximum(fraction_bits, 0), fraction_bits)
    step: Floats = np.ldexp(first.step, -fraction_bits.astype(np.int64))
    return step
