"""Counting what the layers of a frozen network cost."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn.modules.conv import _ConvTransposeNd
from torch.utils import _pytree as pytree

from adadfq_core.export.cost import FLOAT_BITS, Cost, LayerCost
from adadfq_core.export.frozen import ActivationCoder, CodedLayer, CodedWeight, FrozenNetwork
from adadfq_core.quant.leftovers import PASSING, SCALING
from adadfq_core.quant.operations import operation

_FLOAT_BYTES = FLOAT_BITS // 8


def count(network: FrozenNetwork, image_shape: tuple[int, int, int]) -> Cost:
    """What `network` costs for one image of `(C, H, W)`.

    Layers are those with coded weights, in graph order. A layer that is called several times has
    its weights once, the operations of all calls, and the widest of the inputs that it reads.
    Products at padded borders count as well; matrix products of two activations do not.

    Input bits are those of the codes that reach the layer through operations that choose,
    arrange, average or scale them. An average counts as wide as its codes although it lies
    between them: a linear layer behind it may read the codes first and be averaged afterwards.

    `Cost.others` is everything in the network's state but the codes (biases, steps, BatchNorm,
    zero points), its bytes divided by 4 and rounded up: a zero point is a byte, so a quarter.
    """
    run = _Run(network.graph_module)
    run.run(torch.zeros(1, *image_shape))
    layers = tuple(
        LayerCost(
            name=name,
            weights=weight.codes.numel(),
            weight_bits=weight.bits,
            input_bits=max(_input_bits(source, run) for source in run.inputs[weight]),
            operations=weight.codes.numel() * run.positions[weight],
        )
        for name, weight in network.weights()
    )
    codes = {name for name, _ in network.code_bits()}
    rest = sum(t.nbytes for name, t in network.state_dict().items() if name not in codes)
    return Cost(layers, others=-(-rest // _FLOAT_BYTES))


class _Run(fx.Interpreter):
    """Runs the graph on one image and notes what every layer with coded weights reads.

    Attributes:
        modules: of the graph, by name.
        inputs: the node that each call of a layer reads, by its weights.
        positions: places at which each layer multiplies all of its weights, over all calls.
        floats: nodes that give floating-point tensors.
    """

    def __init__(self, graph: fx.GraphModule) -> None:
        super().__init__(graph)
        self.modules: dict[str, nn.Module] = dict(graph.named_modules())
        self.inputs: dict[CodedWeight, list[fx.Node]] = {}
        self.positions: dict[CodedWeight, int] = {}
        self.floats: set[fx.Node] = set()

    @torch.no_grad()
    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        if any(isinstance(x, Tensor) and x.is_floating_point() for x in pytree.tree_leaves(result)):
            self.floats.add(n)
        call = self._call(n)
        if call is not None:
            weight, source, layer = call
            if isinstance(layer, _ConvTransposeNd):
                # Its kernel lies at every place of the input instead of the output.
                times = self.env[source].numel() // layer.in_channels
            else:
                times = result.numel() // len(weight.codes)
            self.inputs.setdefault(weight, []).append(source)
            self.positions[weight] = self.positions.get(weight, 0) + times
        return result

    def _call(self, n: fx.Node) -> tuple[CodedWeight, fx.Node, nn.Module | None] | None:
        """Weights, input and module (`None` for a function) of the layer that `n` calls, if any."""
        module = self.modules[str(n.target)] if n.op == "call_module" else None
        if isinstance(module, CodedLayer):
            return module.weight, n.all_input_nodes[0], module.layer
        if n.op != "call_function":
            return None
        for node in n.all_input_nodes:
            weight = self.modules[str(node.target)] if node.op == "call_module" else None
            if isinstance(weight, CodedWeight):
                source = n.args[0] if n.args else n.kwargs["input"]
                assert isinstance(source, fx.Node)
                return weight, source, None
        return None


def _input_bits(node: fx.Node, run: _Run) -> int:
    """Bits of the widest codes that `node` passes on; `FLOAT_BITS` if it gives anything else."""
    if node.op == "call_module":
        module = run.modules[str(node.target)]
        if isinstance(module, ActivationCoder):
            return module.bits
    sources = [source for source in node.all_input_nodes if source in run.floats]
    name = operation(node, run.modules)
    scales = name in SCALING and len(sources) == 1
    if sources and (scales or name in PASSING):
        return max(_input_bits(source, run) for source in sources)
    return FLOAT_BITS
