"""The network for runtimes: what integer kernels are written for, at the price of other numbers."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, fx, nn

from adadfq_core.export.frozen import (
    ActivationCoder,
    CodedLayer,
    CodedWeight,
    FrozenNetwork,
    coder,
)
from adadfq_core.quant.coverage import Coverage, CoverageRow
from adadfq_core.quant.fake_quant import widen_to_zero
from adadfq_core.quant.operations import operation
from adadfq_core.zoo.formats import ImageFormat

BITS = 8
# Symmetric: -128 is left out.
_LARGEST = 127
_IMAGES = "images"
_BATCH = 64
_CLIPS = frozenset(["relu", "relu6", "clamp", "hardtanh"])


def for_runtimes(network: FrozenNetwork, images: ImageFormat, samples: Tensor) -> FrozenNetwork:
    """`network` with symmetric 8-bit weights and 8-bit activations.

    Weights of up to 7 bits keep their values exactly: a signed byte holds `code - zero_point`.
    Those of 8 bits are rounded once more. Activations keep their ranges and get all 256 codes.
    The images are coded as well, and what a layer gives to anything but an activation that is
    coded: a runtime computes a layer with integers only between codes. The logits stay as they
    are.

    Args:
        samples: normalised images `(n, C, H, W)` that show the ranges of what Q leaves in float;
            those that Q learned from, so that still no training data is needed.
    """
    graph = copy.deepcopy(network.graph_module)
    for name, module in list(graph.named_modules()):
        if isinstance(module, CodedWeight):
            graph.set_submodule(name, _symmetric(module))
        elif isinstance(module, ActivationCoder):
            graph.set_submodule(name, _coder(*module.bounds()))
    added = _code_the_rest(graph, images, samples)
    return FrozenNetwork(graph, _coverage(network, graph, added)).requires_grad_(False)


def _symmetric(weight: CodedWeight) -> CodedWeight:
    integers = weight.integers()
    step = weight.step
    largest = integers.flatten(1).abs().amax(1)
    if int(largest.max()) > _LARGEST:
        # Channel by channel, so that those that fit stay as they are.
        shrink = (largest / _LARGEST).clamp(min=1)
        integers = torch.round(integers / shrink.view(-1, *[1] * (integers.ndim - 1)))
        step = step * shrink
    codes = integers.to(torch.int8)
    return CodedWeight(codes, step, torch.zeros(len(codes), dtype=torch.int8), BITS)


def _coder(low: float, high: float) -> ActivationCoder:
    return coder(torch.tensor(low), torch.tensor(high), BITS)


def _extremes(images: ImageFormat) -> tuple[float, float]:
    """Smallest and largest value of a normalised image, widened to zero."""
    mean, std = torch.tensor(images.mean), torch.tensor(images.std)
    low, high = widen_to_zero((-mean / std).min(), ((1 - mean) / std).max())
    return float(low), float(high)


class _Extremes(fx.Interpreter):
    """Runs a graph and notes the smallest and largest value of some nodes, widened to zero."""

    def __init__(self, graph: fx.GraphModule, watched: set[fx.Node]) -> None:
        super().__init__(graph)
        self.watched = watched
        self.found: dict[fx.Node, tuple[float, float]] = {}

    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        if n in self.watched:
            low, high = widen_to_zero(*result.aminmax())
            earlier = self.found.get(n, (0.0, 0.0))
            self.found[n] = min(float(low), earlier[0]), max(float(high), earlier[1])
        return result


def _code_the_rest(graph: fx.GraphModule, images: ImageFormat, samples: Tensor) -> dict[str, str]:
    """Code the images and every layer's result that is not; names of coders with what they code."""
    modules = dict(graph.named_modules())
    bare = {node for node in graph.graph.nodes if _is_bare(node, modules)}
    (placeholder,) = (node for node in graph.graph.nodes if node.op == "placeholder")
    seen = _Extremes(graph, bare)
    with torch.no_grad():
        for batch in torch.split(samples, _BATCH):
            seen.run(batch)
    ranges = {placeholder: _extremes(images)} | seen.found
    added = {}
    for node, extremes in ranges.items():
        name = f"{node.name}_codes"
        graph.add_submodule(name, _coder(*extremes))
        readers = list(node.users)
        with graph.graph.inserting_after(node):
            call = graph.graph.call_module(name, (node,))
        for reader in readers:
            reader.replace_input_with(node, call)
        added[name] = _IMAGES if node is placeholder else str(node.target)
    graph.recompile()
    return added


def _is_bare(node: fx.Node, modules: Mapping[str, nn.Module]) -> bool:
    """Whether `node` is a layer whose result goes on uncoded, and not as the logits."""
    if node.op != "call_module" or not isinstance(modules[str(node.target)], CodedLayer):
        return False
    users = list(node.users)
    if len(users) == 1 and operation(users[0], modules) in _CLIPS:
        # A runtime takes a rectifier for the ends of the codes' range.
        users = list(users[0].users)
    return not all(user.op == "output" or _is_coder(user, modules) for user in users)


def _is_coder(node: fx.Node, modules: Mapping[str, nn.Module]) -> bool:
    called = modules.get(str(node.target)) if node.op == "call_module" else None
    return isinstance(called, ActivationCoder)


def _coverage(network: FrozenNetwork, graph: fx.GraphModule, added: Mapping[str, str]) -> Coverage:
    """The rows of `network` at 8 bits, with the new activations in the order of the graph."""
    modules = dict(graph.named_modules())
    coders = [node for node in graph.graph.nodes if _is_coder(node, modules)]
    old = iter(row for row in network.coverage.rows if row.part == "activation" and row.bits)
    rows = [row for row in network.coverage.rows if row.part == "weights"]
    rows += [
        CoverageRow(added[str(node.target)], "layer", "activation", BITS)
        if str(node.target) in added
        else next(old)
        for node in coders
    ]
    return Coverage(tuple(replace(row, bits=row.bits and BITS) for row in rows))
