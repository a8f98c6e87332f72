from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from adadfq_core.game.batchnorm_loss import BatchNormStatisticsLoss
from adadfq_core.game.feature_distance import FeatureDistance
from adadfq_core.game.generator import Generator
from adadfq_core.game.objectives import quantized_network_loss
from adadfq_core.game.step import SCALARS, Players, Replayed, Turn, prepare_turn
from adadfq_core.quant.capture import capture
from adadfq_core.quant.convert import quantize_graph
from adadfq_core.settings import RunSettings

LATENT = 5


@pytest.fixture
def make_players(tiny_network: Callable[..., nn.Module]) -> Callable[..., Players]:
    """Build the three networks in double precision with plain optimizers."""

    def build(p: nn.Module | None = None, classes: int = 3, bits: int = 4) -> Players:
        torch.manual_seed(5)
        example = torch.zeros(2, 1, 8, 8, dtype=torch.float64)
        p = capture((p or tiny_network(classes)).double(), example).requires_grad_(False)
        q = quantize_graph(p, bits, bits).requires_grad_(True)
        generator = Generator(classes, (1, 8, 8), LATENT, 4).double()
        return Players(
            p=p,
            q=q,
            generator=generator,
            batchnorm_loss=BatchNormStatisticsLoss(p),
            optimizer_g=torch.optim.Adam(generator.parameters(), lr=1e-3, betas=(0.5, 0.999)),
            optimizer_q=torch.optim.SGD(
                q.parameters(), lr=1e-3, momentum=0.9, nesterov=True, weight_decay=1e-4
            ),
        )

    return build


def turn(
    players: Players, z: Tensor, labels: Tensor, settings: RunSettings, *, train_q: bool
) -> Turn:
    """The turn on the images that G makes of `z`."""
    images = players.generator(z, labels)
    return prepare_turn(players, images, labels, settings, train_q=train_q)


def draw(batch: int, seed: int = 0, classes: int = 3) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(seed)
    z = torch.randn(batch, LATENT, dtype=torch.float64, generator=random)
    return z, torch.randint(classes, (batch,), generator=random)


@pytest.mark.parametrize("batch", [2, 8, 16, 17, 64])
def test_every_batch_size_plays(
    batch: int,
    make_players: Callable[..., Players],
    tiny_settings: Callable[..., RunSettings],
) -> None:
    players = make_players()
    for train_q in (False, True):
        outcome = turn(players, *draw(batch), tiny_settings(), train_q=train_q).play()
        assert outcome.images.shape == (batch, 1, 8, 8)
        assert outcome.p_logits.shape == outcome.q_logits.shape == (batch, 3)
        assert outcome.h_prime.shape == (batch,)
        assert outcome.scalars.shape == (len(SCALARS),)
        assert torch.isfinite(outcome.scalars).all()
        assert not any(t.requires_grad for t in (outcome.images, outcome.scalars, outcome.h_prime))


def test_replayed_images_are_learned_from_besides(
    make_players: Callable[..., Players], tiny_settings: Callable[..., RunSettings]
) -> None:
    settings = tiny_settings(temperature=3.0)
    players, plain = make_players(), make_players()
    turn(players, *draw(8), settings, train_q=False)  # observes the ranges
    turn(plain, *draw(8), settings, train_q=False)
    earlier = players.generator(*draw(5, seed=1)).detach()
    p_logits = players.p(earlier).detach()
    z, labels = draw(8)
    images = copy.deepcopy(players.generator)(z, labels).detach()
    loss = quantized_network_loss(players.p(images), players.q(images), 3.0)
    loss = loss + quantized_network_loss(p_logits, players.q(earlier), 3.0)
    expected = torch.autograd.grad(loss, list(players.q.parameters()))

    replayed = Replayed(earlier, p_logits)
    outcome = prepare_turn(
        players, players.generator(z, labels), labels, settings, train_q=True, replayed=replayed
    ).play()
    own = turn(plain, z, labels, settings, train_q=True).play()
    told = dict(zip(SCALARS, outcome.scalars.tolist(), strict=True))
    without = dict(zip(SCALARS, own.scalars.tolist(), strict=True))
    norm = torch.cat([gradient.flatten() for gradient in expected]).norm().item()
    assert told["grad_norm_q"] == pytest.approx(norm, rel=1e-9)
    assert {name for name in SCALARS if told[name] != without[name]} == {"grad_norm_q"}


def test_features_of_p_are_learned_besides(
    make_players: Callable[..., Players], tiny_settings: Callable[..., RunSettings]
) -> None:
    players = make_players()
    players = replace(players, features=FeatureDistance(players.p, players.q))
    z, labels = draw(8)
    images = copy.deepcopy(players.generator)(z, labels).detach()
    turn(players, z, labels, tiny_settings(), train_q=False)  # observes the ranges
    assert players.features is not None
    with players.features.compared():
        loss = quantized_network_loss(players.p(images), players.q(images), 20.0)
    loss = loss + 5.0 * players.features.collect()
    expected = torch.autograd.grad(loss, list(players.q.parameters()))

    plain = replace(copy.deepcopy(players), features=None)
    scalars = [
        turn(each, z, labels, tiny_settings(feature_weight=5.0), train_q=True).outcome.scalars
        for each in (players, plain)
    ]
    told, without = (dict(zip(SCALARS, each.tolist(), strict=True)) for each in scalars)
    norm = torch.cat([gradient.flatten() for gradient in expected]).norm().item()
    assert told["grad_norm_q"] == pytest.approx(norm, rel=1e-6)
    assert {name for name in SCALARS if told[name] != without[name]} == {"grad_norm_q"}


class Naive:
    """The game as two separate forward and backward passes, written from the formulas."""

    def __init__(self, players: Players, p: nn.Module) -> None:
        self.p = p.double()
        self.q = copy.deepcopy(players.q)
        self.g = copy.deepcopy(players.generator)
        self.adam = torch.optim.Adam(self.g.parameters(), lr=1e-3, betas=(0.5, 0.999))
        self.sgd = torch.optim.SGD(
            self.q.parameters(), lr=1e-3, momentum=0.9, nesterov=True, weight_decay=1e-4
        )

    def p_and_statistics(self, x: Tensor) -> tuple[Tensor, Tensor]:
        terms = []
        for layer in self.p:
            if isinstance(layer, nn.BatchNorm2d):
                mean, variance = x.mean((0, 2, 3)), x.var((0, 2, 3), unbiased=False)
                assert layer.running_mean is not None and layer.running_var is not None
                terms.append(
                    nn.functional.mse_loss(mean, layer.running_mean)
                    + nn.functional.mse_loss(variance, layer.running_var)
                )
            x = layer(x)
        return x, sum(terms) / len(terms)

    @staticmethod
    def entropy(p: Tensor, q: Tensor, temperature: float) -> Tensor:
        shares = torch.softmax((p - q) / temperature, 1)
        return -(shares * shares.log()).sum(1)

    @staticmethod
    def norm(network: nn.Module) -> Tensor:
        gradients = [p.grad.flatten() for p in network.parameters() if p.grad is not None]
        return torch.cat(gradients).norm()

    def play(self, z: Tensor, labels: Tensor, s: RunSettings, train_q: bool) -> dict[str, float]:
        images = self.g(z, labels)
        p, bns = self.p_and_statistics(images)
        with self.q.observing_ranges(not train_q):
            q = self.q(images)
        h = self.entropy(p, q, 1.0)
        h_prime = (h - h.min()) / (math.log(p.shape[1]) - h.min())
        zero = torch.zeros_like(h_prime)
        margin = torch.maximum(s.lambda_l - h_prime, zero).mean()
        margin = margin + torch.maximum(h_prime - s.lambda_u, zero).mean()
        rows = torch.arange(len(labels))
        ds = -torch.softmax(p - q, 1)[rows, labels].log().mean()
        as_ = -torch.softmax(p + q, 1)[rows, labels].log().mean()
        loss_g = margin + s.beta * (s.alpha_ds * ds + s.alpha_as * as_) + s.gamma * bns
        loss_g.backward()
        norm_g = self.norm(self.g)
        self.q.zero_grad()
        with torch.no_grad():
            p = self.p(images)
        q = self.q(images.detach())
        loss_q = -(s.temperature**2) * self.entropy(p, q, s.temperature).mean()
        norm_q = torch.zeros(())
        if train_q:
            loss_q.backward()
            norm_q = self.norm(self.q)
            self.sgd.step()
        self.q.zero_grad()
        self.adam.step()
        self.adam.zero_grad()
        values = (loss_g, margin, ds, as_, bns, loss_q, h_prime.mean(), norm_g, norm_q)
        return {name: v.item() for name, v in zip(SCALARS, values, strict=True)}


def test_moves_equal_those_of_two_separate_passes(
    tiny_network: Callable[..., nn.Module],
    make_players: Callable[..., Players],
    tiny_settings: Callable[..., RunSettings],
    weights_of: Callable[[nn.Module], dict[str, Tensor]],
) -> None:
    players = make_players()
    naive = Naive(players, tiny_network())
    settings = tiny_settings(
        lambda_l=0.2, lambda_u=0.5, alpha_ds=0.7, alpha_as=0.3, beta=1.3, gamma=0.6, temperature=3
    )
    for step, train_q in enumerate([False, False, True, True, True]):
        z, labels = draw(8, seed=step)
        expected = naive.play(z, labels, settings, train_q)
        outcome = turn(players, z, labels, settings, train_q=train_q).play()
        actual = dict(zip(SCALARS, outcome.scalars.tolist(), strict=True))
        assert actual == pytest.approx(expected, rel=1e-8, abs=1e-10)
        for own, other in ((players.generator, naive.g), (players.q, naive.q)):
            for (name, a), b in zip(
                weights_of(own).items(), weights_of(other).values(), strict=True
            ):
                torch.testing.assert_close(a, b, rtol=1e-7, atol=1e-9, msg=f"{step} {name}")


def test_who_moves_when(
    make_players: Callable[..., Players],
    tiny_settings: Callable[..., RunSettings],
    weights_of: Callable[[nn.Module], dict[str, Tensor]],
) -> None:
    players = make_players()
    p_before = weights_of(players.p)

    def state() -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        return (
            [x.detach().clone() for x in players.generator.parameters()],
            [x.detach().clone() for x in players.q.parameters()],
            [x.clone() for x in players.q.buffers()],
        )

    def changed(before: list[Tensor], after: list[Tensor]) -> list[bool]:
        return [not torch.equal(a, b) for a, b in zip(before, after, strict=True)]

    start = state()
    turn(players, *draw(8), tiny_settings(), train_q=False).play()
    warm = state()
    assert any(changed(start[0], warm[0]))
    assert not any(changed(start[1], warm[1]))
    assert [int(quantizer.batches) for _, quantizer in players.q.activation_quantizers()] == [1, 1]
    assert all(quantizer.average_max > 0 for _, quantizer in players.q.activation_quantizers())

    turn(players, *draw(8, seed=1), tiny_settings(), train_q=True).play()
    trained = state()
    assert any(changed(warm[0], trained[0]))
    assert all(changed(warm[1], trained[1]))
    assert not any(changed(warm[2], trained[2]))

    p_after = weights_of(players.p)
    assert all(torch.equal(p_before[name], p_after[name]) for name in p_before)
    assert not players.p.training and players.generator.training
    everyone = (players.p, players.q, players.generator)
    assert all(x.grad is None for player in everyone for x in player.parameters())


@pytest.mark.parametrize("classes", [1, 2])
def test_q_equal_to_p_keeps_everything_finite(
    classes: int,
    make_players: Callable[..., Players],
    tiny_settings: Callable[..., RunSettings],
    tiny_network: Callable[..., nn.Module],
) -> None:
    p = tiny_network(classes)
    with torch.no_grad():
        p[-1].weight.zero_()  # P and Q then answer the same whatever the image
    players = make_players(p, classes)
    for train_q in (False, True, True):
        outcome = turn(players, *draw(4, classes=classes), tiny_settings(), train_q=train_q).play()
        assert torch.isfinite(outcome.scalars).all()
        assert outcome.h_prime.tolist() == pytest.approx([0] * 4)
        if not train_q:
            continue
        assert all(torch.isfinite(x).all() for x in players.q.parameters())
    assert all(torch.isfinite(x).all() for x in players.generator.parameters())


def test_a_network_without_batchnorm_plays(
    make_players: Callable[..., Players], tiny_settings: Callable[..., RunSettings]
) -> None:
    p = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(72, 3))
    outcome = turn(make_players(p), *draw(4), tiny_settings(), train_q=True).play()
    assert outcome.scalars[SCALARS.index("loss_bns")] == 0
    assert torch.isfinite(outcome.scalars).all()


@pytest.mark.parametrize("train_q", [False, True])
def test_real_images_move_q_as_generated_ones_do_and_leave_g_alone(
    train_q: bool,
    make_players: Callable[..., Players],
    tiny_settings: Callable[..., RunSettings],
    weights_of: Callable[[nn.Module], dict[str, Tensor]],
) -> None:
    z, labels = draw(8)
    game, ceiling = make_players(), make_players()
    g_before = weights_of(ceiling.generator)
    with torch.no_grad():
        images = make_players().generator(z, labels)
    expected = turn(game, z, labels, tiny_settings(), train_q=train_q).play()
    outcome = prepare_turn(
        ceiling, images, labels, tiny_settings(method="real"), train_q=train_q
    ).play()
    assert torch.equal(outcome.images, images)
    torch.testing.assert_close(outcome.h_prime, expected.h_prime)
    own, other = (dict(zip(SCALARS, o.scalars.tolist(), strict=True)) for o in (outcome, expected))
    of_q = ("loss_q", "h_prime_mean", "grad_norm_q")
    assert {n: own[n] for n in of_q} == pytest.approx({n: other[n] for n in of_q})
    assert all(own[name] == 0 for name in SCALARS if name not in of_q)
    torch.testing.assert_close(ceiling.q.state_dict(), game.q.state_dict())
    g_after = weights_of(ceiling.generator)
    assert all(torch.equal(g_before[name], g_after[name]) for name in g_before)
