"""Convolutions and linear layers whose weights are fake-quantized at every forward pass."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvTransposeNd

from adadfq_core.quant.fake_quant import fake_quantize
from adadfq_core.quant.norm_statistics import NormStatistics
from adadfq_core.quant.operations import WeightedLayer
from adadfq_core.quant.range_shares import RangeShares, fake_quantize_clipping, range_errors
from adadfq_core.quant.ranges import weight_range

_TRANSPOSED: dict[int, Callable[..., Tensor]] = {
    3: F.conv_transpose1d,
    4: F.conv_transpose2d,
    5: F.conv_transpose3d,
}


class QuantizedLayer(nn.Module):
    """A convolution or linear layer with quantized weights, and the BatchNorm behind it.

    Weights are quantized per output channel with min/max taken at every step (paper, section
    4.1), or with shares of it (`share_ranges`); bias and BatchNorm stay in float. BatchNorm in
    evaluation mode is affine, so its factor goes into the already quantized weights and its
    offset into the bias: the same function for one pass less over the output. Its weight and bias
    stay trainable.

    Args:
        layer: the float layer; its parameters are used, not copied.
        norm: the BatchNorm that alone reads the layer's output, or `None`.
        bits: bits of each weight code, 2..8.
        norm_name: of `norm` in the float network, "" without one.

    Attributes:
        statistics: measures those of `norm` anew in every forward pass, before they are used;
            `None` leaves them.
        shares: of the ranges that are used; `None` uses all of them.
    """

    whole_min: Tensor
    whole_max: Tensor

    def __init__(
        self, layer: WeightedLayer, norm: _BatchNorm | None, bits: int, norm_name: str = ""
    ) -> None:
        super().__init__()
        self.layer = layer
        self.norm = norm
        self.norm_name = norm_name
        self.bits = bits
        self._shifts: list[Tensor] | None = None
        self.statistics: NormStatistics | None = None
        self.shares: RangeShares | None = None

    def share_ranges(self, *, learned: bool) -> None:
        """From now on use shares of the ranges; those that are learned are of the present ones."""
        weight = output_first(self.layer, self.layer.weight)
        self.shares = RangeShares((len(weight),), weight.device, learned=learned)
        if learned:
            low, high = weight_range(weight)
            self.register_buffer("whole_min", low)
            self.register_buffer("whole_max", high)

    def search_range(self) -> None:
        """Use the shares whose codes are closest to the weights, in the mean of squares."""
        assert self.shares is not None
        weight = output_first(self.layer, self.layer.weight)
        errors = range_errors(weight, self.bits, *self._whole_range(weight), channel_axis=0)
        self.shares.take_best(errors)

    def range(self) -> tuple[Tensor, Tensor]:
        """The ranges in force `(out,)`, which hold zero, in units of the weights.

        They have a graph to the shares, where these are learned.
        """
        return self._range_of(output_first(self.layer, self.layer.weight))

    def _range_of(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        low, high = self._whole_range(weight)
        if self.shares is not None:
            low, high = self.shares(low, high, weight[0].numel(), self.bits)
        return low, high

    def _whole_range(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        if self.shares is not None and self.shares.learned:
            return self.whole_min, self.whole_max
        return weight_range(weight)

    def quantized_weight(self) -> Tensor:
        """The layer's weights as the quantized network uses them, before BatchNorm's factor."""
        return output_first(self.layer, self.quantized_output_first())

    def quantized_output_first(self) -> Tensor:
        """The same with the output channel on axis 0, as they are quantized."""
        weight = output_first(self.layer, self.layer.weight)
        quantizing = fake_quantize if self.shares is None else fake_quantize_clipping
        return quantizing(weight, self.bits, *self._range_of(weight), channel_axis=0)

    def forward(self, x: Tensor) -> Tensor:
        weight = self.quantized_output_first()
        bias = self.layer.bias
        if self._shifts is not None:
            self._shifts.append(self._shift(x, weight))
        if self.norm is not None:
            if self.statistics is not None:
                self.statistics.take(apply_layer(self.layer, x, weight, bias))
            factor, offset = normalisation(self.norm)
            weight = weight * factor.view(-1, *[1] * (weight.ndim - 1))
            bias = offset if bias is None else offset + factor * bias
        return apply_layer(self.layer, x, weight, bias)

    def measure_shift(self) -> None:
        """From now on, note by how much quantized weights move the mean of each output channel."""
        self._shifts = []

    @torch.no_grad()
    def correct_bias(self) -> None:
        """Take the mean of the shifts that were noted out of the bias, and note no more.

        The bias is BatchNorm's where there is one; a layer without any stays as it is.
        """
        shifts, self._shifts = self._shifts, None
        if not shifts:
            return
        shift = torch.stack(shifts).mean(0)
        if self.norm is not None and self.norm.bias is not None:
            self.norm.bias.sub_(normalisation(self.norm)[0] * shift)
        elif self.layer.bias is not None:
            self.layer.bias.sub_(shift)

    @torch.no_grad()
    def _shift(self, x: Tensor, weight: Tensor) -> Tensor:
        """Mean `(out,)` over all else of what `x` gets for `weight` beyond the float weights."""
        error = weight - output_first(self.layer, self.layer.weight)
        moved = apply_layer(self.layer, x, error, None)
        # A convolution's channels come before its space; without a batch they are the first axis.
        channel = -1 if isinstance(self.layer, nn.Linear) else 1 - weight.ndim
        return moved.movedim(channel, -1).flatten(0, -2).mean(0)

    def extra_repr(self) -> str:
        return f"bits={self.bits}"


def output_first(layer: WeightedLayer, weight: Tensor) -> Tensor:
    """`weight` of `layer` with output channels on axis 0; transposed layers have them on axis 1.

    It is its own reverse: what has the output first comes back as `layer` stores it.
    """
    if not isinstance(layer, _ConvTransposeNd):
        return weight
    groups, kernel = layer.groups, weight.shape[2:]
    first, second = weight.shape[0] // groups, weight.shape[1]
    grouped = weight.view(groups, first, second, *kernel).transpose(1, 2)
    return grouped.reshape(groups * second, first, *kernel)


def apply_layer(layer: WeightedLayer, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """What `layer` computes of `x` with other weights, which are given with the output first."""
    if isinstance(layer, nn.Linear):
        return F.linear(x, weight, bias)
    if isinstance(layer, _ConvTransposeNd):
        result: Tensor = _TRANSPOSED[weight.ndim](
            x,
            output_first(layer, weight),
            bias,
            layer.stride,
            layer.padding,
            layer.output_padding,
            layer.groups,
            layer.dilation,
        )
        return result
    convolved: Tensor = layer._conv_forward(x, weight, bias)
    return convolved


class WeightQuantizer(nn.Module):
    """Fake quantization of weights that a forward computes, such as standardised ones.

    Maps weights with the output channel on axis 0 to the same shape.
    """

    def __init__(self, bits: int) -> None:
        super().__init__()
        self.bits = bits

    def forward(self, weight: Tensor) -> Tensor:
        return quantize_weight(weight, self.bits)

    def extra_repr(self) -> str:
        return f"bits={self.bits}"


def quantize_weight(weight: Tensor, bits: int) -> Tensor:
    """Weights `(out, ...)` fake-quantized per output channel with their own min and max."""
    return fake_quantize(weight, bits, *weight_range(weight), channel_axis=0)


def normalisation(norm: _BatchNorm) -> tuple[Tensor, Tensor]:
    """Factor and offset `(C,)` of BatchNorm in evaluation mode: `y = factor * x + offset`."""
    assert norm.running_var is not None and norm.running_mean is not None
    factor = (norm.running_var + norm.eps).rsqrt()
    if norm.weight is not None:
        factor = factor * norm.weight
    offset = -norm.running_mean * factor
    if norm.bias is not None:
        offset = offset + norm.bias
    return factor, offset
