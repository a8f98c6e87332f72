"""From an ONNX graph to integer steps: every multiplier and every bound is computed here, once.

Formats. Images are 16-bit integers whose step is the largest absolute value of a normalised image
divided by 32767. Activations are codes. Sums of products are 32-bit integers whose step, one a
channel, is that of the input times that of the weights. Where something is added, a bias or
another branch, both sides come to one finer step with at least 24 bits for the sum: a bias is
never rounded as coarsely as the products of few bits are. Values that reach a layer without codes
become 16-bit integers of one step.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from adadfq_core.export.description import Images
from adadfq_core.export.integer import arrangement, codes, layers, pooling
from adadfq_core.export.integer.building import Builder, uncovered
from adadfq_core.export.integer.formats import SUM_LIMIT, Format
from adadfq_core.export.integer.inference import Program, Step
from adadfq_core.export.integer.model import Graph, Node

_IMAGE_LIMIT = 2**15 - 1

_HANDLERS: dict[str, Callable[[Builder, Node], None]] = {
    "QuantizeLinear": codes.quantize,
    "DequantizeLinear": codes.dequantize,
    "Conv": layers.convolution,
    "Gemm": layers.linear,
    "Add": layers.addition,
    "Relu": codes.clamp,
    "Clip": codes.clamp,
    "MaxPool": pooling.max_pooling,
    "AveragePool": pooling.average_pooling,
    "GlobalAveragePool": pooling.average_over_places,
    "ReduceMean": pooling.average_over_places,
    "Concat": arrangement.concatenation,
    "Flatten": arrangement.arrangement,
    "Pad": arrangement.arrangement,
    "Reshape": arrangement.arrangement,
    "Slice": arrangement.arrangement,
    "Transpose": arrangement.arrangement,
}


def compile_graph(graph: Graph) -> Program:
    """The integer form of an exported network.

    Raises:
        InputError: an operation has none here.
        RunFailed: a sum could leave 32 bits.
    """
    network = Builder(graph, image_format(graph.description.images))
    for node in _needed(network):
        handler = _HANDLERS.get(node.operation)
        if handler is None:
            raise uncovered(node)
        handler(network, node)
    logits = network.uniform(network.makers[graph.logits], graph.logits, SUM_LIMIT)
    return Program(
        steps=_with_last_uses(network.steps, logits),
        images=graph.images,
        logits=logits,
        image_format=network.formats[graph.images],
        logit_format=network.formats[logits],
    )


def image_format(images: Images) -> Format:
    """16 bits for the values that a normalised image has."""
    ends = [(end - m) / s for m, s in zip(images.mean, images.std, strict=True) for end in (0, 1)]
    step = max(map(abs, ends)) / _IMAGE_LIMIT
    limit = np.array([_IMAGE_LIMIT])
    return Format(np.array([step]), -limit, limit)


def _needed(network: Builder) -> list[Node]:
    """The nodes that lead to the logits; rectifiers before codes are part of the clamp."""
    wanted, found = {network.graph.logits}, []
    for node in reversed(network.graph.nodes):
        if node.output in wanted:
            found.append(node)
            if node.operation == "QuantizeLinear":
                wanted.add(codes.before_clamps(network, node)[0])
            else:
                wanted.update(node.inputs)
    return found[::-1]


def _with_last_uses(steps: list[Step], logits: str) -> tuple[Step, ...]:
    last = {name: index for index, step in enumerate(steps) for name in step.inputs}
    last.pop(logits, None)
    return tuple(
        replace(step, last_use=tuple(n for n in dict.fromkeys(step.inputs) if last.get(n) == index))
        for index, step in enumerate(steps)
    )
