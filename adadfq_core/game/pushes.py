"""Where the generator's loss pushes each sample on the H' axis, for the picture of the margin.

Of `L_G = L_margin + beta (alpha_ds L_ds + alpha_as L_as) + gamma L_BNS` all but `L_BNS` depends on
the logits. A loss has a derivative "with respect to H'" only along the direction in which H' moves,
so the loss's gradient for a sample's own logits `l = (p, q)` is projected on that of its H':

    dL/dH' := <dL/dl, dH'/dl> / <dH'/dl, dH'/dl>

with the batch's minimum of H_info held: what one sample does to the others by being the minimum is
left out. Term by term, with `d = p - q` and `g = dH'/dd`, so that `dH'/dl = (g, -g)`:

- `L_margin` knows the logits through H' alone: exactly its own derivative, -1/B below the margin,
  +1/B above it, 0 inside.
- `L_ds` has the gradient `(r, -r) / B` with `r = softmax(d) - onehot(label)`, which gives
  `<r, g> / (B <g, g>)`.
- `L_as` depends on `p + q`: its gradient `(s, s)` is orthogonal to `(g, -g)`. It moves P and Q
  together and H' not at all, so neither it nor `alpha_as` occurs below.

G descends, so the motion is minus this derivative. It is multiplied by B: the value does not depend
on the batch's size, and the margin's part is +1, -1 or 0.

GDFQ's generator minimises `CE(softmax(p), label)` besides `L_BNS`: its gradient `(c, 0) / B` with
`c = softmax(p) - onehot(label)` gives `<c, g> / (2 B <g, g>)`; half of it goes into `p + q`.

H' is flat where `d` is constant (H' near its top) and where `softmax(d)` is one-hot. Near these
ends all but the margin's part grow without bound; where the slope vanishes in round-off the push
is 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from adadfq_core.game.objectives import normalised_entropy


@dataclass(frozen=True)
class HPrimePush:
    """Motion along H' that G's loss asks for, `(B,)` each, in units of the margin's own push.

    Positive pushes towards agreement (H' = 1), negative towards disagreement (H' = 0).

    Attributes:
        whole: by all terms of the loss that depend on the logits.
        margin: by `L_margin` alone: 1 below the margin, -1 above it, 0 inside.
    """

    whole: Tensor
    margin: Tensor


def h_prime_push(
    p_logits: Tensor,
    q_logits: Tensor,
    labels: Tensor,
    lambda_l: float,
    lambda_u: float,
    alpha_ds: float,
    beta: float,
) -> HPrimePush:
    """Where the generator's loss pushes each sample on the H' axis (see the module's docstring).

    Never NaN: a sample whose H' does not react to its logits gets 0, and so does every sample of a
    batch on which H' is not defined (`normalised_entropy`).

    Args:
        p_logits, q_logits: `(B, C)`; no gradient flows back to them.
        labels: `(B,)`, the classes asked of G.
        lambda_l, lambda_u: the margin's boundaries on the H' axis.
        alpha_ds, beta: weights of `L_ds` within `L_bal` and of `L_bal`.
    """
    d = (p_logits - q_logits).detach()
    slope = _slope(d)
    h_prime = normalised_entropy(d)
    margin = (h_prime < lambda_l).to(d) - (h_prime > lambda_u).to(d)
    margin = margin * slope.any(dim=1)
    residual = F.softmax(d, dim=1) - F.one_hot(labels, d.shape[1])
    return HPrimePush(margin - beta * alpha_ds * _projected(residual, slope), margin)


def h_prime_push_gdfq(p_logits: Tensor, q_logits: Tensor, labels: Tensor) -> Tensor:
    """`h_prime_push` for the loss of GDFQ's generator, which knows no margin: `(B,)`."""
    slope = _slope((p_logits - q_logits).detach())
    residual = F.softmax(p_logits.detach(), dim=1) - F.one_hot(labels, p_logits.shape[1])
    return -_projected(residual, slope) / 2


def _slope(d: Tensor) -> Tensor:
    """dH'/dd `(B, C)` with the batch's minimum held; exactly 0 where it is round-off."""
    most = math.log(d.shape[1])
    log_share = F.log_softmax(d, dim=1)
    share = log_share.exp()
    h_info = -(share * log_share).sum(dim=1)
    span = most - h_info.min()
    slope = -share * (log_share + h_info[:, None])
    # As for H' itself: below this a difference of entropies, or their slope, is round-off.
    tolerance = 16 * torch.finfo(d.dtype).eps * max(1.0, most)
    reacts = (span > tolerance) & (slope.norm(dim=1) > tolerance)
    return torch.where(reacts[:, None], slope / span, 0.0)


def _projected(gradient: Tensor, slope: Tensor) -> Tensor:
    """`<gradient, slope> / <slope, slope>` of each row, 0 where the slope is 0."""
    steepness = (slope * slope).sum(dim=1)
    return (gradient * slope).sum(dim=1) / torch.where(steepness > 0, steepness, 1.0)
