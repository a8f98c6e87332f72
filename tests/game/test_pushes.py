from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from adadfq_core.game.objectives import (
    agreement_loss,
    disagreement_loss,
    entropy,
    margin_loss,
    margin_penalty,
)
from adadfq_core.game.pushes import h_prime_push, h_prime_push_gdfq

LOWER, UPPER = 0.5, 0.8
ALPHA_DS, ALPHA_AS, BETA = 0.2, 0.1, 1.5


def batch(samples: int, classes: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Logits of P and Q that differ from sample to sample by more and more, and labels."""
    generator = torch.Generator().manual_seed(seed)
    p = torch.randn(samples, classes, dtype=torch.float64, generator=generator)
    apart = torch.linspace(0.3, 3.0, samples, dtype=torch.float64)[:, None]
    q = p + apart * torch.randn(samples, classes, dtype=torch.float64, generator=generator)
    labels = torch.randint(classes, (samples,), generator=generator)
    return p, q, labels


def held_h_prime(p: Tensor, q: Tensor, lowest: Tensor) -> Tensor:
    """H' with the batch's minimum held at `lowest`."""
    return (entropy(p - q) - lowest) / (math.log(p.shape[1]) - lowest)


def loss_of_logits(p: Tensor, q: Tensor, labels: Tensor, lowest: Tensor) -> Tensor:
    """The part of L_G that depends on the logits, with the batch's minimum held."""
    balance = ALPHA_DS * disagreement_loss(p, q, labels) + ALPHA_AS * agreement_loss(p, q, labels)
    return margin_penalty(held_h_prime(p, q, lowest), LOWER, UPPER) + BETA * balance


def test_the_margin_alone_by_hand() -> None:
    # H' is 0, about 0.65 and about 0.99.
    shares = torch.tensor([[0.9, 0.1], [0.75, 0.25], [0.55, 0.45]], dtype=torch.float64)
    push = h_prime_push(
        shares.log(),
        torch.zeros(3, 2, dtype=torch.float64),
        torch.tensor([0, 0, 1]),
        0.1,
        0.8,
        5,
        0,
    )
    assert push.whole.tolist() == [1, 0, -1]
    assert push.margin.tolist() == [1, 0, -1]


@pytest.mark.parametrize("label", [0, 1])
def test_the_disagreement_loss_by_hand(label: int) -> None:
    # With d = (a, 0) and s = softmax(d): r = (s_0 - 1) (1, -1) for class 0, s_0 (1, -1) for class
    # 1, and dH_info/dd = s_0 s_1 a (-1, 1), so that <r, g> / <g, g> = span (1 - s_0) / (s_0 s_1 a)
    # for class 0 and -span / (s_1 a) for class 1.
    a = math.log(3)
    low = -(0.9 * math.log(0.9) + 0.1 * math.log(0.1))
    span = math.log(2) - low
    derivative = span / (0.75 * a) if label == 0 else -span / (0.25 * a)
    p = torch.tensor([[math.log(9), 0.0], [a, 0.0]], dtype=torch.float64)
    push = h_prime_push(p, torch.zeros_like(p), torch.tensor([0, label]), 0.0, 1.0, 0.2, 1.5)
    assert push.margin.tolist() == [0, 0]
    assert push.whole[1].item() == pytest.approx(-1.5 * 0.2 * derivative)


@pytest.mark.parametrize("classes", [2, 10, 100])
def test_it_is_the_projected_gradient_of_the_whole_loss(classes: int) -> None:
    p, q, labels = batch(12, classes)
    lowest = entropy(p - q).min()
    p.requires_grad_(True), q.requires_grad_(True)
    loss = loss_of_logits(p, q, labels, lowest)
    of_loss = torch.cat(torch.autograd.grad(loss, (p, q)), dim=1)
    # Each H' depends on its own logits alone, so the sum's gradient has all of theirs.
    total = held_h_prime(p, q, lowest).sum()
    of_h_prime = torch.cat(torch.autograd.grad(total, (p, q)), dim=1)
    derivative = (of_loss * of_h_prime).sum(1) / (of_h_prime**2).sum(1)
    push = h_prime_push(p, q, labels, LOWER, UPPER, ALPHA_DS, BETA)
    torch.testing.assert_close(push.whole, -12 * derivative)
    assert not push.whole.requires_grad


def test_gdfqs_push_is_the_projected_gradient_of_ps_cross_entropy() -> None:
    p, q, labels = batch(12, 10)
    lowest = entropy(p - q).min()
    p.requires_grad_(True), q.requires_grad_(True)
    (of_loss,) = torch.autograd.grad(F.cross_entropy(p, labels), p)
    of_p, of_q = torch.autograd.grad(held_h_prime(p, q, lowest).sum(), (p, q))
    derivative = (of_loss * of_p).sum(1) / (of_p**2 + of_q**2).sum(1)
    torch.testing.assert_close(h_prime_push_gdfq(p, q, labels), -12 * derivative)


def test_the_margins_part_agrees_with_the_games_own_loss() -> None:
    p, q, labels = batch(12, 10)
    h_info = entropy(p - q)
    q.requires_grad_(True)
    (of_loss,) = torch.autograd.grad(margin_loss(p, q, LOWER, UPPER), q)
    total = held_h_prime(p, q, h_info.min()).sum()
    (of_h_prime,) = torch.autograd.grad(total, q)
    derivative = (of_loss * of_h_prime).sum(1) / (of_h_prime**2).sum(1)
    push = h_prime_push(p, q, labels, LOWER, UPPER, ALPHA_DS, BETA)
    # All but the sample that is the batch's minimum itself, through which the others are moved.
    others = torch.arange(12) != h_info.argmin()
    assert set(push.margin[others].tolist()) == {-1.0, 0.0, 1.0}
    torch.testing.assert_close(push.margin[others], -12 * derivative[others])


def test_the_agreement_loss_does_not_move_h_prime() -> None:
    p, q, labels = batch(12, 10)
    p.requires_grad_(True), q.requires_grad_(True)
    of_loss = torch.cat(torch.autograd.grad(agreement_loss(p, q, labels), (p, q)), dim=1)
    of_h_info = torch.cat(torch.autograd.grad(entropy(p - q).sum(), (p, q)), dim=1)
    torch.testing.assert_close((of_loss * of_h_info).sum(1), torch.zeros(12, dtype=torch.float64))


@pytest.mark.parametrize("seed", range(3))
def test_a_small_step_down_the_loss_moves_h_prime_as_the_push_says(seed: int) -> None:
    p, q, labels = batch(16, 10, seed)
    lowest = entropy(p - q).min()
    p.requires_grad_(True), q.requires_grad_(True)
    loss = loss_of_logits(p, q, labels, lowest)
    step_p, step_q = torch.autograd.grad(loss, (p, q))
    moved = held_h_prime(p - 1e-5 * step_p, q - 1e-5 * step_q, lowest)
    change = moved - held_h_prime(p, q, lowest)
    push = h_prime_push(p, q, labels, LOWER, UPPER, ALPHA_DS, BETA)
    assert {-1.0, 1.0} <= set(push.whole.sign().tolist())
    assert torch.equal(change.sign(), push.whole.sign())


def test_it_does_not_depend_on_the_size_of_the_batch() -> None:
    p, q, labels = batch(6, 10)
    once = h_prime_push(p, q, labels, LOWER, UPPER, ALPHA_DS, BETA).whole
    twice = h_prime_push(
        p.repeat(2, 1), q.repeat(2, 1), labels.repeat(2), LOWER, UPPER, ALPHA_DS, BETA
    ).whole
    torch.testing.assert_close(twice, once.repeat(2))


@pytest.mark.parametrize("classes", [1, 2, 10, 1000])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("offset", [0.0, 3.7])
def test_equal_p_and_q_are_pushed_nowhere(classes: int, dtype: torch.dtype, offset: float) -> None:
    p = torch.randn(6, classes, dtype=dtype, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(6) % classes
    push = h_prime_push(p, p - offset, labels, 0.1, 0.8, 0.2, 1.0)
    assert push.whole.tolist() == [0] * 6
    assert push.margin.tolist() == [0] * 6
    assert h_prime_push_gdfq(p, p - offset, labels).tolist() == [0] * 6


@pytest.mark.parametrize("classes", [1, 2, 10])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_flat_ends_give_zero_and_the_others_stay_finite(classes: int, dtype: torch.dtype) -> None:
    one_hot, uniform = torch.zeros(2, classes, dtype=dtype)
    one_hot[0] = 1e4
    between = torch.linspace(0, 1, classes, dtype=dtype)
    p = torch.stack([one_hot, uniform, between])
    push = h_prime_push(p, torch.zeros_like(p), torch.zeros(3, dtype=torch.long), 0.1, 0.8, 0.2, 1)
    assert push.whole[:2].tolist() == [0, 0]
    assert torch.isfinite(push.whole).all()
    assert (push.whole[2] != 0) == (classes > 1)
