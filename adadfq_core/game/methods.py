"""What G and Q minimise under each method that the game can be played by.

`adadfq` is the paper's game. `gdfq` is the baseline it compares with: Generative Low-bitwidth
Data Free Quantization (Xu et al., ECCV 2020, arXiv 2003.03603), whose generator follows P alone and
never looks at Q. `real` is the ceiling of both: Q learns with AdaDFQ's loss from real images in
place of G's, and there is no G to minimise anything.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from adadfq_core.game.objectives import (
    agreement_loss,
    disagreement_loss,
    margin_penalty,
    normalised_entropy,
    quantized_network_loss,
    response_loss,
)
from adadfq_core.settings import RunSettings


@dataclass(frozen=True)
class Losses:
    """Both players' losses and what they are made of, scalars in nats; `h_prime` is `(B,)`.

    Terms that a method's G does not minimise are there all the same, to be looked at; where there
    is no G they are 0.
    """

    g: Tensor
    q: Tensor
    margin: Tensor
    ds: Tensor
    agreement: Tensor
    bns: Tensor
    h_prime: Tensor


def losses(
    p_logits: Tensor,
    q_logits: Tensor,
    labels: Tensor,
    bns: Tensor,
    settings: RunSettings,
    *,
    calibrating: bool = False,
) -> Losses:
    """The losses of `settings.method` for P's and Q's logits `(B, C)` of the same images.

    Args:
        labels: `(B,)`, the classes asked of G, or those of the real images.
        bns: `L_BNS` of the images, 0 of real ones.
        calibrating: whether Q's activation ranges are being set on these images.
    """
    h_prime = normalised_entropy(p_logits - q_logits)
    q = loss_of_q(p_logits, q_logits, labels, settings)
    if not settings.has_generator:
        none = torch.zeros_like(bns)
        return Losses(none, q, none, none, none, none, h_prime)
    margin = margin_penalty(h_prime, settings.lambda_l, settings.lambda_u)
    ds = disagreement_loss(p_logits, q_logits, labels)
    agreement = agreement_loss(p_logits, q_logits, labels)
    if settings.method == "gdfq":
        g = F.cross_entropy(p_logits, labels) + settings.gamma * bns
    else:
        balance = settings.alpha_ds * ds + settings.alpha_as * agreement
        g = margin + settings.beta * balance + settings.gamma * bns
    if calibrating and settings.activation_clipping:
        g = g + response_loss(p_logits, labels)
    return Losses(g, q, margin, ds, agreement, bns, h_prime)


def loss_of_q(p_logits: Tensor, q_logits: Tensor, labels: Tensor, settings: RunSettings) -> Tensor:
    """What Q minimises under `settings.method`, a scalar in nats; arguments as for `losses`."""
    if settings.method == "gdfq":
        return distillation_loss(p_logits, q_logits, labels, settings.temperature)
    return quantized_network_loss(p_logits, q_logits, settings.temperature)


def distillation_loss(
    p_logits: Tensor, q_logits: Tensor, labels: Tensor, temperature: float
) -> Tensor:
    """Cross-entropy of Q against `labels` plus `T^2 KL(softmax(p / T) || softmax(q / T))`.

    A scalar in nats: Q's loss in GDFQ, which distils P with the temperature of Hinton et al.
    (arXiv 1503.02531). P's logits get no gradient.
    """
    target = F.log_softmax(p_logits.detach() / temperature, dim=1)
    answer = F.log_softmax(q_logits / temperature, dim=1)
    divergence = F.kl_div(answer, target, reduction="batchmean", log_target=True)
    return F.cross_entropy(q_logits, labels) + temperature**2 * divergence
