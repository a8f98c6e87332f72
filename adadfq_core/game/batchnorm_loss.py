"""`L_BNS`: how far generated batches are from what P's BatchNorm layers remember of real data."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from adadfq_core.game.terms import mean_of_terms
from adadfq_core.quant.operations import is_batchnorm


class _ChannelMoments(torch.autograd.Function):
    """Mean and biased variance per channel; the backward is one affine pass over the input."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> tuple[Tensor, Tensor]:
        axes = [axis for axis in range(x.ndim) if axis != 1]
        mean = x.mean(axes)
        centred = x - mean.view(_channel_shape(x))
        variance = centred.square().mean(axes)
        ctx.save_for_backward(centred)
        return mean, variance

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> Tensor:
        (centred,) = ctx.saved_tensors
        grad_mean, grad_variance = grad_outputs
        shape = _channel_shape(centred)
        count = centred.numel() // centred.shape[1]
        # The centred values sum to zero, so the variance has no path through the mean.
        return torch.addcmul(
            grad_mean.view(shape) / count, centred, grad_variance.view(shape) * (2 / count)
        )


def _channel_shape(x: Tensor) -> list[int]:
    return [1, x.shape[1]] + [1] * (x.ndim - 2)


def channel_moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and biased variance of `(B, C, ...)` over all axes but the channel's, each `(C,)`."""
    mean, variance = _ChannelMoments.apply(x)
    return mean, variance


def statistics_mismatch(layer: nn.Module, mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
    """The mean part and the variance part of one layer's term of `L_BNS`, two scalars.

    Args:
        layer: normalises with stored statistics of C channels (see `quant.operations`).
        mean: of the layer's input, `(C,)`.
        variance: its biased variance, `(C,)`.
    """
    running_mean, running_var = layer.running_mean, layer.running_var
    assert isinstance(running_mean, Tensor) and isinstance(running_var, Tensor)
    return (mean - running_mean).square().mean(), (variance - running_var).square().mean()


class BatchNormStatisticsLoss:
    """Compares the batch at each BatchNorm layer's input with the layer's running statistics.

    Covers every module that normalises with stored statistics (see `quant.operations`), whatever
    its rank and wherever it is; one that is used twice counts twice. A network without any has no
    such term: `layers` is then empty, the loss is 0 and whoever shows it must say so.

    Args:
        network: P; hooks stay on it until `remove` is called.
    """

    def __init__(self, network: nn.Module) -> None:
        self.layers = [module for module in network.modules() if is_batchnorm(module)]
        self._network = network
        self._terms: list[Tensor] = []
        self._hooks = [layer.register_forward_pre_hook(self._observe) for layer in self.layers]
        self.enabled = False

    def _observe(self, layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if not self.enabled:
            return
        mean_part, variance_part = statistics_mismatch(layer, *channel_moments(inputs[0]))
        self._terms.append(mean_part + variance_part)

    def collect(self) -> Tensor:
        """`L_BNS` of the forward passes since the last call, averaged over layers; a scalar."""
        terms, self._terms = self._terms, []
        return mean_of_terms(terms, self._network)

    def remove(self) -> None:
        """Take the hooks off the network."""
        for hook in self._hooks:
            hook.remove()
