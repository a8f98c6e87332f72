"""The game's objectives as pure functions of logits (paper, section 3; symbols as there).

`p_logits` and `q_logits` are P's and Q's logits for the same images, both `(B, C)`. Entropies
and losses are in nats. A normalised entropy H' near 1 marks an *agreement* sample, on which P and
Q say nearly the same; near 0 marks a *disagreement* sample.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

RESPONSE_WEIGHT = 0.1
"""Nats that a unit of the asked class' logit is worth to G, see `response_loss`."""


def entropy(logits: Tensor, temperature: float = 1.0) -> Tensor:
    """Shannon entropy of `softmax(logits / temperature)`.

    Args:
        logits: `(B, C)`.
        temperature: above 0; larger flattens the distribution.

    Returns:
        `(B,)` in nats, within [0, log C].
    """
    log_p = F.log_softmax(logits / temperature, dim=1)
    return -(log_p.exp() * log_p).sum(dim=1)


def normalised_entropy(logits: Tensor) -> Tensor:
    """Entropy scaled from [batch minimum, log C] to [0, 1]: H' of the paper.

    The gradient flows through the batch minimum too. Where every sample's distribution is
    uniform (Q copies P, or C = 1) the quotient is 0/0; H' is then defined as 0 for the whole
    batch, with a zero gradient.

    Args:
        logits: `(B, C)`; for the game, `p_logits - q_logits`.

    Returns:
        `(B,)`, dimensionless.
    """
    h_info = entropy(logits)
    lowest = h_info.min()
    span = math.log(logits.shape[1]) - lowest
    # Below this the span is round-off of the entropies, not a difference between samples.
    tolerance = 16 * torch.finfo(logits.dtype).eps * max(1.0, math.log(logits.shape[1]))
    degenerate = span <= tolerance
    quotient = (h_info - lowest) / torch.where(degenerate, torch.ones_like(span), span)
    return torch.where(degenerate, torch.zeros_like(quotient), quotient.clamp(max=1.0))


def adaptability(p_logits: Tensor, q_logits: Tensor) -> Tensor:
    """`1 - H'` of the disagreement distribution `softmax(p - q)`.

    Returns:
        `(B,)` within [0, 1]; 1 where P and Q disagree sharply on one class.
    """
    return 1.0 - normalised_entropy(p_logits - q_logits)


def disagreement_loss(p_logits: Tensor, q_logits: Tensor, labels: Tensor) -> Tensor:
    """`L_ds`: mean cross-entropy of `softmax(p - q)` against `labels` `(B,)`, a scalar in nats."""
    return F.cross_entropy(p_logits - q_logits, labels)


def agreement_loss(p_logits: Tensor, q_logits: Tensor, labels: Tensor) -> Tensor:
    """`L_as`: mean cross-entropy of `softmax(p + q)` against `labels` `(B,)`, a scalar in nats."""
    return F.cross_entropy(p_logits + q_logits, labels)


def margin_penalty(h_prime: Tensor, lower: float, upper: float) -> Tensor:
    """`mean(max(lambda_l - H', 0)) + mean(max(H' - lambda_u, 0))` of `(B,)`, dimensionless."""
    return (lower - h_prime).clamp(min=0).mean() + (h_prime - upper).clamp(min=0).mean()


def margin_loss(p_logits: Tensor, q_logits: Tensor, lower: float, upper: float) -> Tensor:
    """`L_margin`: how far samples lie outside [`lower`, `upper`] on the H' axis, a scalar."""
    return margin_penalty(normalised_entropy(p_logits - q_logits), lower, upper)


def response_loss(p_logits: Tensor, labels: Tensor) -> Tensor:
    """What G minimises besides to show how far P's activations reach, a scalar in nats.

    Cross-entropy of `softmax(p)` against `labels` `(B,)`, less `RESPONSE_WEIGHT` times the mean
    absolute value of the labels' logits: P is to be sure of the class, by large numbers. After the
    absolute value loss with which He et al. generate images that find accurate activation ranges
    (Data-Free Quantization with Accurate Activation Clipping and Adaptive Batch Normalization,
    arXiv 2204.04215). Of that paper only the abstract was at hand, which says that ranges are
    taken from accurate activations of the float network. So this formula, its weight and that it
    is part of the warm-up are choices of this project, and there is no equation number to give.
    """
    asked = p_logits.gather(1, labels.unsqueeze(1))
    return F.cross_entropy(p_logits, labels) - RESPONSE_WEIGHT * asked.abs().mean()


def quantized_network_loss(p_logits: Tensor, q_logits: Tensor, temperature: float) -> Tensor:
    """`L_Q = -T^2 * mean(H(softmax((p - q) / T)))`, a scalar in nats.

    Minimised over Q: it is lowest, `-T^2 log C`, where P and Q agree up to a constant.
    """
    return -(temperature**2) * entropy(p_logits - q_logits, temperature).mean()
