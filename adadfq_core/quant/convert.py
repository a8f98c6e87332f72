"""Turn a float network into a quantized one on its graph."""

from __future__ import annotations

import copy
import difflib
from collections.abc import Mapping
from dataclasses import replace
from fnmatch import fnmatchcase

from torch import Tensor, fx, nn
from torch.nn.modules.batchnorm import _BatchNorm

from adadfq_core.bit_overrides import FIRST, LAST
from adadfq_core.errors import InputError
from adadfq_core.quant.capture import capture
from adadfq_core.quant.coverage import Coverage, CoverageRow, unique_names
from adadfq_core.quant.layers import QuantizedLayer, WeightQuantizer
from adadfq_core.quant.leftovers import computes_weights, layer_name, left_in_float, unquantizable
from adadfq_core.quant.network import QuantizedNetwork
from adadfq_core.quant.operations import WEIGHTED, operation
from adadfq_core.quant.ranges import ActivationQuantizer
from adadfq_core.quant.sites import activation_sites


def quantize(
    network: nn.Module,
    weight_bits: int,
    activation_bits: int,
    example_input: Tensor,
    overrides: Mapping[str, int] | None = None,
) -> QuantizedNetwork:
    """A quantized twin of `network`, which is left as it is.

    Quantized are the weights of every convolution (transposed, grouped and depthwise included)
    and linear layer, per output channel, and the activations behind every activation function,
    gate and residual addition (`sites.activation_sites`), per tensor, however the forward is
    written. `QuantizedNetwork.coverage` tells what was quantized and what was not, and why.

    Args:
        network: P, in evaluation mode; whatever torch.fx or torch.export can capture.
        weight_bits: 2..8, first and last layer included.
        activation_bits: 2..8.
        example_input: `(B, ...)`; only its shape and device matter, and B may change later.
        overrides: bits by name pattern, see `adadfq_core.bit_overrides`; where several match,
            the last one holds.

    Returns:
        Q with empty activation ranges: until forward passes within
        `QuantizedNetwork.observing_ranges` set them, each batch is quantized with its own range.

    Raises:
        InputError: the network cannot be captured or has no layer to quantize, or a pattern
            matches nothing.
        ValueError: bits outside 2..8.
    """
    return quantize_graph(capture(network, example_input), weight_bits, activation_bits, overrides)


def quantize_graph(
    captured: fx.GraphModule,
    weight_bits: int,
    activation_bits: int,
    overrides: Mapping[str, int] | None = None,
) -> QuantizedNetwork:
    """`quantize` for a network that `capture` has captured already; it is left as it is."""
    graph = copy.deepcopy(captured)
    for node, original in zip(graph.graph.nodes, captured.graph.nodes, strict=True):
        node.meta = dict(original.meta)
    modules = dict(graph.named_modules())
    # Found before the layers change, reported after those that are quantized.
    sites = activation_sites(graph, modules)
    float_rows = left_in_float(graph, modules, {node for node, _, _ in sites})
    layers = _quantize_weights(graph, modules, weight_bits)
    if not layers:
        raise InputError(
            "The network has no convolution or linear layer to quantize; "
            f"its forward is made of {_operations(graph, modules)}."
        )
    activations = _quantize_activations(graph, sites, activation_bits)
    _override(layers, activations, overrides or {})
    graph.delete_all_unused_submodules()
    graph.graph.lint()
    graph.recompile()
    rows = [replace(row, bits=module.bits) for row, module in [*layers, *activations]]
    return QuantizedNetwork(graph, Coverage((*rows, *float_rows)))


_Quantizer = QuantizedLayer | WeightQuantizer | ActivationQuantizer
_Quantized = tuple[CoverageRow, _Quantizer]


def _operations(graph: fx.GraphModule, modules: dict[str, nn.Module]) -> str:
    names = {operation(node, modules) for node in graph.graph.nodes} - {""}
    return ", ".join(sorted(names)) or "nothing"


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


def _quantize_weights(
    graph: fx.GraphModule, modules: dict[str, nn.Module], bits: int
) -> list[_Quantized]:
    calls = _call_counts(graph.graph)
    quantized: dict[str, QuantizedLayer] = {}
    rows: list[_Quantized] = []
    for node in list(graph.graph.nodes):
        if computes_weights(node, modules):
            rows.append(_quantize_computed_weight(graph, node, modules, bits))
        name = str(node.target)
        layer = modules.get(name) if node.op == "call_module" else None
        if not isinstance(layer, WEIGHTED) or unquantizable(node, layer):
            continue
        # Not behind a linear layer: over a sequence its features are on the last axis, while
        # BatchNorm1d normalises the second.
        foldable = calls[name] == 1 and not isinstance(layer, nn.Linear)
        norm_node = _norm_behind(node, modules) if foldable else None
        norm_name = str(norm_node.target) if norm_node is not None else ""
        if norm_node is not None and calls[norm_name] == 1:
            norm = modules[norm_name]
            assert isinstance(norm, _BatchNorm)
            norm_node.replace_all_uses_with(node)
            graph.graph.erase_node(norm_node)
        else:
            norm, norm_name = None, ""
        if name not in quantized:
            quantized[name] = QuantizedLayer(layer, norm, bits, norm_name)
            shown = CoverageRow(layer_name(node), type(layer).__name__, "weights", bits)
            rows.append((shown, quantized[name]))
    for name, module in quantized.items():
        graph.set_submodule(name, module)
    return rows


def _quantize_computed_weight(
    graph: fx.GraphModule, node: fx.Node, modules: dict[str, nn.Module], bits: int
) -> _Quantized:
    weight = node.args[1] if len(node.args) > 1 else node.kwargs["weight"]
    assert isinstance(weight, fx.Node)
    quantizer = WeightQuantizer(bits)
    name = f"{node.name}_weight"
    graph.add_submodule(name, quantizer)
    with graph.graph.inserting_before(node):
        call = graph.graph.call_module(name, (weight,))
    node.replace_input_with(weight, call)
    owner = str(node.meta.get("owner") or node.name)
    return CoverageRow(owner, operation(node, modules), "weights", bits), quantizer


def _quantize_activations(
    graph: fx.GraphModule, sites: list[tuple[fx.Node, str, str]], bits: int
) -> list[_Quantized]:
    rows: list[_Quantized] = []
    for (node, _, kind), name in zip(
        sites, unique_names(name for _, name, _ in sites), strict=True
    ):
        # One quantizer a call site: a module used twice must not share a range.
        submodule = f"{node.name}_range"
        quantizer = ActivationQuantizer(bits)
        graph.add_submodule(submodule, quantizer)
        readers = list(node.users)
        with graph.graph.inserting_after(node):
            call = graph.graph.call_module(submodule, (node,))
        for reader in readers:
            reader.replace_input_with(node, call)
        rows.append((CoverageRow(name, kind, "activation", bits), quantizer))
    return rows


def _override(
    layers: list[_Quantized], activations: list[_Quantized], overrides: Mapping[str, int]
) -> None:
    known = [*layers, *activations]
    for pattern, bits in overrides.items():
        if pattern in (FIRST, LAST):
            chosen = [layers[0] if pattern == FIRST else layers[-1]]
        else:
            chosen = [(row, module) for row, module in known if fnmatchcase(row.name, pattern)]
        if not chosen:
            names = [row.name for row, _ in known]
            near = difflib.get_close_matches(pattern, names, n=3, cutoff=0.3) or names[:3]
            raise InputError(
                f"The bit override '{pattern}={bits}' matches no layer or activation; "
                f"names are for example {', '.join(near)}."
            )
        for _, module in chosen:
            module.bits = bits
