from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from adadfq_core.errors import InputError
from adadfq_core.inspection.fidelity import (
    Neighbourhoods,
    expected_coverage,
    fidelity,
    frechet_distance,
    neighbourhoods,
)


def column(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float64)[:, None]


def normal(count: int, features: int, seed: int, **kwargs: Any) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, features), **kwargs)


def zeros(rows: np.ndarray) -> np.ndarray:
    return np.zeros(len(rows), dtype=np.int64)


def test_neighbourhoods_by_hand() -> None:
    # Real balls reach 2, 2, 3 and 5 far: (-2, 2), (0, 4), (2, 8) and (5, 15).
    real = column(0, 2, 5, 10)
    # Synthetic balls reach 2.5 and 2.5 and 50 far: (-1, 4), (1.5, 6.5) and (4, 104).
    synthetic = column(1.5, 4, 54)
    found = neighbourhoods(real, synthetic, 1)
    assert found.precision == pytest.approx(2 / 3)  # 54 is in none
    assert found.density == pytest.approx(3 / 3)  # 1.5 is in two, 4 in the third
    assert found.coverage == pytest.approx(3 / 4)  # none near 10
    assert found.recall == pytest.approx(4 / 4)
    # Of the 6 others of a real sample 3 are real: one of them is the nearest.
    assert found.expected_coverage == pytest.approx(1 - 3 / 6)


def by_definition(real: np.ndarray, synthetic: np.ndarray, k: int) -> list[float]:
    def distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.sqrt(np.square(a[:, None] - b[None]).sum(axis=2))

    real_radii = np.sort(distances(real, real), axis=1)[:, k]
    radii = np.sort(distances(synthetic, synthetic), axis=1)[:, k]
    between = distances(synthetic, real)
    inside = between < real_radii
    return [
        inside.any(1).mean(),
        inside.sum() / (k * len(synthetic)),
        inside.any(0).mean(),
        (between < radii[:, None]).any(0).mean(),
    ]


def as_list(found: Neighbourhoods) -> list[float | None]:
    return [found.precision, found.density, found.coverage, found.recall]


@pytest.mark.parametrize(("n", "m", "k"), [(60, 40, 5), (30, 90, 3), (7, 6, 5)])
def test_neighbourhoods_by_definition_also_in_blocks(
    n: int, m: int, k: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, synthetic = normal(n, 3, 0), normal(m, 3, 1, loc=0.5)
    expected = by_definition(real, synthetic, k)
    assert as_list(neighbourhoods(real, synthetic, k)) == pytest.approx(expected)
    # About seven rows a block.
    monkeypatch.setattr("adadfq_core.inspection.fidelity._BLOCK_MIB", 7 * n * 8 / 2**20)
    assert as_list(neighbourhoods(real, synthetic, k)) == pytest.approx(expected)


def test_one_distribution_is_recognised_as_such() -> None:
    real, same = normal(800, 4, 0), normal(400, 4, 1)
    found = neighbourhoods(real, same, 5)
    assert found.density == pytest.approx(1, abs=0.1)
    assert found.coverage == pytest.approx(expected_coverage(800, 400, 5), abs=0.05)
    # Of two groups, one is missing.
    groups = real + 20 * (np.arange(800) % 2)[:, None]
    missing = neighbourhoods(groups, same, 5)
    assert missing.precision == pytest.approx(found.precision, abs=0.02)
    assert missing.coverage == pytest.approx(expected_coverage(400, 400, 5) / 2, abs=0.05)
    # All samples are one: realistic, and nothing is covered.
    collapsed = neighbourhoods(real, np.zeros((400, 4)), 5)
    assert (collapsed.precision, collapsed.recall) == (1, 0)
    assert collapsed.coverage is not None and collapsed.coverage < 0.1


def test_frechet_distance_by_hand() -> None:
    # One feature: (m_r - m_s)^2 + (s_r - s_s)^2, with means 1 and 5 and unbiased variances 2, 8.
    distance = frechet_distance(column(0, 2), column(3, 7))
    assert distance == pytest.approx(16 + (np.sqrt(8) - np.sqrt(2)) ** 2)
    # Two features along other directions have no overlap: variances 2 and 8, equal means.
    crossed = frechet_distance(np.array([[-1.0, 0], [1, 0]]), np.array([[0.0, -2], [0, 2]]))
    assert crossed == pytest.approx(2 + 8)


@pytest.mark.parametrize(("n", "m", "features"), [(50, 40, 6), (50, 8, 20), (9, 40, 20)])
def test_frechet_distance_against_scipys_matrix_root(n: int, m: int, features: int) -> None:
    from scipy.linalg import sqrtm

    mixing = normal(features, features, 2)
    real, synthetic = normal(n, features, 0) @ mixing, normal(m, features, 1) + 0.3
    a, b = np.cov(real, rowvar=False), np.cov(synthetic, rowvar=False)
    shift = np.square(real.mean(0) - synthetic.mean(0)).sum()
    root = sqrtm(a @ b)
    expected = shift + np.trace(a) + np.trace(b) - 2 * np.trace(root).real
    # The root of a singular product is only good to half of the digits.
    assert frechet_distance(real, synthetic) == pytest.approx(expected, rel=1e-5)


def test_frechet_distance_of_equal_and_of_shifted_sets() -> None:
    few = normal(10, 50, 0)  # singular: fewer samples than features
    assert frechet_distance(few, few) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(few, few + 0.1) == pytest.approx(50 * 0.01)
    assert frechet_distance(few, 3 * (few - few.mean(0)) + few.mean(0)) == pytest.approx(
        (3 - 1) ** 2 * few.var(axis=0, ddof=1).sum()
    )


def test_classes_by_hand() -> None:
    real = column(0, 2, 10, 10, 7)
    real_labels = np.array([0, 0, 1, 1, 2])
    synthetic = column(3, 7, 1, 5)
    synthetic_labels = np.array([0, 0, 1, 3])
    by_label = {
        row.label: row
        for row in fidelity(real, real_labels, synthetic, synthetic_labels, 1).classes
    }
    assert list(by_label) == [0, 1, 2, 3]
    assert [(row.real, row.synthetic) for row in by_label.values()] == [
        (2, 2),
        (2, 1),
        (1, 0),
        (0, 1),
    ]
    # Means 1 and 5, unbiased spreads sqrt 2 and sqrt 8.
    assert by_label[0].shift == pytest.approx(4 / np.sqrt(2))
    assert by_label[0].spread_ratio == pytest.approx(2)
    assert by_label[0].reason == ""
    for label, reason in ((1, "equal features"), (2, "two real samples"), (3, "there are 0")):
        assert by_label[label].shift is None and by_label[label].spread_ratio is None
        assert reason in by_label[label].reason


def test_a_class_with_one_or_no_synthetic_sample_says_so() -> None:
    real = normal(20, 3, 0)
    labels = np.repeat([0, 1], 10)
    one, none = fidelity(real, labels, real[:1], labels[:1]).classes
    assert one.shift is not None and one.spread_ratio is None
    assert "two synthetic samples" in one.reason
    assert none.shift is None and "no synthetic sample" in none.reason


def test_everything_together_for_one_class_has_nothing_to_add() -> None:
    real, synthetic = normal(60, 4, 0), normal(50, 4, 1, scale=2)
    found = fidelity(real.astype(np.float32), zeros(real), synthetic, zeros(synthetic))
    assert (found.real, found.synthetic, found.neighbours) == (60, 50, 5)
    assert found.notes == ()
    assert as_list(found.neighbourhoods) == pytest.approx(by_definition(real, synthetic, 5))
    assert found.frechet == pytest.approx(frechet_distance(real, synthetic), rel=1e-5)
    (row,) = found.classes
    assert row.spread_ratio == pytest.approx(2, rel=0.2)


def test_a_large_constant_feature_changes_nothing_and_inputs_stay_as_they_are() -> None:
    real, synthetic = normal(60, 4, 0), normal(50, 4, 1)
    plain = fidelity(real, zeros(real), synthetic, zeros(synthetic))
    offset = np.full((60, 1), 1e7)
    wide, synthetic_wide = np.hstack([real, offset]), np.hstack([synthetic, offset[:50]])
    before = wide.copy()
    shifted = fidelity(wide, zeros(wide), synthetic_wide, zeros(synthetic))
    assert as_list(shifted.neighbourhoods) == as_list(plain.neighbourhoods)
    assert shifted.frechet == pytest.approx(plain.frechet)
    assert np.array_equal(wide, before)


def test_samples_with_nan_and_infinity_are_left_out_and_counted() -> None:
    real, synthetic = normal(30, 3, 0), normal(30, 3, 1)
    real[4, 1], synthetic[0, 0], synthetic[7, 2] = np.nan, np.inf, -np.inf
    labels = np.arange(30) % 2
    found = fidelity(real, labels, synthetic, labels)
    assert found.notes == (
        "1 of 30 real samples have NaN or infinite features and are left out.",
        "2 of 30 synthetic samples have NaN or infinite features and are left out.",
    )
    kept = np.delete(synthetic, [0, 7], axis=0)
    expected = by_definition(np.delete(real, 4, axis=0), kept, 5)
    assert as_list(found.neighbourhoods) == pytest.approx(expected)
    assert [(row.real, row.synthetic) for row in found.classes] == [(14, 14), (15, 14)]


@pytest.mark.parametrize(
    ("n", "m", "missing", "notes"),
    [
        (0, 20, "precision density coverage recall frechet", ["no real samples"]),
        (20, 0, "precision density coverage recall frechet", ["no synthetic samples"]),
        (0, 0, "precision density coverage recall frechet", ["no real", "no synthetic"]),
        (5, 20, "precision density coverage", ["more than 5 real samples; there are 5"]),
        (20, 5, "recall", ["more than 5 synthetic samples; there are 5"]),
        (20, 1, "recall frechet", ["Recall needs", "Frechet distance needs two"]),
        (5, 5, "precision density coverage recall", ["Precision", "Recall"]),
    ],
)
def test_what_too_few_samples_cannot_tell(n: int, m: int, missing: str, notes: list[str]) -> None:
    real, synthetic = normal(n, 2, 0), normal(m, 2, 1)
    found = fidelity(real, zeros(real), synthetic, zeros(synthetic))
    for name in ("precision", "density", "coverage", "recall"):
        assert (getattr(found.neighbourhoods, name) is None) == (name in missing)
    assert (found.frechet is None) == ("frechet" in missing)
    assert len(found.notes) == len(notes)
    for note, words in zip(found.notes, notes, strict=True):
        assert words in note


def test_equal_real_samples_have_no_neighbourhoods() -> None:
    real, synthetic = np.full((20, 3), 0.1), normal(20, 3, 0)
    found = fidelity(real, zeros(real), synthetic, zeros(synthetic))
    assert as_list(found.neighbourhoods)[:3] == [None] * 3
    assert found.neighbourhoods.recall is not None
    assert found.frechet == pytest.approx(
        np.square(synthetic.mean(0) - 0.1).sum() + synthetic.var(0, ddof=1).sum()
    )
    (note,) = found.notes
    assert "equal features" in note


def test_a_frechet_distance_of_few_samples_is_called_too_large() -> None:
    real, synthetic = normal(40, 20, 0), normal(20, 20, 1)
    found = fidelity(real, zeros(real), synthetic, zeros(synthetic))
    (note,) = found.notes
    assert "20 samples for 20 features" in note and "too large" in note


@pytest.mark.parametrize(
    ("real", "synthetic", "labels", "neighbours", "message"),
    [
        ((9, 3), (9, 4), 9, 5, "3 features and synthetic ones 4"),
        ((9, 3), (9, 3, 1), 9, 5, r"synthetic features have the shape \(9, 3, 1\)"),
        ((9, 3), (9, 3), 8, 5, r"their labels \(8,\)"),
        ((9, 3), (9, 3), 9, 0, "neighbours is 0; it must be at least 1"),
    ],
)
def test_inputs_that_do_not_fit_together(
    real: tuple[int, ...], synthetic: tuple[int, ...], labels: int, neighbours: int, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        fidelity(np.ones(real), np.ones(9), np.ones(synthetic), np.ones(labels), neighbours)
