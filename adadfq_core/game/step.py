"""One iteration of the game: G's move and Q's move from a single forward pass."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, fx

from adadfq_core.game.batchnorm_loss import BatchNormStatisticsLoss
from adadfq_core.game.generator import Generator
from adadfq_core.game.methods import losses
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
    """The three networks of the game with G's and Q's optimizers. P is frozen."""

    p: fx.GraphModule
    q: QuantizedNetwork
    generator: Generator
    batchnorm_loss: BatchNormStatisticsLoss
    optimizer_g: torch.optim.Optimizer
    optimizer_q: torch.optim.Optimizer


@dataclass(frozen=True)
class Outcome:
    """What one iteration produced, detached: nothing here was copied off the device.

    Attributes:
        images: `(B, channels, H, W)` in P's normalised input space.
        labels: `(B,)`, the classes asked of G.
        p_logits, q_logits: `(B, C)`, before either player moved.
        h_prime: `(B,)`, H' of each sample.
        scalars: `(len(SCALARS),)` in the order of `SCALARS`; losses in nats, gradients' Euclidean
            norms over all parameters of a player (0 for a Q that did not move).
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
        parameter.grad = gradient
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


def play_iteration(
    players: Players, z: Tensor, labels: Tensor, settings: RunSettings, *, train_q: bool
) -> Outcome:
    """G's move, and Q's where `train_q`; without it Q's activation ranges are observed instead.

    Both players answer the same images: one forward pass of Q serves both losses, and each
    backward pass computes only the gradients that its player needs.

    Args:
        players: changed in place.
        z: `(B, latent_dim)` standard normal noise, B at least 2.
        labels: `(B,)` classes for G.
        settings: weights of the losses, margin and temperature.
        train_q: false during the warm-up.
    """
    images = players.generator(z, labels)
    players.batchnorm_loss.enabled = True
    p_logits = players.p(images)
    players.batchnorm_loss.enabled = False
    with players.q.observing_ranges(not train_q):
        q_logits = players.q(images)

    loss = losses(p_logits, q_logits, labels, players.batchnorm_loss.collect(), settings)
    gradients_g = _gradients(players.optimizer_g, loss.g, keep_graph=train_q)
    norm_g, norm_q = _norm(gradients_g), torch.zeros_like(loss.q)
    if train_q:
        gradients_q = _gradients(players.optimizer_q, loss.q, keep_graph=False)
        norm_q = _norm(gradients_q)
        _apply(players.optimizer_q, gradients_q)
    _apply(players.optimizer_g, gradients_g)

    terms = (loss.g, loss.margin, loss.ds, loss.agreement, loss.bns, loss.q)
    scalars = (*terms, loss.h_prime.mean(), norm_g, norm_q)
    return Outcome(
        images=images.detach(),
        labels=labels,
        p_logits=p_logits.detach(),
        q_logits=q_logits.detach(),
        h_prime=loss.h_prime.detach(),
        scalars=torch.stack([scalar.detach() for scalar in scalars]),
    )
