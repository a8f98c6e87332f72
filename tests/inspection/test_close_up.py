from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from adadfq_core.errors import InputError
from adadfq_core.game.methods import losses
from adadfq_core.inspection.close_up import TOP, close_up
from adadfq_core.settings import RunSettings, make_settings


def settings(**changes: Any) -> RunSettings:
    return make_settings({"lambda_l": 0.1, "lambda_u": 0.8, "temperature": 2.0, **changes})


def test_two_classes_by_hand() -> None:
    # p - q = (log 3, 0): shares 3/4 and 1/4; p + q = (log 3, log 9): shares 1/4 and 3/4.
    p, q = [math.log(3), math.log(3)], [0.0, math.log(3)]
    seen = close_up(p, q, 0.5, 1, settings())
    assert seen.p_ds == pytest.approx([0.75, 0.25])
    assert seen.p_as == pytest.approx([0.25, 0.75])
    assert seen.h_info == pytest.approx(-(0.75 * math.log(0.75) + 0.25 * math.log(0.25)))
    assert seen.l_ds == pytest.approx(-math.log(0.25))
    assert seen.l_as == pytest.approx(-math.log(0.75))
    first = math.sqrt(3) / (math.sqrt(3) + 1)  # softmax((p - q) / 2)
    spread = -(first * math.log(first) + (1 - first) * math.log(1 - first))
    assert seen.l_q == pytest.approx(-4 * spread)
    assert seen.top_p == ((0, pytest.approx(0.5)), (1, pytest.approx(0.5)))
    assert seen.top_q == ((1, pytest.approx(0.75)), (0, pytest.approx(0.25)))
    assert (seen.label, seen.h_prime, seen.adaptability) == (1, 0.5, 0.5)


@pytest.mark.parametrize("method", ["adadfq", "gdfq"])
def test_samples_losses_average_to_the_losses_of_their_batch(method: str) -> None:
    random = torch.Generator().manual_seed(0)
    p, q = torch.randn(2, 6, 9, generator=random, dtype=torch.float64) * 3
    labels = torch.randint(9, (6,), generator=random)
    chosen = settings(method=method)
    batch = losses(p, q, labels, torch.zeros(()), chosen)
    samples = [
        close_up(p[i].numpy(), q[i].numpy(), float(batch.h_prime[i]), int(labels[i]), chosen)
        for i in range(6)
    ]
    for name, expected in (("l_ds", batch.ds), ("l_as", batch.agreement), ("l_q", batch.q)):
        mean = np.mean([getattr(sample, name) for sample in samples])
        assert mean == pytest.approx(float(expected), rel=1e-5), name
    for sample, p_row in zip(samples, p, strict=True):
        shares, order = torch.topk(p_row.softmax(0), TOP)
        assert [label for label, _ in sample.top_p] == order.tolist()
        assert [share for _, share in sample.top_p] == pytest.approx(shares.tolist())
        assert sample.p_ds.sum() == pytest.approx(1) and sample.p_as.shape == (9,)


@pytest.mark.parametrize(
    ("h_prime", "region"),
    [(0.0, "under"), (0.0999, "under"), (0.1, "inside"), (0.8, "inside"), (0.8001, "over")],
)
def test_the_boundaries_are_inside_the_margin(h_prime: float, region: str) -> None:
    seen = close_up([0.0, 1.0], [1.0, 0.0], np.float32(h_prime), 0, settings())
    assert seen.region == region
    assert seen.adaptability == pytest.approx(1 - h_prime, abs=1e-6)


@pytest.mark.parametrize(
    ("p", "q", "h_prime"),
    [
        ([math.nan, 0.0], [0.0, 0.0], 0.5),
        ([0.0, 0.0], [0.0, math.inf], 0.5),
        ([0, 1], [0, 1], math.nan),
    ],
)
def test_numbers_that_are_not_finite_are_refused(
    p: list[float], q: list[float], h_prime: float
) -> None:
    with pytest.raises(InputError, match="not finite, as the training had diverged"):
        close_up(p, q, h_prime, 0, settings())


def test_large_logits_do_not_overflow() -> None:
    seen = close_up([1e4, -1e4, 0], [-1e4, 1e4, 0], 0.0, 1, settings())
    assert seen.h_info == 0 and seen.p_ds.tolist() == [1, 0, 0]
    assert seen.l_ds == pytest.approx(4e4)
