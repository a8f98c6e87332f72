"""Features to positions: fitted once on real features, then applied to any others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from adadfq_core.embedding.pca import PcaMap, fit_pca
from adadfq_core.embedding.settings import Method, ProjectionSettings
from adadfq_core.embedding.umap_map import (
    MIN_POINTS,
    UmapMap,
    fit_layout,
    metric_rows,
    usable_neighbors,
)
from adadfq_core.errors import InputError

LayoutMaker = Callable[[NDArray[np.float64], ProjectionSettings], NDArray[np.float32]]

_COLLAPSED_SPREAD = 0.02  # of the real features' spread


@dataclass(frozen=True, eq=False)
class Projection:
    """A map from `D` features to `k` coordinates that does not change any more.

    Attributes:
        method: what was used in the end; PCA may stand in for UMAP, then `notice` says so.
        positions: `(N, k)` of the real features, read-only; NaN where a row was not finite.
        notice: sentences for the user, empty if there is nothing to say.
        spread: root of the summed variances of the real features, in their unit.
    """

    settings: ProjectionSettings
    method: Method
    positions: NDArray[np.float32]
    notice: str
    spread: float
    map: PcaMap | UmapMap
    dimensions: int

    def transform(self, features: ArrayLike) -> NDArray[np.float32]:
        """Positions `(M, k)` of features `(M, D)`; NaN for exactly the rows that are not finite.

        A row's position depends on nothing but the row: not on its batch, nor on earlier calls.

        Raises:
            InputError: not a table of `D` columns.
        """
        rows = feature_table(features, self.dimensions)
        return _place_finite(self.map, rows, self.settings.n_components)

    def transform_notice(self, features: ArrayLike) -> str:
        """What a viewer of these generated features `(M, D)` should know; empty if nothing.

        Names rows that are not finite, and signs of a collapsed generator: mostly repeated rows,
        or rows that differ by next to nothing.

        Raises:
            InputError: not a table of `D` columns.
        """
        rows = feature_table(features, self.dimensions)
        finite = rows[np.isfinite(rows).all(axis=1)].astype(np.float64)
        sentences = [_lost_rows(len(rows), len(finite), "generated")]
        distinct = len(_first_occurrences(finite)[0])
        if len(finite) > 1:
            if 2 * distinct <= len(finite):
                sentences.append(
                    f"Only {_points(distinct)} among {len(finite)} generated ones: "
                    "a sign of a collapsed generator."
                )
            elif _spread(finite) < _COLLAPSED_SPREAD * self.spread:
                share = _spread(finite) / self.spread
                sentences.append(
                    f"Generated features vary {share:.1%} as much as real ones: "
                    "a sign of a collapsed generator."
                )
        return _text(sentences)


def fit_projection(
    real: ArrayLike, settings: ProjectionSettings, make_layout: LayoutMaker = fit_layout
) -> Projection:
    """Fit a projection on real features `(N, D)`, `N >= 1`.

    Repeated rows are laid out once. PCA stands in where UMAP cannot work: fewer than
    `MIN_POINTS` distinct rows; coordinates that even PCA lacks are zero.

    Args:
        real: features, `(N, D)`, computed with as float32; rows with NaN or infinity are left out.
        settings: method and its parameters.
        make_layout: where UMAP's layout of the distinct rows comes from.

    Raises:
        InputError: not a table, or no finite row in it.
    """
    table = feature_table(real)
    keep = np.isfinite(table).all(axis=1)
    if not keep.any():
        raise InputError(
            f"None of the {len(table)} real feature rows is finite; "
            "check the network and its input images."
        )
    finite = table[keep].astype(np.float64)
    sentences = [_lost_rows(len(table), len(finite), "real")]
    metric = settings.metric if settings.method == "umap" else "euclidean"
    rows = metric_rows(finite, metric)
    first, inverse = _first_occurrences(rows)
    few = f"Only {_points(len(first))} among {len(finite)} real ones"

    projector: PcaMap | UmapMap | None = None
    if settings.method == "umap" and len(first) < MIN_POINTS:
        sentences.append(f"{few}: too few for UMAP, which needs {MIN_POINTS}; PCA is shown.")
    elif 2 * len(first) <= len(finite):
        sentences.append(f"{few}.")
    positions = np.full((len(table), settings.n_components), np.nan, dtype=np.float32)
    if settings.method == "umap" and len(first) >= MIN_POINTS:
        layout = make_layout(rows[first], settings)
        if np.isfinite(layout).all():
            projector = UmapMap(rows[first], layout, settings)
            positions[keep] = layout[inverse]
            lowered = usable_neighbors(settings, len(first))
            if lowered < settings.n_neighbors:
                sentences.append(
                    f"n_neighbors is lowered from {settings.n_neighbors} to {lowered}, "
                    f"as there are {_points(len(first))}."
                )
        else:
            sentences.append("UMAP found no finite layout; PCA is shown.")
    if projector is None:
        projector = fit_pca(finite, settings.n_components)
        positions[keep] = projector.place(finite)
    positions.setflags(write=False)
    return Projection(
        settings=settings,
        method="umap" if isinstance(projector, UmapMap) else "pca",
        positions=positions,
        notice=_text(sentences),
        spread=_spread(finite),
        map=projector,
        dimensions=table.shape[1],
    )


def feature_table(features: ArrayLike, dimensions: int | None = None) -> NDArray[np.float32]:
    """`features` as float32 `(N, D)`; values too large for it become infinite.

    Raises:
        InputError: not two-dimensional, or not of `dimensions` columns.
    """
    with np.errstate(over="ignore"):
        table = np.asarray(features, dtype=np.float32)
    if table.ndim != 2 or table.shape[1] == 0:
        raise InputError(
            f"Features must be a table of rows and columns, but their shape is {table.shape}."
        )
    if dimensions is not None and table.shape[1] != dimensions:
        raise InputError(
            f"These features have {table.shape[1]} columns, but the projection was fitted "
            f"on {dimensions}; take them from the same layer."
        )
    return table


def _place_finite(
    projector: PcaMap | UmapMap, rows: NDArray[np.float32], n_components: int
) -> NDArray[np.float32]:
    positions = np.full((len(rows), n_components), np.nan, dtype=np.float32)
    keep = np.isfinite(rows).all(axis=1)
    if keep.any():
        positions[keep] = projector.place(rows[keep].astype(np.float64))
    return positions


def _first_occurrences(
    rows: NDArray[np.float64],
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Indices of the distinct rows in order of appearance, and for each row which one it is."""
    numbers: dict[bytes, int] = {}
    first: list[int] = []
    inverse = np.empty(len(rows), dtype=np.intp)
    for index, row in enumerate(rows + 0.0):  # the sum turns -0.0 into 0.0
        number = numbers.setdefault(row.tobytes(), len(first))
        if number == len(first):
            first.append(index)
        inverse[index] = number
    return np.array(first, dtype=np.intp), inverse


def _spread(rows: NDArray[np.float64]) -> float:
    return float(np.sqrt(rows.var(axis=0).sum()))


def _points(count: int) -> str:
    return f"{count} distinct point{'' if count == 1 else 's'}"


def _lost_rows(rows: int, finite: int, kind: str) -> str:
    lost = rows - finite
    if lost == 0:
        return ""
    return f"{lost} of {rows} {kind} feature rows are not finite and are left out."


def _text(sentences: list[str]) -> str:
    return " ".join(sentence for sentence in sentences if sentence)
