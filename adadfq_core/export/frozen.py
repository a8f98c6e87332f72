"""Q as it is taken away: integer codes with a step and a zero point in place of float weights."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, fx, nn

from adadfq_core.errors import InputError
from adadfq_core.quant.coverage import Coverage
from adadfq_core.quant.fake_quant import levels, scale_and_zero_point
from adadfq_core.quant.layers import (
    QuantizedLayer,
    WeightQuantizer,
    apply_layer,
    normalisation,
    output_first,
)
from adadfq_core.quant.network import QuantizedNetwork
from adadfq_core.quant.operations import WeightedLayer
from adadfq_core.quant.ranges import ActivationQuantizer, weight_range


class CodedWeight(nn.Module):
    """Weights as integers: `weight = (code - zero_point) * step`, per output channel.

    Attributes:
        bits: of each code.
        codes: integers `(out, ...)`, unsigned or signed bytes.
        step: float32 `(out,)`, in units of the weight, not negative.
        zero_point: of the type of the codes `(out,)`.
    """

    codes: Tensor
    step: Tensor
    zero_point: Tensor

    def __init__(self, codes: Tensor, step: Tensor, zero_point: Tensor, bits: int) -> None:
        super().__init__()
        self.bits = bits
        self.register_buffer("codes", codes)
        self.register_buffer("step", step)
        self.register_buffer("zero_point", zero_point)

    def integers(self) -> Tensor:
        """`code - zero_point` as int32 `(out, ...)`."""
        shape = (-1, *[1] * (self.codes.ndim - 1))
        return self.codes.to(torch.int32) - self.zero_point.to(torch.int32).view(shape)

    def forward(self) -> Tensor:
        """The weights `(out, ...)`."""
        shape = (-1, *[1] * (self.codes.ndim - 1))
        return self.integers().to(self.step.dtype) * self.step.view(shape)

    def extra_repr(self) -> str:
        return f"bits={self.bits}"


class CodedLayer(nn.Module):
    """A convolution or linear layer with coded weights; the BatchNorm behind it is folded in."""

    bias: Tensor | None

    def __init__(self, layer: WeightedLayer, weight: CodedWeight, bias: Tensor | None) -> None:
        super().__init__()
        self.layer = layer
        self.weight = weight
        self.register_buffer("bias", bias)

    def forward(self, x: Tensor) -> Tensor:
        return apply_layer(self.layer, x, self.weight(), self.bias)


class ActivationCoder(nn.Module):
    """Rounds activations to codes: `y = (code - zero_point) * step`.

    `code = clamp(round(x / step) + zero_point, 0, 2^bits - 1)`, rounded half to even: ONNX's
    QuantizeLinear and DequantizeLinear. Any shape in, the same shape out.

    Attributes:
        bits: of each code.
        step: float32 scalar, in units of the activation.
        zero_point: uint8 scalar.
    """

    step: Tensor
    zero_point: Tensor

    def __init__(self, step: Tensor, zero_point: Tensor, bits: int) -> None:
        super().__init__()
        self.bits = bits
        self.register_buffer("step", step)
        self.register_buffer("zero_point", zero_point)

    def bounds(self) -> tuple[float, float]:
        """Smallest and largest value that a code stands for."""
        step, zero_point = float(self.step), int(self.zero_point)
        return -zero_point * step, (levels(self.bits) - zero_point) * step

    def forward(self, x: Tensor) -> Tensor:
        zero_point = self.zero_point.to(x.dtype)
        codes = torch.round(x / self.step) + zero_point
        return (codes.clamp(0, levels(self.bits)) - zero_point) * self.step

    def extra_repr(self) -> str:
        return f"bits={self.bits}"


class FrozenNetwork(nn.Module):
    """Q without anything that trains: maps images `(B, ...)` to logits `(B, C)`.

    Its state is what a file holds: codes, steps, zero points, biases, and whatever stays in float.
    """

    def __init__(self, graph: fx.GraphModule, coverage: Coverage) -> None:
        super().__init__()
        self.graph_module = graph
        self.coverage = coverage
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.graph_module(x)
        return logits

    def weights(self) -> list[tuple[str, CodedWeight]]:
        """Layer's name in the coverage and coded weights of every layer, in graph order."""
        found = [
            module.weight if isinstance(module, CodedLayer) else module
            for module in self._called()
            if isinstance(module, CodedLayer | CodedWeight)
        ]
        return list(zip(self.coverage.layers, found, strict=True))

    def activations(self) -> list[tuple[str, ActivationCoder]]:
        """Call site's name in the coverage and coder of every activation, in graph order."""
        found = [module for module in self._called() if isinstance(module, ActivationCoder)]
        return list(zip(self.coverage.activations, found, strict=True))

    def _called(self) -> Iterable[nn.Module]:
        """Every module that the graph calls, once, in the order of its first call."""
        modules = dict(self.graph_module.named_modules())
        calls = [str(n.target) for n in self.graph_module.graph.nodes if n.op == "call_module"]
        return [modules[name] for name in dict.fromkeys(calls)]

    def code_bits(self) -> Iterator[tuple[str, int]]:
        """Name in the state and bits of every tensor of weight codes."""
        for name, module in self.named_modules():
            if isinstance(module, CodedWeight):
                yield f"{name}.codes", module.bits


@torch.no_grad()
def freeze(network: QuantizedNetwork) -> FrozenNetwork:
    """Q with its weights as integers and its ranges as constants, on the CPU; Q is left as it is.

    BatchNorm that Q folds at every step is folded here as well: its factor goes into the step of
    the codes, which stay the same, and a negative one turns the codes round. What Q leaves apart
    stays apart, so the function is Q's but for round-off.

    Raises:
        InputError: Q's activations have no ranges yet.
    """
    uncalibrated = [n for n, quantizer in network.activation_quantizers() if not quantizer.batches]
    if uncalibrated:
        raise InputError(
            f"The activations behind {uncalibrated[0]} have no range yet, so this network cannot "
            "be exported; let the run go on until its ranges are measured."
        )
    graph = copy.deepcopy(network.graph_module).cpu()
    _fold_computed_weights(graph)
    for name, module in list(graph.named_modules()):
        if isinstance(module, QuantizedLayer):
            graph.set_submodule(name, _coded_layer(module))
        elif isinstance(module, ActivationQuantizer):
            graph.set_submodule(name, coder(*module.range(), module.bits))
    graph.delete_all_unused_submodules()
    graph.recompile()
    return FrozenNetwork(graph, network.coverage).requires_grad_(False)


def coded(
    weight: Tensor, bits: int, bounds: tuple[Tensor, Tensor], factor: Tensor | None = None
) -> CodedWeight:
    """Weights `(out, ...)` as codes between `bounds` `(out,)`, times `factor` `(out,)`."""
    scale, lowest = scale_and_zero_point(*bounds, bits)
    shape = (-1, *[1] * (weight.ndim - 1))
    codes = torch.round(weight * scale.view(shape)) - lowest.view(shape)
    codes = codes.clamp(0, levels(bits)).to(torch.uint8)
    zero_point = (-lowest).to(torch.uint8)
    if factor is None:
        return CodedWeight(codes, 1 / scale, zero_point, bits)
    # -(c - z) = (top - c) - (top - z): a step is never negative.
    negative, top = factor < 0, levels(bits)
    codes = torch.where(negative.view(shape), top - codes, codes)
    zero_point = torch.where(negative, top - zero_point, zero_point)
    return CodedWeight(codes, factor.abs() / scale, zero_point, bits)


def _coded_layer(quantized: QuantizedLayer) -> CodedLayer:
    layer = quantized.layer
    weight = output_first(layer, layer.weight)
    bias = None if layer.bias is None else layer.bias.detach()
    factor = None
    if quantized.norm is not None:
        factor, offset = normalisation(quantized.norm)
        bias = offset if bias is None else offset + factor * bias
    without_weights = copy.deepcopy(layer)
    without_weights.register_parameter("weight", None)
    without_weights.register_parameter("bias", None)
    codes = coded(weight, quantized.bits, quantized.range(), factor)
    return CodedLayer(without_weights, codes, bias)


def coder(range_min: Tensor, range_max: Tensor, bits: int) -> ActivationCoder:
    """A coder for scalars `range_min` and `range_max`, between which zero lies."""
    scale, lowest = scale_and_zero_point(range_min, range_max, bits)
    return ActivationCoder(1 / scale, (-lowest).to(torch.uint8), bits)


def _fold_computed_weights(graph: fx.GraphModule) -> None:
    """Replace weights that the forward computes, such as standardised ones, by their codes."""
    modules = dict(graph.named_modules())
    wanted = [
        node
        for node in graph.graph.nodes
        if node.op == "call_module" and isinstance(modules[str(node.target)], WeightQuantizer)
    ]
    for node in wanted:
        quantizer = modules[str(node.target)]
        assert isinstance(quantizer, WeightQuantizer)
        (source,) = node.all_input_nodes
        weight = _value(graph, source)
        graph.set_submodule(str(node.target), coded(weight, quantizer.bits, weight_range(weight)))
        node.args = ()
    before = _stored_names(graph)
    graph.graph.eliminate_dead_code()
    for name in before - _stored_names(graph):
        owner, _, attribute = name.rpartition(".")
        delattr(graph.get_submodule(owner), attribute)


def _stored_names(graph: fx.GraphModule) -> set[str]:
    """Names of the tensors that nodes read by themselves."""
    return {str(node.target) for node in graph.graph.nodes if node.op == "get_attr"}


def _value(graph: fx.GraphModule, node: fx.Node) -> Tensor:
    """What `node` computes; it depends on no input."""
    needed: dict[fx.Node, fx.Node] = {}
    part = fx.Graph()

    def copied(source: fx.Node) -> fx.Node:
        if source not in needed:
            for earlier in source.all_input_nodes:
                copied(earlier)
            needed[source] = part.node_copy(source, lambda n: needed[n])
        return needed[source]

    part.output(copied(node))
    value: Tensor = fx.GraphModule(graph, part)()
    return value.detach()
