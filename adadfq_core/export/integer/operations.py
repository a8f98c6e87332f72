"""Convolution, linear layer and pooling of integer arrays `(N, C, ...)`."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from adadfq_core.export.integer.arithmetic import Integers

# Of unfolded windows that are multiplied at a time, so that they stay in the processor's cache.
_ELEMENTS_AT_A_TIME = 2**19


@dataclass(frozen=True)
class Windows:
    """Where the windows of a convolution or of a pooling lie; one number a spatial axis.

    Attributes:
        pads: before and behind each spatial axis.
    """

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    pads: tuple[tuple[int, int], ...]

    def view(self, x: npt.NDArray[Any], fill: int) -> npt.NDArray[Any]:
        """The windows of `x` `(N, C, *size)` as `(N, C, *size of the output, *kernel)`."""
        spatial = tuple(range(2, x.ndim))
        if any(before or behind for before, behind in self.pads):
            x = np.pad(x, ((0, 0), (0, 0), *self.pads), constant_values=fill)
        extent = [(k - 1) * d + 1 for k, d in zip(self.kernel, self.dilations, strict=True)]
        windows = np.lib.stride_tricks.sliding_window_view(x, extent, spatial)
        every = [slice(None, None, s) for s in self.strides]
        inside = [slice(None, None, d) for d in self.dilations]
        return windows[(slice(None), slice(None), *every, *inside)]


def convolve(
    x: Integers,
    weight: Integers,
    windows: Windows,
    groups: int,
    dtype: type[np.float32] | type[np.float64],
) -> Integers:
    """Sums of products of `x` `(N, C, *size)` and `weight` `(O, C / groups, *kernel)`, as int32.

    Args:
        dtype: one in which these sums are exact, see `arithmetic.exact_float`.
    """
    matrix = weight.reshape(groups, len(weight) // groups, -1).astype(dtype)
    view = windows.view(x.astype(dtype), 0)
    axes = x.ndim - 2
    size = view.shape[2 : 2 + axes]
    per_image = math.prod(view.shape[1:])
    chunk = max(1, _ELEMENTS_AT_A_TIME // max(per_image, 1))
    result = np.empty((len(x), len(weight), *size), np.int32)
    order = (0, 1, *range(2 + axes, 2 + 2 * axes), *range(2, 2 + axes))
    for start in range(0, len(x), chunk):
        part = view[start : start + chunk].transpose(order)
        columns = part.reshape(len(part), groups, matrix.shape[2], math.prod(size))
        sums = np.matmul(matrix, columns)
        result[start : start + chunk] = sums.reshape(len(part), len(weight), *size)
    return result


def multiply(x: Integers, weight: Integers, dtype: type[np.float32] | type[np.float64]) -> Integers:
    """Sums of products of `x` `(N, K)` and `weight` `(O, K)`, as int32 `(N, O)`; see `convolve`."""
    sums = np.matmul(x.astype(dtype), weight.T.astype(dtype))
    result: Integers = sums.astype(np.int32)
    return result


def pool_sum(x: Integers, windows: Windows) -> Integers:
    """Sums over windows; what lies outside `x` counts as 0."""
    return _over_windows(x, windows, 0, np.add)


def pool_max(x: Integers, windows: Windows) -> Integers:
    """Maxima over windows; what lies outside `x` is smaller than all."""
    return _over_windows(x, windows, int(np.iinfo(x.dtype).min), np.maximum)


def _over_windows(
    x: Integers, windows: Windows, fill: int, combine: Callable[..., Any]
) -> Integers:
    view = windows.view(x, fill)
    first, *others = np.ndindex(*windows.kernel)
    result: Integers = view[(..., *first)].copy()
    for position in others:
        combine(result, view[(..., *position)], out=result)
    return result
