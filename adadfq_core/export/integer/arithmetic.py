"""Fixed-point arithmetic: rescaling by an integer multiplier and a shift, and exact sums."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Integers: TypeAlias = npt.NDArray[np.integer[Any]]
Floats: TypeAlias = npt.NDArray[np.floating[Any]]

INT32_MAX = 2**31 - 1
_MULTIPLIER_BITS = 31
_LARGEST_SHIFT = 62
# Every integer up to here is a float32; beyond, float64 takes over, up to 2^53.
_EXACT_FLOAT32 = 2**24


@dataclass(frozen=True)
class Rescaling:
    """Multiplication by `multiplier * 2^-shift`, one pair for all or one a channel.

    Attributes:
        multiplier: int64 `(1,)` or `(C,)`, below 2^31, odd unless 0.
        shift: int64 of the same shape, from -30 to 62; a negative one shifts to the left.
    """

    multiplier: Integers
    shift: Integers


def rescaling(ratio: Floats) -> Rescaling:
    """The integers closest to `ratio` `(1,)` or `(C,)`, from 0 to 2^30: 31 bits of each."""
    mantissa, exponent = np.frexp(ratio.astype(np.float64))
    shift = _MULTIPLIER_BITS - exponent.astype(np.int64)
    # A ratio below 2^-31 keeps fewer bits, as nothing shifts an int64 by more.
    lost = np.maximum(shift - _LARGEST_SHIFT, 0)
    shift = shift - lost
    multiplier = np.rint(np.ldexp(mantissa, _MULTIPLIER_BITS - lost)).astype(np.int64)
    # Without trailing zeros a power of two needs no rounding; it also makes 2^31 fit its 31 bits.
    zeros = np.where(multiplier == 0, 0, _trailing_zeros(multiplier))
    multiplier, shift = multiplier >> zeros, shift - zeros
    return Rescaling(multiplier, np.where(multiplier == 0, 0, shift))


def _trailing_zeros(numbers: Integers) -> Integers:
    lowest_bit = np.maximum(numbers & -numbers, 1)
    zeros: Integers = np.log2(lowest_bit).astype(np.int64)
    return zeros


def rescale(values: Integers, by: Rescaling) -> Integers:
    """int32 `values` `(N, C, ...)` times `by`, rounded half to even, as int64.

    The product of two 32-bit integers has 64 bits; a shift with rounding follows. The caller
    clamps the result, or knows that it fits.
    """
    multiplier = along_channels(by.multiplier, values.ndim)
    shift = along_channels(by.shift, values.ndim)
    if bool((shift <= 0).all()):
        exact: Integers = np.multiply(values, multiplier << -shift, dtype=np.int64)
        return exact
    left, shift = np.maximum(-shift, 0), np.maximum(shift, 0)
    products: Integers = np.multiply(values, multiplier << left, dtype=np.int64)
    # With the lowest bit that stays added to one less than a half, exactly the ties of odd
    # quotients are carried over. Where nothing is shifted out there is nothing to round.
    half = np.where(shift > 0, 1 << np.maximum(shift - 1, 0), 1) - 1
    odd = products >> shift
    odd &= shift > 0
    products += odd
    products += half
    products >>= shift
    return products


def along_channels(numbers: npt.NDArray[Any], ndim: int) -> npt.NDArray[Any]:
    """`numbers` `(1,)` or `(C,)` in the shape that fits axis 1 of an array of `ndim` axes."""
    return numbers.reshape(-1, *[1] * (ndim - 2))


def exact_float(largest_sum: int) -> type[np.float32] | type[np.float64]:
    """The float type whose matrix product adds up integers exactly.

    Numpy multiplies integer matrices without the processor's matrix kernels. Integers in floats
    give the same: each product and each partial sum, in any order, is at most `largest_sum`, the
    sum of the absolute products, and up to 2^24 (2^53) every integer is a float32 (float64).
    """
    return np.float32 if largest_sum <= _EXACT_FLOAT32 else np.float64
