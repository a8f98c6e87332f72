"""The quantized network Q."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from torch import Tensor, fx, nn

from adadfq_core.quant.coverage import Coverage
from adadfq_core.quant.layers import QuantizedLayer
from adadfq_core.quant.norm_statistics import NormStatistics
from adadfq_core.quant.operations import is_batchnorm
from adadfq_core.quant.ranges import ActivationQuantizer


class QuantizedNetwork(nn.Module):
    """Q: maps images `(B, ...)` to logits `(B, C)` with fake-quantized weights and activations.

    BatchNorm always stays in evaluation mode, whatever `train` is asked for.
    """

    def __init__(self, graph: fx.GraphModule, coverage: Coverage) -> None:
        super().__init__()
        self.graph_module = graph
        self.coverage = coverage
        self.train(False)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.graph_module(x)
        return logits

    def train(self, mode: bool = True) -> QuantizedNetwork:
        super().train(False)
        return self

    def activation_quantizers(self) -> list[tuple[str, ActivationQuantizer]]:
        """Call-site name and quantizer of every quantized activation, in graph order."""
        quantizers = [m for m in self.modules() if isinstance(m, ActivationQuantizer)]
        return list(zip(self.coverage.activations, quantizers, strict=True))

    def normalised(self, name: str) -> nn.Module:
        """What puts out what the BatchNorm called `name` does in the float network.

        That is the layer in front of it where it is folded into one.
        """
        folded = {layer.norm_name: layer for layer in self._layers() if layer.norm is not None}
        return folded[name] if name in folded else self.graph_module.get_submodule(name)

    def share_ranges(self, *, learned: bool) -> None:
        """From now on, use shares of the ranges of weights and activations: all of them at first.

        Weights that the forward computes keep their minima and maxima.

        Args:
            learned: whether the shares are parameters, moved by gradients like the weights.
        """
        for module in self._layers():
            module.share_ranges(learned=learned)
        for _, quantizer in self.activation_quantizers():
            quantizer.share_ranges(learned=learned)

    @contextmanager
    def searching_ranges(self) -> Iterator[None]:
        """Within it, forward passes show how well shares of the ranges do; then the best are used.

        Of each weight range and each activation range the share whose codes are closest to the
        values, in the mean of squares. The weights' are found first, so that the activations are
        those that the quantized weights cause. `share_ranges` comes before.
        """
        for layer in self._layers():
            layer.search_range()
        quantizers = [quantizer for _, quantizer in self.activation_quantizers()]
        for quantizer in quantizers:
            quantizer.measure_errors()
        try:
            yield
        finally:
            for quantizer in quantizers:
                quantizer.take_best()

    def _layers(self) -> list[QuantizedLayer]:
        return [module for module in self.modules() if isinstance(module, QuantizedLayer)]

    @contextmanager
    def observing_ranges(self, active: bool = True) -> Iterator[None]:
        """Within it, forward passes move the activation ranges (where `active`)."""
        quantizers = [quantizer for _, quantizer in self.activation_quantizers()]
        for quantizer in quantizers:
            quantizer.observing = active
        try:
            yield
        finally:
            for quantizer in quantizers:
                quantizer.observing = False

    @contextmanager
    def correcting_biases(self, *, behind_batchnorm: bool = True) -> Iterator[None]:
        """Within it, forward passes show what rounding does to means; then the biases undo it.

        Rounding a channel's weights moves the mean of its output, because activations behind a
        rectifier are not centred. Each layer's mean shift over the images that pass is taken out of
        its bias (Nagel et al., Data-Free Quantization through Weight Equalization and Bias
        Correction, ICCV 2019, section 4.2, measured on images instead of derived from BatchNorm).
        Do it once, when the activation ranges are set; a second time would take it out twice.

        Args:
            behind_batchnorm: whether layers with a BatchNorm are corrected. Not if its statistics
                are measured anew (`measuring_batchnorm`): the new mean has the shift in it already.
        """
        layers = [each for each in self._layers() if behind_batchnorm or each.norm is None]
        for layer in layers:
            layer.measure_shift()
        try:
            yield
        finally:
            for layer in layers:
                layer.correct_bias()

    @contextmanager
    def measuring_batchnorm(self) -> Iterator[None]:
        """Within it, forward passes set the statistics of the BatchNorm layers anew.

        Quantization moves the distribution of what a BatchNorm normalises, while its statistics
        are still those of the float network. Each layer gets the mean and the variance of
        everything that has passed since the context was entered, and uses them at once, so that
        the layers behind it measure what they will see. That statistics are updated in the
        quantized network is the "adaptive batch normalization" of He et al., Data-Free
        Quantization with Accurate Activation Clipping and Adaptive Batch Normalization (arXiv
        2204.04215), of which only the abstract was at hand: when and how they are measured is a
        choice of this project, not taken from the paper's equations. Activation ranges stay.
        """
        layers = [layer for layer in self._layers() if layer.norm is not None]
        folded = {layer.norm for layer in layers}
        for layer in layers:
            assert layer.norm is not None
            layer.statistics = NormStatistics(layer.norm)
        hooks = [
            module.register_forward_pre_hook(_taken_by(NormStatistics(module)))
            for module in self.modules()
            if is_batchnorm(module) and module not in folded
        ]
        try:
            yield
        finally:
            for layer in layers:
                layer.statistics = None
            for hook in hooks:
                hook.remove()


def _taken_by(statistics: NormStatistics) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
    return lambda _, inputs: statistics.take(inputs[0])
