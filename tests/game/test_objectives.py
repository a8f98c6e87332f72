from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from adadfq_core.game.objectives import (
    RESPONSE_WEIGHT,
    adaptability,
    agreement_loss,
    disagreement_loss,
    entropy,
    margin_loss,
    margin_penalty,
    normalised_entropy,
    quantized_network_loss,
    response_loss,
)

CLASS_COUNTS = [1, 2, 10, 100, 1000]


def close(actual: Tensor, expected: Any, atol: float = 2e-7) -> None:
    target = torch.tensor(expected, dtype=torch.float64)
    # The reference is written with seven decimals.
    torch.testing.assert_close(actual, target, rtol=1e-5, atol=atol)


def test_every_reference_loss_and_gradient(reference: dict[str, Any]) -> None:
    assert len(reference["losses"]) >= 10
    for case in reference["losses"]:
        p = torch.tensor(case["logits_p"], dtype=torch.float64)
        q = torch.tensor(case["logits_q"], dtype=torch.float64, requires_grad=True)
        labels = torch.tensor(case["labels"])
        assert p.shape[1] == case["num_classes"]
        margin = margin_loss(p, q, case["lambda_l"], case["lambda_u"])
        loss_q = quantized_network_loss(p, q, case["temperature"])
        close(entropy(p - q), case["entropy_ds"])
        # The logits' own seven decimals: where a batch's entropies lie close together the
        # normaliser enlarges that rounding about tenfold.
        close(normalised_entropy(p - q), case["normalised_entropy_ds"], atol=1e-6)
        close(1 - adaptability(p, q), case["normalised_entropy_ds"], atol=1e-6)
        close(disagreement_loss(p, q, labels), case["loss_ds"])
        close(agreement_loss(p, q, labels), case["loss_as"])
        close(margin, case["loss_margin"])
        close(loss_q, case["loss_q"])
        close(torch.autograd.grad(margin, q)[0][0], case["grad_margin_wrt_q_row0"])
        close(torch.autograd.grad(loss_q, q)[0][0], case["grad_loss_q_wrt_q_row0"])


@pytest.mark.parametrize("classes", CLASS_COUNTS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("offset", [0.0, 3.7])
def test_equal_logits_give_zero_and_finite_gradients(
    classes: int, dtype: torch.dtype, offset: float
) -> None:
    p = torch.randn(6, classes, dtype=dtype, generator=torch.Generator().manual_seed(0))
    q = (p - offset).requires_grad_(True)
    h_prime = normalised_entropy(p - q)
    assert torch.equal(h_prime, torch.zeros(6, dtype=dtype))
    assert torch.equal(adaptability(p, q), torch.ones(6, dtype=dtype))
    loss = margin_loss(p, q, 0.1, 0.8) + quantized_network_loss(p, q, 20.0)
    assert loss.item() == pytest.approx(0.1 - 400 * math.log(classes), rel=1e-5)
    loss.backward()
    assert q.grad is not None and torch.isfinite(q.grad).all()
    assert q.grad.abs().max() < 1e-2


@pytest.mark.parametrize("classes", CLASS_COUNTS)
@pytest.mark.parametrize("temperature", [0.1, 1.0, 20.0])
def test_uniform_entropy_is_log_c(classes: int, temperature: float) -> None:
    h = entropy(torch.full((3, classes), 7.0, dtype=torch.float64), temperature)
    torch.testing.assert_close(h, torch.full_like(h, math.log(classes)))


@pytest.mark.parametrize("classes", CLASS_COUNTS)
def test_one_hot_limits(classes: int) -> None:
    logits = torch.zeros(2, classes, requires_grad=True)
    sharp = torch.cat([torch.full((2, 1), 1e4), torch.zeros(2, classes - 1)], 1)
    h = entropy(logits + sharp)
    assert h.tolist() == [0, 0]
    # One sample sharp, one uniform: exactly the two ends of the axis.
    mixed = logits + torch.stack([sharp[0], torch.zeros(classes)])
    h_prime = normalised_entropy(mixed)
    assert h_prime.tolist() == pytest.approx([0, 0] if classes == 1 else [0, 1], abs=1e-6)
    (h_prime.sum() + h.sum()).backward()
    assert logits.grad is not None and torch.isfinite(logits.grad).all()


def test_two_classes_by_hand() -> None:
    # softmax(p - q) is (3/4, 1/4) and (1/2, 1/2); softmax(p + q) is (3/4, 1/4) and (9/10, 1/10).
    p = torch.tensor([[math.log(3), 0.0], [math.log(3), 0.0]], dtype=torch.float64)
    q = torch.tensor([[0.0, 0.0], [math.log(3), 0.0]], dtype=torch.float64)
    labels = torch.tensor([0, 1])
    low = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    assert entropy(p - q).tolist() == pytest.approx([low, math.log(2)])
    assert adaptability(p, q).tolist() == pytest.approx([1, 0])
    ds = disagreement_loss(p, q, labels).item()
    assert ds == pytest.approx(-(math.log(0.75) + math.log(0.5)) / 2)
    as_ = agreement_loss(p, q, labels).item()
    assert as_ == pytest.approx(-(math.log(0.75) + math.log(0.1)) / 2)


def test_normalised_entropy_by_hand() -> None:
    shares = torch.tensor([[0.9, 0.1], [0.7, 0.3], [0.5, 0.5]], dtype=torch.float64)
    h = -(shares * shares.log()).sum(1)
    middle = ((h[1] - h[0]) / (math.log(2) - h[0])).item()
    assert normalised_entropy(shares.log()).tolist() == pytest.approx([0, middle, 1])


def test_margin_by_hand() -> None:
    h_prime = torch.tensor([0.0, 0.05, 0.1, 0.5, 0.8, 1.0], dtype=torch.float64, requires_grad=True)
    loss = margin_penalty(h_prime, 0.1, 0.8)
    assert loss.item() == pytest.approx((0.1 + 0.05 + 0.2) / 6)
    loss.backward()
    assert h_prime.grad is not None
    inside = h_prime.grad[[0, 1, 3, 5]]
    assert inside.tolist() == pytest.approx([-1 / 6, -1 / 6, 0, 1 / 6])


@pytest.mark.parametrize("temperature", [0.5, 5.0, 20.0])
@pytest.mark.parametrize("classes", [2, 10, 100])
def test_loss_of_q_is_lowest_where_both_agree(temperature: float, classes: int) -> None:
    p = torch.randn(8, classes, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    lowest = -(temperature**2) * math.log(classes)
    agreed = quantized_network_loss(p, p + 5, temperature).item()
    assert agreed == pytest.approx(lowest, rel=1e-9)
    other = torch.randn(8, classes, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    assert lowest < quantized_network_loss(p, other, temperature).item() <= 0


def test_gradients_against_finite_differences() -> None:
    torch.manual_seed(3)
    p, q = (torch.randn(5, 4, dtype=torch.float64, requires_grad=True) for _ in range(2))
    labels = torch.tensor([0, 1, 2, 3, 0])
    weights = torch.randn(5, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda a, b: normalised_entropy(a - b) * weights, (p, q))
    assert torch.autograd.gradcheck(lambda a, b: margin_loss(a, b, 0.3, 0.6), (p, q))
    assert torch.autograd.gradcheck(lambda a, b: quantized_network_loss(a, b, 5.0), (p, q))
    assert torch.autograd.gradcheck(lambda a, b: agreement_loss(a, b, labels), (p, q))
    assert torch.autograd.gradcheck(lambda a, b: disagreement_loss(a, b, labels), (p, q))


def test_the_gradient_reaches_the_sample_of_lowest_entropy() -> None:
    logits = torch.tensor([[3.0, 0.0], [1.0, 0.0], [0.5, 0.0]], dtype=torch.float64)
    logits.requires_grad_(True)
    normalised_entropy(logits)[1].backward()
    assert logits.grad is not None
    assert logits.grad[0].abs().max() > 1e-3 and logits.grad[2].abs().max() == 0


def test_batches_of_any_size() -> None:
    p, q = torch.randn(64, 10), torch.randn(64, 10)
    labels = torch.randint(10, (64,))
    for batch in (1, 2, 8, 16, 17, 64):
        a, b, y = p[:batch], q[:batch], labels[:batch]
        assert normalised_entropy(a - b).shape == (batch,)
        mean = sum(
            disagreement_loss(a[i : i + 1], b[i : i + 1], y[i : i + 1]) for i in range(batch)
        )
        torch.testing.assert_close(disagreement_loss(a, b, y), torch.as_tensor(mean) / batch)


def test_the_response_loss_by_hand() -> None:
    p = torch.tensor([[3.0, 3.0], [-2.0, 0.0]], dtype=torch.float64)
    # Two equal logits cost log 2, the second row log(1 + e^2); the asked logits are 3 and -2.
    expected = (math.log(2) + math.log(1 + math.exp(2))) / 2 - RESPONSE_WEIGHT * (3 + 2) / 2
    loss = response_loss(p, torch.tensor([0, 0]))
    assert loss.item() == pytest.approx(expected, rel=1e-12)


def test_the_response_loss_asks_for_more_of_what_is_right_already() -> None:
    p = torch.tensor([[40.0, -40.0]], dtype=torch.float64, requires_grad=True)
    response_loss(p, torch.tensor([0])).backward()
    assert p.grad is not None
    torch.testing.assert_close(p.grad, torch.tensor([[-RESPONSE_WEIGHT, 0.0]], dtype=p.dtype))
