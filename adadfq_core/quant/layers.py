"""Convolutions and linear layers whose weights are fake-quantized at every forward pass."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd

from adadfq_core.quant.fake_quant import fake_quantize
from adadfq_core.quant.ranges import weight_range


class QuantizedLayer(nn.Module):
    """A convolution or linear layer with quantized weights, and the BatchNorm behind it.

    Weights are quantized per output channel with min/max taken at every step (paper, section
    4.1); bias and BatchNorm stay in float. BatchNorm in evaluation mode is affine, so its
    factor goes into the already quantized weights and its offset into the bias: the same
    function for one pass less over the output. Its weight and bias stay trainable.

    Args:
        layer: the float layer; its parameters are used, not copied.
        norm: the BatchNorm that alone reads the layer's output, or `None`.
        bits: bits of each weight code, 2..8.
    """

    def __init__(self, layer: _ConvNd | nn.Linear, norm: _BatchNorm | None, bits: int) -> None:
        super().__init__()
        self.layer = layer
        self.norm = norm
        self.bits = bits

    def quantized_weight(self) -> Tensor:
        """The layer's weights as the quantized network uses them, before BatchNorm's factor."""
        weight = self.layer.weight
        return fake_quantize(weight, self.bits, *weight_range(weight), channel_axis=0)

    def forward(self, x: Tensor) -> Tensor:
        weight = self.quantized_weight()
        bias = self.layer.bias
        if self.norm is not None:
            factor, offset = normalisation(self.norm)
            weight = weight * factor.view(-1, *[1] * (weight.ndim - 1))
            bias = offset if bias is None else offset + factor * bias
        if isinstance(self.layer, nn.Linear):
            return F.linear(x, weight, bias)
        result: Tensor = self.layer._conv_forward(x, weight, bias)
        return result

    def extra_repr(self) -> str:
        return f"bits={self.bits}"


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
