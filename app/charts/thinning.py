"""Fewer points for long lines, chosen so that a line does not flicker while it grows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from tsdownsample import M4Downsampler

# M4 keeps so many points of a bucket: its first, lowest, highest and last.
KEPT_OF_BUCKET = 4
# Smaller buckets would not shorten the line.
SMALLEST_BUCKET = 8


def thin(
    x: Sequence[float] | np.ndarray, y: Sequence[float] | np.ndarray, points: int
) -> tuple[np.ndarray, np.ndarray]:
    """The points of one line that its drawing needs; all of them up to `points`.

    Of each bucket of 2^n points M4 keeps the first, the lowest, the highest and the last, so every
    peak and both ends of the line stay. The points after the last full bucket are all kept. What
    makes refreshes calm: buckets begin at fixed points of the series and only double in width, so a
    longer series changes nothing before its last bucket, and a point once left out never returns.

    NaN and infinities are gaps. A gap that is shorter than a bucket may be bridged.

    Args:
        x, y: `(n,)` each; arrays spare the time that converting long lists takes.
        points: at least 4. The result has at most twice as many up to n = points^2 / 8.

    Returns:
        x and y of the chosen points; y has NaN for every value that is not finite.
    """
    values = np.array(y, dtype=np.float64)
    values[~np.isfinite(values)] = np.nan
    chosen = _chosen(values, points)
    return np.asarray(x)[chosen], values[chosen]


def _chosen(values: np.ndarray, points: int) -> np.ndarray:
    """Ascending indices of the points to keep."""
    count = len(values)
    if count <= points:
        return np.arange(count)
    width = SMALLEST_BUCKET
    while KEPT_OF_BUCKET * (count // width) > points:
        width *= 2
    full = count - count % width
    # Given no x, the library's buckets hold the same number of points each.
    kept = M4Downsampler().downsample(values[:full], n_out=KEPT_OF_BUCKET * (full // width))
    # The rest is shorter than a bucket, but of a very long series that can still be too much.
    rest = full + _chosen(values[full:], points)
    return np.concatenate([np.unique(kept).astype(np.int64), rest])
