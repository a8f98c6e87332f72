"""Ranges narrower than minima and maxima: searched for once, and learned from there."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from adadfq_core.quant.fake_quant import (
    broadcast_range,
    fake_quantize,
    levels,
    scale_and_zero_point,
    widen_to_zero,
)

SEARCHED = tuple(0.3 + 0.02 * step for step in range(36))
"""Shares of a range that are tried, the whole one last."""

# By so much a share moves for a gradient and a learning rate of one, before the division that
# `RangeShares.forward` tells of. Chosen, not tuned.
RATE = 9.0


class RangeShares(nn.Module):
    """What share of a range's two bounds is used: all at first.

    Learned, they follow Esser et al., Learned Step Size Quantization (arXiv 1902.08153), and
    Bhalgat et al., LSQ+ (arXiv 2004.09576), who learn the zero point as well. Here the two bounds
    are learned instead of a step and an offset, so that zero stays within, and as shares, so that
    one rate fits ranges of any size.

    Args:
        shape: of a bound: `()`, or `(out,)` for one range a channel.
        learned: whether gradients move them.
    """

    shares: Tensor

    def __init__(self, shape: tuple[int, ...], device: torch.device, *, learned: bool) -> None:
        super().__init__()
        self.learned = learned
        shares = torch.ones(2, *shape, device=device)
        if learned:
            self.shares = nn.Parameter(shares)
        else:
            self.register_buffer("shares", shares)

    def forward(self, low: Tensor, high: Tensor, values: int, bits: int) -> tuple[Tensor, Tensor]:
        """The shares of a range from `low` to `high`, with a graph to them where they are learned.

        A gradient grows with the number of values that share the range and with their levels; as
        in LSQ, section 2.2, it is divided by the root of both.

        Args:
            low, high: the whole range.
            values: so many values share it, in one image where they are activations.
            bits: of their codes.
        """
        shares = self.shares
        if self.learned:
            held = shares.detach()
            shares = held + RATE / (values * levels(bits)) ** 0.5 * (shares - held)
        return widen_to_zero(low * shares[0], high * shares[1])

    @torch.no_grad()
    def take_best(self, errors: Tensor) -> None:
        """Use the share with the smallest of `errors` `(len(SEARCHED), ...)` for both bounds."""
        tried = torch.tensor(SEARCHED, device=errors.device)
        # Of equal ones the widest, which is the last.
        best = len(SEARCHED) - 1 - errors.flip(0).argmin(0)
        self.shares.copy_(tried[best].expand_as(self.shares))


@torch.no_grad()
def range_errors(
    x: Tensor, bits: int, low: Tensor, high: Tensor, channel_axis: int | None = None
) -> Tensor:
    """Mean squared error of fake quantization with each of the shares `SEARCHED` of a range.

    To choose a range by it is common: Banner et al. (arXiv 1810.05723) derive the best one for
    known distributions, here the values themselves are tried.

    Args:
        x: any shape.
        bits: 2..8.
        low, high: the whole range, as for `fake_quantize`.
        channel_axis: as there; of a range per channel each one has errors of its own.

    Returns:
        `(len(SEARCHED),)`, or `(len(SEARCHED), channels)`.
    """
    errors = []
    for share in SEARCHED:
        error = fake_quantize(x, bits, low * share, high * share, channel_axis).sub_(x).square_()
        if channel_axis is not None:
            error = error.movedim(channel_axis, 0).flatten(1)
        errors.append(error.mean(-1) if channel_axis is not None else error.mean())
    return torch.stack(errors)


class _RangePath(torch.autograd.Function):
    """Zeros of the shape of x, whose gradient becomes that of the range which quantizes x.

    A node of its own, so that a backward pass that asks for no range (G's) computes none.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, low: Tensor, high: Tensor, bits: int) -> Tensor:
        ctx.save_for_backward(x, low, high)
        ctx.bits = bits
        return x.new_zeros(()).expand(x.shape)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[None, Tensor, Tensor, None]:
        (grad,) = grad_outputs
        x, low, high = ctx.saved_tensors
        top = levels(ctx.bits)
        scale, zero_point = scale_and_zero_point(low, high, ctx.bits)
        exact = x * scale
        code = exact.round()
        outside = (code < zero_point) | (code > zero_point + top)
        code.clamp_(zero_point, zero_point + top)
        # What is clipped follows the bound, whose own rounding to a zero point is passed over
        # straight through; what is not follows its rounding error (LSQ, equation 3).
        slope = code.sub_(torch.where(outside, low * scale, exact)).mul_(grad)
        by_high = slope.sum_to_size(low.shape) / top
        by_low = torch.where(outside, grad, 0.0).sum_to_size(low.shape)
        return None, by_low - by_high, by_high, None


class _Quantize(torch.autograd.Function):
    """Forward: quantize and dequantize. Backward: the identity, but nothing where x was clipped."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, path: Tensor, scale: Tensor, zero_point: Tensor, top: int
    ) -> Tensor:
        ctx.save_for_backward(x, scale, zero_point)
        ctx.top = top
        y = x * scale
        return y.round_().clamp_(zero_point, zero_point + top).div_(scale)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        (grad,) = grad_outputs
        x, scale, zero_point = ctx.saved_tensors
        code = (x * scale).round_()
        inside = (code >= zero_point) & (code <= zero_point + ctx.top)
        return grad * inside, grad, None, None, None


def fake_quantize_learning(
    x: Tensor, bits: int, range_min: Tensor, range_max: Tensor, channel_axis: int | None = None
) -> Tensor:
    """`fake_quantize` with a gradient for the range as well, and none for what is clipped.

    Args:
        x: any shape, floating point.
        bits: 2..8.
        range_min: smallest representable value, at most 0: one number, or one per channel.
        range_max: largest representable value, at least 0, likewise.
        channel_axis: axis of `x` along which the ranges differ; `None` for one range per tensor.

    Returns:
        The values of `fake_quantize`. The gradients of the bounds are those of LSQ+ (arXiv
        2004.09576) put in terms of the bounds: rounding is passed straight through.

    Raises:
        ValueError: as `fake_quantize`.
    """
    low, high = broadcast_range(x, range_min, range_max, channel_axis)
    path = _RangePath.apply(x.detach(), low, high, bits)
    scale, zero_point = scale_and_zero_point(low.detach(), high.detach(), bits)
    result: Tensor = _Quantize.apply(x, path, scale, zero_point, levels(bits))
    return result
