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


def _within(gradient: Tensor, code: Tensor, top: int) -> Tensor:
    """`gradient` where `code`, counted from the zero point and not rounded yet, is not clipped."""
    # What else masks a map takes several passes over it.
    kept: Tensor = torch.ops.aten.hardtanh_backward(gradient, code, -0.5, top + 0.5)
    return kept


class _RangePath(torch.autograd.Function):
    """Zeros of the shape of x, whose gradient becomes that of the range which quantizes x.

    A node of its own, so that a backward pass that asks for no range (G's) computes none.
    `rounded` is by how much the zero point is above the exact code of `low`.
    """

    @staticmethod
    def forward(
        ctx: Any, code: Tensor, low: Tensor, high: Tensor, rounded: Tensor, top: int
    ) -> Tensor:
        ctx.save_for_backward(code, rounded)
        ctx.top = top
        return code.new_zeros(()).expand(code.shape)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        (grad,) = grad_outputs
        code, rounded = ctx.saved_tensors
        top = ctx.top
        kept = _within(grad, code, top)
        sums = _Sums(code, rounded.shape)
        clipped = sums.of(grad) - sums.of(kept)
        # What is not clipped follows its rounding error (LSQ, equation 3); what is follows the
        # bound, whose own rounding to a zero point is passed over straight through. Sums of
        # products tell both without a map of either.
        error = sums.of(grad, code.round().clamp_(0, top)) - sums.of(kept, code)
        by_high = (error + rounded * clipped) / top
        return None, clipped - by_high, by_high, None, None


class _Sums:
    """Sums over all values that share a range, of tensors of the shape of `like`.

    Args:
        like: what lies in memory as the tensors to be summed do.
        shape: of the range, `()` or what broadcasts against `like`.
    """

    def __init__(self, like: Tensor, shape: torch.Size) -> None:
        self._shape = shape
        axes = list(range(like.ndim))
        if like.ndim == 4 and like.is_contiguous(memory_format=torch.channels_last):
            axes = [0, 2, 3, 1]
        self._axes = axes

    def of(self, x: Tensor, by: Tensor | None = None) -> Tensor:
        """Of `x`, or of its product with `by`."""
        if self._shape:
            return (x if by is None else x * by).sum_to_size(self._shape)
        if by is None:
            return x.sum()
        return torch.dot(*(each.permute(self._axes).reshape(-1) for each in (x, by)))


class _Quantize(torch.autograd.Function):
    """Forward: y, what x is quantized to. Backward: the identity, nothing where x was clipped."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, path: Tensor | None, code: Tensor, y: Tensor, top: int
    ) -> Tensor:
        ctx.save_for_backward(code)
        ctx.top = top
        return y

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        (grad,) = grad_outputs
        (code,) = ctx.saved_tensors
        path = grad if ctx.needs_input_grad[1] else None
        return _within(grad, code, ctx.top), path, None, None, None


def fake_quantize_clipping(
    x: Tensor, bits: int, range_min: Tensor, range_max: Tensor, channel_axis: int | None = None
) -> Tensor:
    """`fake_quantize` with no gradient for what is clipped, and one for a range that has a graph.

    A range that leaves values out needs that: straight through, a clipped value's gradient does not
    fall when the value moves, so what is in front of it grows without end.

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
    if not torch.is_grad_enabled():
        return fake_quantize(x, bits, range_min, range_max, channel_axis)
    low, high = broadcast_range(x, range_min, range_max, channel_axis)
    top = levels(bits)
    with torch.no_grad():
        scale, zero_point = scale_and_zero_point(low, high, bits)
        code = x * scale
        y = code.round().clamp_(zero_point, zero_point + top).div_(scale)
        code.sub_(zero_point)
        rounded = zero_point - low * scale
    moved = low.requires_grad or high.requires_grad
    path = _RangePath.apply(code, low, high, rounded, top) if moved else None
    result: Tensor = _Quantize.apply(x, path, code, y, top)
    return result
