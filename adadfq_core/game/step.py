"""One iteration of the game: both players' moves from a single forward pass."""

from __future__ import annotations

import copy
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, fx

from adadfq_core.game.batchnorm_loss import BatchNormStatisticsLoss
from adadfq_core.game.feature_distance import FeatureDistance
from adadfq_core.game.generator import Generator
from adadfq_core.game.methods import losses
from adadfq_core.game.objectives import normalised_entropy, quantized_network_loss
from adadfq_core.quant.network import QuantizedNetwork
from adadfq_core.settings import RunSettings

SCALARS = (
    "loss_g",
    "loss_margin",
    "loss_ds",
    "loss_as",
    "loss_bns",
    "loss_q",
    "h_prime_mean",
    "grad_norm_g",
    "grad_norm_q",
)


@dataclass(frozen=True)
class Players:
    """The three networks of the game with G's and Q's optimizers. P is frozen.

    Attributes:
        features: how far Q's are from P's; `None` where Q does not minimise it.
    """

    p: fx.GraphModule
    q: QuantizedNetwork
    generator: Generator
    batchnorm_loss: BatchNormStatisticsLoss
    optimizer_g: torch.optim.Optimizer
    optimizer_q: torch.optim.Optimizer
    features: FeatureDistance | None = None


@dataclass(frozen=True)
class Outcome:
    """What one iteration produced, detached: nothing here was copied off the device.

    Attributes:
        images: `(B, channels, H, W)` in P's normalised input space.
        labels: `(B,)`, the classes asked of G, or those of real images.
        p_logits, q_logits: `(B, C)`, before either player moved.
        h_prime: `(B,)`, H' of each sample.
        scalars: `(len(SCALARS),)` in the order of `SCALARS`; losses in nats, gradients' Euclidean
            norms over all parameters of a player (0 for one that did not move).
    """

    images: Tensor
    labels: Tensor
    p_logits: Tensor
    q_logits: Tensor
    h_prime: Tensor
    scalars: Tensor


def _gradients(optimizer: torch.optim.Optimizer, loss: Tensor, *, keep_graph: bool) -> list[Tensor]:
    """Gradients of `loss` for the optimizer's parameters alone."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    return list(torch.autograd.grad(loss, parameters, retain_graph=keep_graph))


def _norm(gradients: list[Tensor]) -> Tensor:
    """Euclidean norm of all `gradients` taken together, a scalar."""
    norm: Tensor = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
    return norm


def _apply(optimizer: torch.optim.Optimizer, gradients: list[Tensor]) -> None:
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    for parameter, gradient in zip(parameters, gradients, strict=True):
        # A fused optimizer on the CPU walks both in the order in which they lie in memory, and
        # where the orders differ it moves each weight by another one's gradient.
        if gradient.stride() != parameter.stride():
            gradient = torch.empty_like(parameter).copy_(gradient)
        parameter.grad = gradient
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


class Turn:
    """One iteration after both players have thought: their gradients are known, no one has moved.

    Both gradients come from the same images and the same Q, so the order of the moves does not
    change where they lead.

    Attributes:
        outcome: what the players saw.
    """

    def __init__(
        self,
        players: Players,
        outcome: Outcome,
        gradients_g: list[Tensor] | None,
        gradients_q: list[Tensor] | None,
    ) -> None:
        self.outcome = outcome
        self._players = players
        self._gradients_g = gradients_g
        self._gradients_q = gradients_q

    def move_g(self) -> None:
        """Let G take its step, if it has one: on real images it has none."""
        if self._gradients_g is not None:
            _apply(self._players.optimizer_g, self._gradients_g)

    def move_q(self) -> None:
        """Let Q take its step, if it has one: in the warm-up it has none."""
        if self._gradients_q is not None:
            _apply(self._players.optimizer_q, self._gradients_q)

    def play(self) -> Outcome:
        """Let both players take their steps; returns what they saw before."""
        self.move_q()
        self.move_g()
        return self.outcome


@dataclass(frozen=True)
class Replayed:
    """Images of earlier iterations `(N, channels, H, W)` and P's logits for them `(N, C)`."""

    images: Tensor
    p_logits: Tensor


def prepare_turn(
    players: Players,
    images: Tensor,
    labels: Tensor,
    settings: RunSettings,
    *,
    train_q: bool,
    replayed: Replayed | None = None,
) -> Turn:
    """Both players' gradients for one batch; without `train_q` Q's ranges are observed instead.

    Both players answer the same images: one forward pass of Q serves both losses, and each
    backward pass computes only the gradients that its player needs. What Q minimises besides L_Q
    is not told as its loss.

    Args:
        players: unchanged but for Q's activation ranges.
        images: `(B, channels, H, W)`, B at least 2: what G made, with its graph, or real ones
            where `settings` have no generator.
        labels: `(B,)`, their classes.
        settings: method, weights of the losses, margin and temperature.
        train_q: false during the warm-up.
        replayed: where given, Q also minimises L_Q on these.
    """
    features = players.features if train_q else None
    players.batchnorm_loss.enabled = settings.has_generator
    with features.compared() if features else nullcontext():
        p_logits = players.p(images)
        players.batchnorm_loss.enabled = False
        with players.q.observing_ranges(not train_q):
            q_logits = players.q(images)

    bns = players.batchnorm_loss.collect()
    loss = losses(p_logits, q_logits, labels, bns, settings, calibrating=not train_q)
    gradients_g = gradients_q = None
    norm_g = norm_q = torch.zeros_like(loss.q)
    if settings.has_generator:
        gradients_g = _gradients(players.optimizer_g, loss.g, keep_graph=train_q)
        norm_g = _norm(gradients_g)
    if train_q:
        loss_q = loss.q
        if features:
            loss_q = loss_q + settings.feature_weight * features.collect()
        gradients_q = _gradients(players.optimizer_q, loss_q, keep_graph=False)
        if replayed is not None:
            again = quantized_network_loss(
                replayed.p_logits, players.q(replayed.images), settings.temperature
            )
            torch._foreach_add_(
                gradients_q, _gradients(players.optimizer_q, again, keep_graph=False)
            )
        norm_q = _norm(gradients_q)

    terms = (loss.g, loss.margin, loss.ds, loss.agreement, loss.bns, loss.q)
    scalars = (*terms, loss.h_prime.mean(), norm_g, norm_q)
    outcome = Outcome(
        images=images.detach(),
        labels=labels,
        p_logits=p_logits.detach(),
        q_logits=q_logits.detach(),
        h_prime=loss.h_prime.detach(),
        scalars=torch.stack([scalar.detach() for scalar in scalars]),
    )
    return Turn(players, outcome, gradients_g, gradients_q)


@dataclass(frozen=True)
class Look:
    """What P and Q say of images, detached: `(B, channels, H, W)`, logits `(B, C)`, H' `(B,)`."""

    images: Tensor
    p_logits: Tensor
    q_logits: Tensor
    h_prime: Tensor


@torch.no_grad()
def look_at(players: Players, images: Tensor) -> Look:
    """P's and Q's answers to `images` as they are now, without any trace on the players."""
    p_logits, q_logits = players.p(images), players.q(images)
    return Look(images, p_logits, q_logits, normalised_entropy(p_logits - q_logits))


@torch.no_grad()
def imagine(players: Players, z: Tensor, labels: Tensor) -> Tensor:
    """G's images for `z` and `labels` as it is now, without any trace on G.

    G's BatchNorm would count the batch, hence the copy.
    """
    images: Tensor = copy.deepcopy(players.generator)(z, labels)
    return images
