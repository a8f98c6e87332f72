"""UMAP with a transform whose positions do not depend on the batch.

The layout is optimised by umap-learn's own compiled kernel. The graph around it is built here:
exact neighbours (a few thousand points need no approximate index, which alone compiles for ten
seconds) and memberships as in McInnes et al. 2018 (arXiv 1802.03426, algorithms 2 to 4). Against
`umap.UMAP` on 2,000 penultimate features of a ResNet-20 this gives the same trustworthiness
(0.964) and the same distance of transformed copies from their originals.

umap-learn and scipy are imported when first needed, by helper processes alone: importing
umap-learn takes about two seconds, and about fifteen on the first time after its installation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from adadfq_core.embedding.pca import fit_pca
from adadfq_core.embedding.settings import Metric, ProjectionSettings

if TYPE_CHECKING:
    from scipy import sparse

Told: TypeAlias = Callable[[str, float | None], None]
"""Is told a stage of a fit, and how much of it is done, within [0, 1], where that is known."""

MIN_POINTS = 16
"""Distinct points below which a neighbourhood graph says nothing and UMAP is not used."""

_FIT_EPOCHS = 500
_TRANSFORM_EPOCHS = 100
_TRANSFORM_RATE = 0.25
_NEGATIVE_SAMPLES = 5.0
_BLOCK_ROWS = 256  # queries whose distances to all rows are in memory at once
_BISECTIONS = 64
_NARROWEST = 1e-3  # of a row's mean distance: the least bandwidth
_TELL_SECONDS = 0.25
_SCIPY_METRICS: dict[Metric, str] = {
    "euclidean": "euclidean",
    # Of rows of length 1: twice the cosine distance, and memberships ignore a factor.
    "cosine": "sqeuclidean",
    "manhattan": "cityblock",
}


def metric_rows(features: NDArray[np.float64], metric: Metric) -> NDArray[np.float64]:
    """`features` `(N, D)` as the distance wants them: of length 1 for `cosine`, zeros kept."""
    if metric != "cosine":
        return features
    lengths = np.sqrt((features * features).sum(axis=1, keepdims=True))
    return features / np.where(lengths > 0, lengths, 1.0)


@dataclass(frozen=True, eq=False)
class UmapMap:
    """A finished layout and what placing further rows into it needs.

    `rows` are the `(n, D)` distinct metric rows that were laid out, `layout` is `(n, k)`.
    """

    rows: NDArray[np.float64]
    layout: NDArray[np.float32]
    settings: ProjectionSettings

    def place(self, features: NDArray[np.float64]) -> NDArray[np.float32]:
        """Positions `(M, k)` of finite `features` `(M, D)`, `M >= 1`, among the laid out rows.

        Each row starts at the weighted mean of its nearest laid out rows and is refined by
        stochastic gradient steps against them; they stay where they are. The random numbers of
        a row depend on the seed and on its start alone: equal rows get equal positions, whatever
        the batch, to the last bit. A row far from all others is drawn near its nearest ones, as
        UMAP has no notion of "elsewhere".
        """
        from umap.layouts import optimize_layout_euclidean

        queries = metric_rows(features, self.settings.metric)
        count = usable_neighbors(self.settings, len(self.rows))
        nearest, distances = _neighbours(queries, self.rows, count, self.settings.metric)
        weights = _memberships(distances, np.zeros(len(queries)))
        # umap-learn relates weights to the batch's largest; a row's own keeps rows independent.
        weights /= weights.max(axis=1, keepdims=True)
        shares = weights / weights.sum(axis=1, keepdims=True)
        start = (shares[:, :, None] * self.layout[nearest]).sum(axis=1).astype(np.float32)
        used = weights >= 1 / _TRANSFORM_EPOCHS
        heads = np.repeat(np.arange(len(queries), dtype=np.int32), used.sum(axis=1))
        placed: NDArray[np.float32] = optimize_layout_euclidean(
            start,
            self.layout.copy(),
            heads,
            nearest[used],
            _TRANSFORM_EPOCHS,
            len(self.rows),
            1 / weights[used],
            *_curve(self.settings.min_dist),
            _kernel_seed(np.random.RandomState(self.settings.seed)),
            1.0,
            _TRANSFORM_RATE,
            _NEGATIVE_SAMPLES,
            False,
            move_other=False,
        )
        return placed


def usable_neighbors(settings: ProjectionSettings, points: int) -> int:
    """`n_neighbors`, lowered to what `points` distinct points can offer."""
    return min(settings.n_neighbors, points - 1)


def silent(_stage: str, _share: float | None) -> None:
    """For whoever wants to be told nothing."""


class _Epochs:
    """The text stream of a progress bar that writes nothing but how many epochs are done."""

    def __init__(self, told: Told) -> None:
        self._told = told

    def write(self, text: str) -> None:
        if text.strip().isdigit():
            self._told("laying out the map", int(text) / _FIT_EPOCHS)

    def flush(self) -> None:
        """There is nothing to flush."""


def fit_layout(
    rows: NDArray[np.float64], settings: ProjectionSettings, told: Told = silent
) -> NDArray[np.float32]:
    """UMAP layout `(n, k)` of distinct metric rows `(n, D)`, `n >= MIN_POINTS`.

    The same for the same rows and settings on the same machine and library versions. The start
    is PCA with a little noise: unlike the spectral start it exists for disconnected groups and
    tiny graphs, and it keeps the arrangement of groups better.

    Args:
        told: hears of the stages some times a second; it must not raise.
    """
    from umap.layouts import optimize_layout_euclidean

    random = np.random.RandomState(settings.seed)
    start = fit_pca(rows, settings.n_components).place(rows).astype(np.float64)
    start *= 10 / max(float(np.abs(start).max()), float(np.finfo(np.float32).tiny))
    # The noise also spreads a coordinate in which all points coincide (features on a line).
    start += random.normal(scale=1e-4, size=start.shape)
    start = 10 * (start - start.min(axis=0)) / np.ptp(start, axis=0)
    layout = np.ascontiguousarray(start, dtype=np.float32)

    told("looking for neighbours", None)
    edges = _graph(rows, usable_neighbors(settings, len(rows)), settings.metric)
    optimised: NDArray[np.float32] = optimize_layout_euclidean(
        layout,
        layout,
        edges.row,
        edges.col,
        _FIT_EPOCHS,
        len(rows),
        edges.data.max() / edges.data,
        *_curve(settings.min_dist),
        _kernel_seed(random),
        1.0,
        1.0,
        _NEGATIVE_SAMPLES,
        False,
        # The kernel's own progress bar: in slices of epochs it would begin its random numbers anew.
        tqdm_kwds={
            "disable": False,
            "file": _Epochs(told),
            "bar_format": "{n}",
            "mininterval": _TELL_SECONDS,
        },
        move_other=True,
    )
    return optimised


def warm_up() -> None:
    """Import umap-learn and compile its kernel in this process (see the module's docstring).

    numba stores what umap-learn compiles at its import beside that package; the kernel itself
    (0.6 s) is compiled by each process anew.
    """
    settings = ProjectionSettings()
    rows = np.random.RandomState(0).normal(size=(2 * MIN_POINTS, 4))
    UmapMap(rows, fit_layout(rows, settings), settings).place(rows)


def _neighbours(
    queries: NDArray[np.float64], rows: NDArray[np.float64], count: int, metric: Metric
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Indices and distances `(M, count)` of the rows nearest to each query, nearest first."""
    from scipy.spatial.distance import cdist

    nearest = np.empty((len(queries), count), dtype=np.int32)
    distances = np.empty((len(queries), count))
    for begin in range(0, len(queries), _BLOCK_ROWS):
        block = slice(begin, begin + _BLOCK_ROWS)
        # Pair by pair, not by a matrix product, whose rounding depends on the batch.
        table = cdist(queries[block], rows, _SCIPY_METRICS[metric])
        found = np.argpartition(table, count - 1, axis=1)[:, :count]
        order = np.take_along_axis(table, found, axis=1).argsort(axis=1, kind="stable")
        nearest[block] = np.take_along_axis(found, order, axis=1)
        distances[block] = np.take_along_axis(table, nearest[block], axis=1)
    return nearest, distances


def _memberships(
    distances: NDArray[np.float64], offsets: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Membership strengths in (0, 1] of the neighbours at sorted `distances` `(M, count)`.

    `exp(-(distance - offset) / bandwidth)`, the bandwidth of each row such that the strengths
    but the first sum to `log2(count)`. As in umap-learn, the first is the point itself when
    fitting, and the same rule is kept when placing new points, with an offset of zero.
    """
    beyond = np.maximum(distances - offsets[:, None], 0.0)
    target = np.log2(distances.shape[1])
    scale = np.maximum(distances.mean(axis=1), np.finfo(np.float64).tiny)
    low, high, bandwidth = np.zeros_like(scale), np.full_like(scale, np.inf), scale.copy()
    for _ in range(_BISECTIONS):
        too_wide = np.exp(-beyond[:, 1:] / bandwidth[:, None]).sum(axis=1) > target
        high = np.where(too_wide, bandwidth, high)
        low = np.where(too_wide, low, bandwidth)
        bandwidth = np.where(np.isinf(high), 2 * bandwidth, (low + high) / 2)
    bandwidth = np.maximum(bandwidth, _NARROWEST * scale)
    strengths: NDArray[np.float64] = np.exp(-beyond / bandwidth[:, None])
    return strengths


def _graph(rows: NDArray[np.float64], count: int, metric: Metric) -> sparse.coo_matrix:
    """Symmetric graph of the rows' neighbourhoods, without edges too weak to be ever sampled."""
    from scipy import sparse

    nearest, distances = _neighbours(rows, rows, count, metric)
    closest = np.where(distances > 0, distances, np.inf).min(axis=1)
    strengths = _memberships(distances, np.where(np.isinf(closest), 0.0, closest))
    heads = np.repeat(np.arange(len(rows), dtype=np.int32), count)
    strengths[nearest == np.arange(len(rows))[:, None]] = 0.0
    one_way = sparse.coo_matrix(
        (strengths.ravel(), (heads, nearest.ravel())), shape=(len(rows), len(rows))
    ).tocsr()
    other_way = one_way.T.tocsr()
    union = (one_way + other_way - one_way.multiply(other_way)).tocoo()
    union.data[union.data < union.data.max() / _FIT_EPOCHS] = 0.0
    union.eliminate_zeros()
    return union


@lru_cache(maxsize=8)
def _curve(min_dist: float) -> tuple[float, float]:
    """Parameters a, b of UMAP's similarity `1 / (1 + a d^(2b))` in the layout."""
    from umap.umap_ import find_ab_params

    a, b = find_ab_params(1.0, min_dist)
    return float(a), float(b)


def _kernel_seed(random: np.random.RandomState) -> NDArray[np.int64]:
    """Three numbers in the range that umap-learn seeds its kernel from."""
    return random.randint(-(2**31) + 1, 2**31 - 1, 3).astype(np.int64)
