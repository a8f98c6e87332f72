from __future__ import annotations

import pytest
import torch
from scipy.stats import binomtest

from adadfq_core.export.accuracy import Accuracy, accuracy, agreement


@pytest.mark.parametrize(
    ("correct", "images"), [(0, 1), (1, 1), (0, 30), (30, 30), (1, 2), (7, 30), (9137, 10_000)]
)
def test_the_interval_is_wilsons(correct: int, images: int) -> None:
    expected = binomtest(correct, images).proportion_ci(0.95, method="wilson")
    low, high = Accuracy(correct, images).interval
    assert low == pytest.approx(100 * expected.low, abs=1e-5)
    assert high == pytest.approx(100 * expected.high, abs=1e-5)


def test_an_interval_worked_by_hand() -> None:
    # n = 100, p = 1/2: centre 1/2, half-width z / (2 sqrt(n + z^2)) = 1.96 / (2 * 10.1903).
    low, high = Accuracy(50, 100).interval
    assert (low, high) == (pytest.approx(40.383, abs=1e-3), pytest.approx(59.617, abs=1e-3))


@pytest.mark.parametrize("images", [1, 3, 1000, 10_000_019])
def test_the_interval_stays_within_nought_and_a_hundred(images: int) -> None:
    none, low_end = Accuracy(0, images).interval
    high_end, all_of_them = Accuracy(images, images).interval
    assert 0 <= none < 1e-9 < low_end
    assert high_end < 100 - 1e-9 < all_of_them <= 100


def test_accuracy_counts_largest_logits_that_are_the_label() -> None:
    logits = torch.tensor([[2.0, 1.0, 0.0], [0.0, -1.0, -2.0], [0.0, 1.0, 3.0], [-3.0, -2.0, -4.0]])
    found = accuracy(logits, torch.tensor([0, 1, 2, 1]))
    assert found == Accuracy(correct=3, images=4)
    assert found.top1 == 75


def test_agreement_compares_classes_and_the_worst_logit() -> None:
    first = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    second = torch.tensor([[0.75, 0.0], [0.0, 2.5], [0.0, 1.0]])
    found = agreement(first, second)
    assert (found.same, found.images, found.largest_difference) == (2, 3, 2.5)
    assert found.percent == pytest.approx(200 / 3)
    assert agreement(second, first) == found
