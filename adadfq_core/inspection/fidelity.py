"""Is what G invents anything like the real data? Numbers over features of one network.

The features are a network's penultimate ones, of P or of Q (`embedding.features`): how far the
invented images are from the real ones is told as that network sees it.

- Neighbourhoods: density and coverage (Naeem et al. 2020, arXiv 2002.09797, section 3), precision
  and recall (Kynkaanniemi et al. 2019, arXiv 1904.06991). A sample's neighbourhood is the open
  ball that reaches to its k-th nearest other sample of the same set.
- Frechet distance between the Gaussians fitted to both sets (Heusel et al. 2017, arXiv
  1706.08500), on these features and not on Inception's: only comparable for one network.
- Mean and spread of each class.

5,000 x 2,048 real against 1,000 synthetic features take seconds and less than 1 GB: distances are
made in blocks and no covariance matrix is made at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from adadfq_core.errors import InputError

Rows: TypeAlias = NDArray[np.float64]

NEIGHBOURS = 5
"""k as Naeem et al. recommend it."""

_BLOCK_MIB = 64  # distances that are in memory at once


@dataclass(frozen=True)
class Neighbourhoods:
    """Shares of one set that lie in neighbourhoods of the other; `None` where there are none.

    Attributes:
        precision: share of synthetic samples in any real neighbourhood, 0..1: realistic ones.
        density: real neighbourhoods a synthetic sample is in, over k; 1 is expected where both
            sets have one distribution, and it may exceed 1.
        coverage: share of real neighbourhoods with a synthetic sample in them, 0..1.
        expected_coverage: coverage expected where both sets have one distribution: below 1,
            the more so the fewer synthetic samples there are.
        recall: share of real samples in any synthetic neighbourhood, 0..1.
    """

    precision: float | None
    density: float | None
    coverage: float | None
    expected_coverage: float | None
    recall: float | None


@dataclass(frozen=True)
class ClassFidelity:
    """How one class came out.

    Attributes:
        label: class index.
        real: real samples of the class.
        synthetic: synthetic samples of which G was asked for the class.
        shift: distance of the synthetic from the real mean in units of the real spread, which is
            the root mean square distance of samples from their mean; `None` if there is none.
        spread_ratio: synthetic over real spread; `None` if there is none.
        reason: why shift or spread ratio are `None`; "" where both are there.
    """

    label: int
    real: int
    synthetic: int
    shift: float | None
    spread_ratio: float | None
    reason: str = ""


@dataclass(frozen=True)
class Fidelity:
    """What could be computed, and in `notes`, a sentence each, what could not and why.

    Attributes:
        real: real samples that were compared.
        synthetic: synthetic samples that were compared.
        neighbours: k.
        neighbourhoods: density, coverage, precision and recall.
        frechet: Frechet distance of features, in squared units of a feature; 0 for equal means
            and covariances; `None` where either set has fewer than two samples.
        classes: every class that either set has, by its index.
        notes: to be shown beside the numbers.
    """

    real: int
    synthetic: int
    neighbours: int
    neighbourhoods: Neighbourhoods
    frechet: float | None
    classes: tuple[ClassFidelity, ...]
    notes: tuple[str, ...]


def fidelity(
    real: NDArray[Any],
    real_labels: NDArray[Any],
    synthetic: NDArray[Any],
    synthetic_labels: NDArray[Any],
    neighbours: int = NEIGHBOURS,
) -> Fidelity:
    """Compare synthetic with real features of one network.

    Samples with NaN or infinite features are left out, and a note says so.

    Args:
        real: `(N, D)`, N may be 0.
        real_labels: `(N,)` class indices.
        synthetic: `(M, D)`, M may be 0.
        synthetic_labels: `(M,)` classes that G was asked for.
        neighbours: k, at least 1.

    Raises:
        InputError: shapes that do not fit together, or k below 1.
    """
    _check(real, real_labels, synthetic, synthetic_labels, neighbours)
    notes: list[str] = []
    real_rows, real_classes = _finite(real, real_labels, "real", notes)
    rows, classes = _finite(synthetic, synthetic_labels, "synthetic", notes)
    for name, count in (("real", len(real_rows)), ("synthetic", len(rows))):
        if count == 0:
            notes.append(f"There are no {name} samples, so there is nothing to compare.")
    if len(real_rows) and len(rows):
        # A feature far from zero would cost the distances their digits.
        centre = real_rows.mean(axis=0)
        real_rows -= centre
        rows -= centre
        notes += _reservations(real_rows, rows, neighbours)
    return Fidelity(
        real=len(real_rows),
        synthetic=len(rows),
        neighbours=neighbours,
        neighbourhoods=neighbourhoods(real_rows, rows, neighbours),
        frechet=frechet_distance(real_rows, rows),
        classes=_by_class(real_rows, real_classes, rows, classes),
        notes=tuple(notes),
    )


def neighbourhoods(real: Rows, synthetic: Rows, k: int) -> Neighbourhoods:
    """Density, coverage, precision and recall of finite features `(N, D)` and `(M, D)`.

    Real neighbourhoods are needed for all but recall, synthetic ones for recall. There are none
    where a set has at most k samples, or where all of the real ones are equal.
    """
    real_radii = None if len(real) and _all_equal(real) else _radii(real, k)
    radii = _radii(synthetic, k)
    if not len(real) or not len(synthetic) or (real_radii is None and radii is None):
        return Neighbourhoods(None, None, None, None, None)
    # scikit-learn takes a second to import.
    from sklearn.metrics import pairwise_distances_chunked

    memberships = realistic = start = 0
    covered = np.zeros(len(real), dtype=bool)
    recalled = np.zeros(len(real), dtype=bool)
    for distances in pairwise_distances_chunked(synthetic, real, working_memory=_BLOCK_MIB):
        stop = start + len(distances)
        if real_radii is not None:
            inside = distances < real_radii
            memberships += int(inside.sum())
            realistic += int(inside.any(axis=1).sum())
            covered |= inside.any(axis=0)
        if radii is not None:
            recalled |= (distances < radii[start:stop, None]).any(axis=0)
        start = stop
    recall = None if radii is None else float(recalled.mean())
    if real_radii is None:
        return Neighbourhoods(None, None, None, None, recall)
    return Neighbourhoods(
        precision=realistic / len(synthetic),
        density=memberships / (k * len(synthetic)),
        coverage=float(covered.mean()),
        expected_coverage=expected_coverage(len(real), len(synthetic), k),
        recall=recall,
    )


def expected_coverage(real: int, synthetic: int, k: int) -> float:
    """Coverage expected of `synthetic` samples from the very distribution of `real` others.

    A real neighbourhood is empty if the k nearest of all other samples are real ones, as the
    analysis of Naeem et al. has it. `real` is larger than k.
    """
    steps = np.arange(1, k + 1)
    return float(1 - np.prod((real - steps) / (real + synthetic - steps)))


def frechet_distance(real: Rows, synthetic: Rows) -> float | None:
    """Frechet distance of the Gaussians fitted to finite features `(N, D)` and `(M, D)`.

    `|m_r - m_s|^2 + tr(S_r) + tr(S_s) - 2 tr((S_r^1/2 S_s S_r^1/2)^1/2)` with unbiased
    covariances S (Heusel et al. 2017, arXiv 1706.08500, section 2). With centred features
    `X = Q R`, `S = R^T R / (N - 1)`, the roots of that symmetric product's eigenvalues are the
    singular values of `R_r R_s^T`: real and not negative for singular covariances too, and no
    digits are lost by squaring. `None` where either set has fewer than two samples.
    """
    if len(real) < 2 or len(synthetic) < 2:
        return None
    means = [rows.mean(axis=0) for rows in (real, synthetic)]
    centred = [rows - mean for rows, mean in zip((real, synthetic), means, strict=True)]
    r, s = (np.linalg.qr(c, mode="r") / np.sqrt(len(c) - 1) for c in centred)
    overlap = np.linalg.svd(r @ s.T, compute_uv=False).sum()
    shift = np.square(means[0] - means[1]).sum()
    distance = shift + np.square(r).sum() + np.square(s).sum() - 2 * overlap
    # Rounding may leave less than nothing of equal sets.
    return max(float(distance), 0.0)


def _check(
    real: NDArray[Any],
    real_labels: NDArray[Any],
    synthetic: NDArray[Any],
    synthetic_labels: NDArray[Any],
    neighbours: int,
) -> None:
    for name, features, labels in (
        ("real", real, real_labels),
        ("synthetic", synthetic, synthetic_labels),
    ):
        if features.ndim != 2 or labels.shape != features.shape[:1]:
            raise InputError(
                f"The {name} features have the shape {features.shape} and their labels "
                f"{labels.shape}; give features (samples, features) and a label a sample."
            )
    if real.shape[1] != synthetic.shape[1]:
        raise InputError(
            f"Real samples have {real.shape[1]} features and synthetic ones "
            f"{synthetic.shape[1]}; take both from the same layer of the same network."
        )
    if neighbours < 1:
        raise InputError(f"neighbours is {neighbours}; it must be at least 1.")


def _finite(
    features: NDArray[Any], labels: NDArray[Any], name: str, notes: list[str]
) -> tuple[Rows, NDArray[Any]]:
    """Copies of the rows without NaN and infinity, and their labels; a note counts the others."""
    kept = np.isfinite(features).all(axis=1)
    left_out = len(kept) - int(kept.sum())
    if left_out:
        notes.append(
            f"{left_out} of {len(kept)} {name} samples have NaN or infinite features and are "
            "left out."
        )
    return features[kept].astype(np.float64), labels[kept]


def _reservations(real: Rows, synthetic: Rows, k: int) -> list[str]:
    """What cannot be told, or not well, of two sets that are not empty, a sentence each."""
    told = []
    if len(real) <= k:
        told.append(
            f"Precision, density and coverage need more than {k} real samples; "
            f"there are {len(real)}."
        )
    elif _all_equal(real):
        told.append(
            "All real samples have equal features, so they have no neighbourhoods and precision, "
            "density and coverage say nothing."
        )
    if len(synthetic) <= k:
        told.append(f"Recall needs more than {k} synthetic samples; there are {len(synthetic)}.")
    fewest, features = min(len(real), len(synthetic)), real.shape[1]
    if fewest < 2:
        told.append(
            "The Frechet distance needs two samples of each kind; there are "
            f"{len(real)} real and {len(synthetic)} synthetic ones."
        )
    elif fewest <= features:
        told.append(
            f"The Frechet distance rests on {fewest} samples for {features} features, which makes "
            "it too large; compare it between equally many samples only."
        )
    return told


def _all_equal(rows: Rows) -> bool:
    return bool((rows == rows[0]).all())


def _radii(rows: Rows, k: int) -> Rows | None:
    """Distance `(N,)` of each row to its k-th nearest other; `None` where there are too few."""
    if len(rows) <= k:
        return None
    # scikit-learn takes a second to import.
    from sklearn.neighbors import NearestNeighbors

    # A tree does not help among hundreds of features.
    distances, _ = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(rows).kneighbors()
    radii: Rows = distances[:, -1]
    return radii


def _by_class(
    real: Rows, real_labels: NDArray[Any], synthetic: Rows, synthetic_labels: NDArray[Any]
) -> tuple[ClassFidelity, ...]:
    labels = np.union1d(real_labels, synthetic_labels)
    return tuple(
        _one_class(int(label), real[real_labels == label], synthetic[synthetic_labels == label])
        for label in labels
    )


def _one_class(label: int, real: Rows, synthetic: Rows) -> ClassFidelity:
    shift = ratio = None
    reason = ""
    spread = _spread(real) if len(real) > 1 else 0.0
    if len(real) < 2:
        reason = f"a spread needs two real samples, there are {len(real)}"
    elif spread == 0:
        reason = "the real samples have equal features, so they have no spread"
    elif not len(synthetic):
        reason = "there is no synthetic sample"
    else:
        shift = float(np.linalg.norm(synthetic.mean(axis=0) - real.mean(axis=0))) / spread
        if len(synthetic) > 1:
            ratio = _spread(synthetic) / spread
        else:
            reason = "a spread needs two synthetic samples, there is 1"
    return ClassFidelity(label, len(real), len(synthetic), shift, ratio, reason)


def _spread(rows: Rows) -> float:
    """Root mean square distance of two or more rows from their mean (divided by n - 1)."""
    if _all_equal(rows):  # whose mean may differ from them by rounding
        return 0.0
    return float(np.sqrt(np.square(rows - rows.mean(axis=0)).sum() / (len(rows) - 1)))
