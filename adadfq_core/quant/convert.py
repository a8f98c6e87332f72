"""Turn a float network into a quantized one on its torch.fx graph."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn
from torch.nn.modules.batchnorm import _BatchNorm

from adadfq_core.errors import InputError
from adadfq_core.quant.layers import QuantizedLayer
from adadfq_core.quant.ranges import ActivationQuantizer

_WEIGHTED = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)
_ACTIVATION_MODULES = (
    nn.ReLU,
    nn.ReLU6,
    nn.LeakyReLU,
    nn.PReLU,
    nn.RReLU,
    nn.ELU,
    nn.CELU,
    nn.SELU,
    nn.GELU,
    nn.SiLU,
    nn.Mish,
    nn.Hardswish,
)
_ACTIVATION_FUNCTIONS = {
    torch.relu,
    torch.relu_,
    F.relu,
    F.relu6,
    F.leaky_relu,
    F.prelu,
    F.elu,
    F.celu,
    F.selu,
    F.gelu,
    F.silu,
    F.mish,
    F.hardswish,
}
_ACTIVATION_METHODS = {"relu", "relu_"}


@dataclass(frozen=True)
class Coverage:
    """What of a network is quantized: names of layers and of activation call sites in the graph."""

    layers: tuple[str, ...]
    activations: tuple[str, ...]
    weighted_layers: int

    def __str__(self) -> str:
        return (
            f"quantized {len(self.layers)} of {self.weighted_layers} convolutions and linear "
            f"layers, {len(self.activations)} activation call sites"
        )


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
        return [
            (name.removeprefix("graph_module."), module)
            for name, module in self.named_modules()
            if isinstance(module, ActivationQuantizer)
        ]

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


def _trace(network: nn.Module) -> fx.GraphModule:
    try:
        return fx.symbolic_trace(network)
    except (fx.proxy.TraceError, TypeError, RuntimeError, NotImplementedError) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"{type(network).__name__} cannot be traced by torch.fx ({reason}); write its forward "
            "without branches that depend on tensors."
        ) from error


def _is_activation(node: fx.Node, modules: dict[str, nn.Module]) -> bool:
    if node.op == "call_module":
        return isinstance(modules[str(node.target)], _ACTIVATION_MODULES)
    if node.op == "call_function":
        return node.target in _ACTIVATION_FUNCTIONS
    return node.op == "call_method" and node.target in _ACTIVATION_METHODS


def _norm_behind(node: fx.Node, modules: dict[str, nn.Module]) -> fx.Node | None:
    """The BatchNorm that alone reads `node`, provided it can be folded."""
    if len(node.users) != 1:
        return None
    user = next(iter(node.users))
    if user.op != "call_module":
        return None
    module = modules[str(user.target)]
    return user if isinstance(module, _BatchNorm) and module.running_mean is not None else None


def _call_counts(graph: fx.Graph) -> dict[str, int]:
    counts: dict[str, int] = {}
    for node in graph.nodes:
        if node.op == "call_module":
            counts[str(node.target)] = counts.get(str(node.target), 0) + 1
    return counts


def _quantize_layers(
    traced: fx.GraphModule, modules: dict[str, nn.Module], bits: int
) -> tuple[str, ...]:
    calls = _call_counts(traced.graph)
    quantized: dict[str, QuantizedLayer] = {}
    for node in list(traced.graph.nodes):
        if node.op != "call_module":
            continue
        name = str(node.target)
        layer = modules[name]
        if not isinstance(layer, _WEIGHTED):
            continue
        # Not behind a linear layer: over a sequence its features are on the last axis, while
        # BatchNorm1d normalises the second.
        foldable = calls[name] == 1 and not isinstance(layer, nn.Linear)
        norm_node = _norm_behind(node, modules) if foldable else None
        if norm_node is not None and calls[str(norm_node.target)] == 1:
            norm = modules[str(norm_node.target)]
            assert isinstance(norm, _BatchNorm)
            norm_node.replace_all_uses_with(node)
            traced.graph.erase_node(norm_node)
        else:
            norm = None
        if name not in quantized:
            quantized[name] = QuantizedLayer(layer, norm, bits)
    for name, module in quantized.items():
        traced.set_submodule(name, module)
    return tuple(quantized)


def _quantize_activations(
    traced: fx.GraphModule, modules: dict[str, nn.Module], bits: int
) -> tuple[str, ...]:
    sites = []
    for node in list(traced.graph.nodes):
        if not _is_activation(node, modules):
            continue
        # One quantizer a call site: a module used twice must not share a range.
        name = f"{node.name}_range"
        traced.add_submodule(name, ActivationQuantizer(bits))
        with traced.graph.inserting_after(node):
            quantizer = traced.graph.call_module(name, (node,))
        node.replace_all_uses_with(
            quantizer, delete_user_cb=lambda user, q=quantizer: user is not q
        )
        sites.append(name)
    return tuple(sites)


def quantize_network(
    network: nn.Module, weight_bits: int, activation_bits: int
) -> QuantizedNetwork:
    """A quantized copy of `network`: every convolution and linear layer, every activation.

    Weights are copied from `network`, which is left as it is. Activation ranges are empty until
    forward passes within `QuantizedNetwork.observing_ranges`.

    Args:
        network: P, in evaluation mode, traceable by torch.fx.
        weight_bits: 2..8, first and last layer included.
        activation_bits: 2..8, after every activation of the ReLU family.

    Raises:
        InputError: the network cannot be traced, or has no layer to quantize.
    """
    traced = _trace(copy.deepcopy(network).eval())
    modules = dict(traced.named_modules())
    weighted = sum(isinstance(module, _WEIGHTED) for module in network.modules())
    layers = _quantize_layers(traced, modules, weight_bits)
    activations = _quantize_activations(traced, modules, activation_bits)
    if not layers:
        raise InputError(
            f"{type(network).__name__} has no convolution or linear layer to quantize."
        )
    traced.delete_all_unused_submodules()
    traced.graph.lint()
    traced.recompile()
    return QuantizedNetwork(traced, Coverage(layers, activations, weighted))
