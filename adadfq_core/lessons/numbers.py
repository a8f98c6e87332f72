"""What rounding to a few bits does to one number and to the weights of one filter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from adadfq_core.quant.fake_quant import fake_quantize, levels, scale_and_zero_point
from adadfq_core.quant.ranges import weight_range

# Inputs tried between two neighbouring levels: enough to meet each level and to draw steps upright.
_TRIES = 32
# Floats of a value that lies half a step away may say a little more.
_ROUND_OFF = 1e-4


@dataclass(frozen=True, eq=False)
class Rounding:
    """Values before and after fake quantization, in their own unit.

    Attributes:
        before, after: the values, `(n,)`.
        allowed: the values that the range and the bits allow, ascending.
        clipped: share of values that lie more than half a step outside of `allowed`, 0..1.
        error: mean distance between before and after.
    """

    before: NDArray[np.float32]
    after: NDArray[np.float32]
    allowed: NDArray[np.float32]
    clipped: float
    error: float


def staircase(
    bits: int, low: float, high: float, reach: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Values from `-reach` to `reach` and what fake quantization makes of each.

    Raises:
        ValueError: `bits` outside 2..8.
    """
    x = torch.linspace(-reach, reach, _TRIES * (levels(bits) + 1) + 1)
    return x.numpy(), fake_quantize(x, bits, low, high).numpy()


def round_number(value: float, bits: int, low: float, high: float) -> float:
    """`value` after fake quantization to `bits` bits (2..8) within [`low`, `high`]."""
    return float(fake_quantize(torch.tensor(value), bits, low, high))


def round_filter(weights: Tensor, bits: int, kept: float) -> Rounding:
    """The weights of one filter, quantized as the engine does with a part of their range.

    Args:
        weights: of one output channel, any shape.
        bits: 2..8.
        kept: the share of the filter's range (its least to its largest weight, widened to zero)
            that the levels are spread over, above 0 and up to 1.

    Raises:
        ValueError: `bits` outside 2..8.
    """
    before = weights.detach().flatten()
    low, high = (kept * float(bound) for bound in weight_range(before[None]))
    after = fake_quantize(before, bits, low, high)
    scale, _ = scale_and_zero_point(torch.tensor(low), torch.tensor(high), bits)
    moved = (after - before).abs()
    # From a range's width beyond one end to as far beyond the other: the outer levels too.
    width = high - low
    tried = torch.linspace(low - width, high + width, 3 * _TRIES * (levels(bits) + 1))
    return Rounding(
        before.numpy(),
        after.numpy(),
        np.unique(fake_quantize(tried, bits, low, high).numpy()),
        float((moved * scale > 0.5 + _ROUND_OFF).double().mean()),
        float(moved.mean()),
    )


def filter_weights(network: nn.Module, layer: str, channel: int = 0) -> Tensor:
    """The weights of output channel `channel` of the convolution named `layer`, a copy."""
    weight = network.get_submodule(layer).weight
    assert isinstance(weight, Tensor)
    return weight.detach()[channel].clone()


def fewer_bits_suffice(top1: float, by_bits: Mapping[int, float], bits: int, loss: float) -> bool:
    """Whether a smaller number of bits than `bits` loses less than `loss` points of `top1`."""
    return any(top1 - found < loss for fewer, found in by_bits.items() if fewer < bits)
