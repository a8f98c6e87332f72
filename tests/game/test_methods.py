from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch

from adadfq_core.game.methods import distillation_loss, losses
from adadfq_core.game.objectives import response_loss
from adadfq_core.settings import RunSettings


@pytest.fixture
def logits() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(0)
    p, q = (torch.randn(5, 4, dtype=torch.float64, generator=random) for _ in range(2))
    return p, q, torch.tensor([0, 1, 2, 3, 1])


def test_distillation_by_hand() -> None:
    p = torch.tensor([[2.0, 0.0]], dtype=torch.float64)
    q = torch.tensor([[0.0, 0.0]], dtype=torch.float64)
    share = 1 / (1 + math.exp(-1))  # softmax of (2, 0) / 2
    divergence = share * math.log(share / 0.5) + (1 - share) * math.log((1 - share) / 0.5)
    expected = math.log(2) + 4 * divergence
    actual = distillation_loss(p, q, torch.tensor([1]), temperature=2)
    assert actual.item() == pytest.approx(expected, rel=1e-12)


def test_distillation_is_lowest_where_q_answers_like_p_and_leaves_p_alone(
    logits: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
) -> None:
    p, q, labels = logits
    p.requires_grad_(True)
    hard = torch.nn.functional.cross_entropy(p.detach(), labels)
    torch.testing.assert_close(distillation_loss(p, p.detach(), labels, 3), hard)
    q.requires_grad_(True)
    distillation_loss(p, q, labels, 3).backward()
    assert p.grad is None and q.grad is not None


def test_the_baselines_generator_never_looks_at_q(
    logits: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
    tiny_settings: Callable[..., RunSettings],
) -> None:
    p, q, labels = logits
    bns = torch.tensor(0.3, dtype=torch.float64)
    gdfq = tiny_settings(method="gdfq", gamma=2)
    first, second = losses(p, q, labels, bns, gdfq), losses(p, -q, labels, bns, gdfq)
    expected = torch.nn.functional.cross_entropy(p, labels) + 2 * bns
    torch.testing.assert_close(first.g, expected)
    assert first.g == second.g and first.q != second.q


def test_both_methods_tell_the_same_of_the_samples(
    logits: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
    tiny_settings: Callable[..., RunSettings],
) -> None:
    p, q, labels = logits
    bns = torch.tensor(0.3, dtype=torch.float64)
    game, baseline = (
        losses(p, q, labels, bns, tiny_settings(method=name)) for name in ("adadfq", "gdfq")
    )
    assert torch.equal(game.h_prime, baseline.h_prime)
    assert (game.margin, game.ds, game.agreement) == (
        baseline.margin,
        baseline.ds,
        baseline.agreement,
    )
    assert game.g != baseline.g and game.q != baseline.q


def test_real_images_teach_q_by_the_papers_loss_and_ask_nothing_of_g(
    logits: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
    tiny_settings: Callable[..., RunSettings],
) -> None:
    p, q, labels = logits
    nothing = torch.zeros((), dtype=torch.float64)
    game, real = (
        losses(p, q, labels, nothing, tiny_settings(method=name)) for name in ("adadfq", "real")
    )
    assert real.q == game.q and torch.equal(real.h_prime, game.h_prime)
    assert [*map(float, (real.g, real.margin, real.ds, real.agreement, real.bns))] == [0] * 5
    assert game.margin + game.ds + game.agreement > 0


@pytest.mark.parametrize("method", ["adadfq", "gdfq"])
def test_every_method_of_a_generator_trains(
    method: str, tiny_trainer: Callable[..., object]
) -> None:
    trainer = tiny_trainer(method=method)
    before = [x.detach().clone() for x in trainer.players.q.parameters()]
    while not trainer.finished:
        assert torch.isfinite(trainer.play().scalars).all()
    after = list(trainer.players.q.parameters())
    assert any(not torch.equal(a, b) for a, b in zip(after, before, strict=True))


@pytest.mark.parametrize("method", ["adadfq", "gdfq", "real"])
def test_activation_clipping_asks_g_for_large_responses_while_ranges_are_set(
    method: str,
    logits: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
    tiny_settings: Callable[..., RunSettings],
) -> None:
    p, q, labels = logits
    bns = torch.zeros((), dtype=torch.float64)
    plain, clipping = (
        tiny_settings(method=method),
        tiny_settings(method=method, activation_clipping=True),
    )
    without = losses(p, q, labels, bns, plain, calibrating=True)
    during = losses(p, q, labels, bns, clipping, calibrating=True)
    after = losses(p, q, labels, bns, clipping)
    assert after.g == without.g and during.q == without.q
    asked = response_loss(p, labels) if method != "real" else 0
    torch.testing.assert_close(during.g, without.g + asked)
