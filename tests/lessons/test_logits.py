from __future__ import annotations

import math

import numpy as np
import pytest

from adadfq_core.lessons.logits import judge
from adadfq_core.settings import RunSettings


def test_full_agreement_is_h_prime_1_and_keeps_the_answer() -> None:
    judged = judge((2, 0, 0), (2, 0, 0))
    assert judged.h_prime == pytest.approx(1) and judged.adaptability == pytest.approx(0)
    np.testing.assert_allclose(judged.p_ds, 1 / 3)
    e4 = math.exp(4)
    np.testing.assert_allclose(judged.p_as, np.array([e4, 1, 1]) / (e4 + 2))
    assert judged.p_answer == judged.q_answer == 0 and not judged.answers_differ


def test_the_sharpest_sample_of_the_batch_has_h_prime_0() -> None:
    judged = judge((6, -6, 0), (-6, 6, 0))
    assert judged.h_prime == 0 and (judged.others > 0).all()
    # With a mild sample the sharpest of the fixed ones is the batch's least.
    mild = judge((2, 0, 0), (0, 2, 0))
    assert mild.others.min() == 0 and mild.others.max() == pytest.approx(1)


def test_h_prime_by_hand() -> None:
    judged = judge((2, 0, 0), (0, 2, 0))

    def entropy(logits: tuple[float, ...]) -> float:
        shares = np.exp(logits) / np.exp(logits).sum()
        return float(-(shares * np.log(shares)).sum())

    least = entropy((6, -6, 0))
    expected = (entropy((2, -2, 0)) - least) / (math.log(3) - least)
    assert judged.h_prime == pytest.approx(expected)
    assert judged.answers_differ


def test_two_classes_in_the_first_place_are_no_answer() -> None:
    judged = judge((1, 1, 0), (0, 0, 3))
    assert judged.p_answer is None and judged.q_answer == 2 and not judged.answers_differ


def test_the_fixed_samples_lie_on_both_sides_and_inside_of_the_margin() -> None:
    others, settings = judge((0, 0, 0), (0, 0, 0)).others, RunSettings()
    inside = (others >= settings.lambda_l) & (others <= settings.lambda_u)
    assert (others < settings.lambda_l).any() and (others > settings.lambda_u).any()
    assert inside.any()
