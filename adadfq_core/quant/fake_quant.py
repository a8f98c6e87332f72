"""Asymmetric uniform fake quantization with a straight-through gradient (paper, section 4.1)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

MIN_BITS = 2
MAX_BITS = 8
# Narrowest range, in units of the tensor: keeps the scale finite where max equals min.
NARROWEST_RANGE = 1e-8


def levels(bits: int) -> int:
    """Largest unsigned code of `bits` bits: `2^bits - 1`.

    Raises:
        ValueError: `bits` outside 2..8.
    """
    if not MIN_BITS <= bits <= MAX_BITS:
        raise ValueError(
            f"bits = {bits} is not allowed; use a whole number from {MIN_BITS} to {MAX_BITS}."
        )
    return (1 << bits) - 1


def widen_to_zero(range_min: Tensor, range_max: Tensor) -> tuple[Tensor, Tensor]:
    """The smallest range that holds both the given one and zero.

    A true 0 then stays exactly 0 and the zero point fits the bits, which export needs. The
    paper's code leaves one-sided ranges as they are.
    """
    return range_min.clamp(max=0), range_max.clamp(min=0)


def scale_and_zero_point(range_min: Tensor, range_max: Tensor, bits: int) -> tuple[Tensor, Tensor]:
    """`scale` in levels per unit and the integer `zero_point`, the (rounded) code of `range_min`.

    A value x has the unsigned code `clamp(round(scale * x) - zero_point, 0, 2^bits - 1)` and a
    code c stands for `(c + zero_point) / scale`; rounding is half to even throughout, as in ONNX.
    """
    width = (range_max - range_min).clamp(min=NARROWEST_RANGE)
    scale = levels(bits) / width
    return scale, torch.round(scale * range_min)


class _FakeQuantize(torch.autograd.Function):
    """Forward: quantize and dequantize. Backward: identity for every input, clipped ones too."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor, zero_point: Tensor, top: int) -> Tensor:
        # In place on one buffer: an activation map is far larger than the caches.
        y = x * scale
        return y.round_().clamp_(zero_point, zero_point + top).div_(scale)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, None, None, None]:
        return grad_outputs[0], None, None, None


def fake_quantize(
    x: Tensor,
    bits: int,
    range_min: Tensor | float,
    range_max: Tensor | float,
    channel_axis: int | None = None,
) -> Tensor:
    """Round `x` to the `2^bits` values that the given range allows, as floats.

    The range is taken as given, not widened to hold zero: whoever computes a range does that
    (`widen_to_zero`). The gradient with respect to `x` is the identity (straight-through
    estimator); none flows to the range.

    Args:
        x: any shape, floating point.
        bits: 2..8.
        range_min: smallest representable value, in units of `x`: one number, or one per channel.
        range_max: largest representable value, likewise.
        channel_axis: axis of `x` along which the ranges differ; `None` for one range per tensor.

    Returns:
        Tensor of the shape and dtype of `x`.

    Raises:
        ValueError: `bits` outside 2..8, or ranges that do not fit `channel_axis`.
    """
    low, high = broadcast_range(x, range_min, range_max, channel_axis)
    scale, zero_point = scale_and_zero_point(low.detach(), high.detach(), bits)
    result: Tensor = _FakeQuantize.apply(x, scale, zero_point, levels(bits))
    return result


def broadcast_range(
    x: Tensor, range_min: Tensor | float, range_max: Tensor | float, channel_axis: int | None
) -> tuple[Tensor, Tensor]:
    """The two bounds in the type of `x` and in shapes that broadcast against it.

    Raises:
        ValueError: they do not fit `channel_axis`.
    """
    low = torch.as_tensor(range_min, dtype=x.dtype, device=x.device)
    high = torch.as_tensor(range_max, dtype=x.dtype, device=x.device)
    if channel_axis is None:
        if low.numel() != 1 or high.numel() != 1:
            raise ValueError(
                f"range of shape {tuple(low.shape)} needs a channel_axis; "
                "without one the range must be a single number."
            )
        return low.reshape(()), high.reshape(())
    channels = x.shape[channel_axis]
    if low.shape != (channels,) or high.shape != (channels,):
        raise ValueError(
            f"range of shape {tuple(low.shape)} does not fit axis {channel_axis} of "
            f"{tuple(x.shape)}; it must be ({channels},)."
        )
    shape = [1] * x.ndim
    shape[channel_axis] = channels
    return low.view(shape), high.view(shape)
