"""Principal component analysis that works for any number of points."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

_LARGEST = 1e30  # positions stay finite as float32 whatever the features are
_RANK_TOLERANCE = 1e-9  # a smaller share of the largest singular value is rounding error


@dataclass(frozen=True, eq=False)
class PcaMap:
    """A linear map: `mean` is `(D,)`, `axes` is `(k, D)` with rows of length 1, or 0 if unused."""

    mean: NDArray[np.float64]
    axes: NDArray[np.float64]

    def place(self, rows: NDArray[np.float64]) -> NDArray[np.float32]:
        """Positions `(M, k)` of `rows` `(M, D)`, in the unit of the features.

        A row's position does not depend on the other rows, to the last bit.
        """
        # A matrix product would round differently for different numbers of rows.
        centred = rows - self.mean
        scores = np.stack([(centred * axis).sum(axis=1) for axis in self.axes], axis=1)
        positions: NDArray[np.float32] = np.clip(scores, -_LARGEST, _LARGEST).astype(np.float32)
        return positions


def fit_pca(rows: NDArray[np.float64], n_components: int) -> PcaMap:
    """The first principal axes of `rows` `(N, D)`, `N >= 1`; axes beyond the rank are zero.

    The result is the same for any number of BLAS threads; an axis' largest entry is positive.
    """
    mean = rows.mean(axis=0)
    with threadpool_limits(limits=1):
        _, values, vectors = np.linalg.svd(rows - mean, full_matrices=False)
    axes = np.zeros((n_components, rows.shape[1]))
    # Equal points leave singular values of rounding error; they must not get an axis.
    rounding = np.abs(rows).max() * np.finfo(np.float64).eps * np.sqrt(rows.size)
    floor = max(values[0] * _RANK_TOLERANCE, rounding)
    rank = min(n_components, int((values > floor).sum()))
    for index in range(rank):
        vector = vectors[index]
        axes[index] = vector * np.sign(vector[np.abs(vector).argmax()])
    return PcaMap(mean, axes)
