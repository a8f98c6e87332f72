"""A list of integer steps in the making, and what is known of its values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from adadfq_core.errors import InputError
from adadfq_core.export.integer.arithmetic import Floats, Integers, Rescaling, rescale, rescaling
from adadfq_core.export.integer.formats import Format
from adadfq_core.export.integer.inference import Step
from adadfq_core.export.integer.model import Graph, Node
from adadfq_core.export.integer.operations import Windows

_COVERED = (
    "networks of convolutions, linear layers, rectifiers, additions, pooling and concatenation"
)


@dataclass(frozen=True)
class Weights:
    """`code - zero_point` `(out, ...)` and the step of each output channel."""

    integers: Integers
    step: Floats


class Builder:
    """The steps so far and the formats of their values, both by the names in the file.

    Attributes:
        makers: the node that makes a value.
        weights: of what has been dequantized.
    """

    def __init__(self, graph: Graph, images: Format) -> None:
        self.graph = graph
        self.makers = {node.output: node for node in graph.nodes}
        self.weights: dict[str, Weights] = {}
        self.steps: list[Step] = []
        self.formats = {graph.images: images}

    def append(
        self,
        output: str,
        inputs: tuple[str, ...],
        compute: Callable[..., Integers],
        made: Format,
        site: str = "",
    ) -> None:
        """Add a step that makes a value of the format `made`; see `inference.Step`."""
        self.steps.append(Step(output, inputs, compute, site))
        self.formats[output] = made

    def uniform(self, node: Node, name: str, limit: int) -> str:
        """The name of a value that `node` reads, as integers up to `limit` with one step for all.

        Raises:
            InputError: as `format_of`.
        """
        old = self.format_of(node, name)
        if old.step.size == 1 and int(old.largest.max()) <= limit:
            return name
        step = old.reach.max(keepdims=True) / limit
        by = rescaling(old.step / step)
        new = old.at(step)
        bounds = Format(step, new.low.min(keepdims=True), new.high.max(keepdims=True))
        output = f"{name} in {limit}"
        if output not in self.formats:
            self.append(output, (name,), partial(_rescaled, by=by), bounds)
        return output

    def format_of(self, node: Node, name: str) -> Format:
        """The format of a value that `node` reads.

        Raises:
            InputError: it is none that was computed with integers, such as a constant.
        """
        if name not in self.formats:
            raise uncovered(node)
        return self.formats[name]

    def constant(self, node: Node, position: int) -> npt.NDArray[Any]:
        """An input of `node` that lies in the file.

        Raises:
            InputError: it is computed.
        """
        constant = self.graph.constants.get(node.input(position))
        if constant is None:
            raise uncovered(node)
        return constant

    def shape(self, name: str) -> tuple[int | None, ...]:
        """Of a value; `None` for the batch."""
        return self.graph.shapes[name]

    def channels(self, node: Node, name: str) -> int:
        """How many channels a value that `node` reads has.

        Raises:
            InputError: the file leaves it open.
        """
        channels = self.shape(name)[1]
        if channels is None:
            raise uncovered(node)
        return channels


def uncovered(node: Node) -> InputError:
    """The error of a network with an operation that has no integer form."""
    return InputError(
        f"The integer check covers {_COVERED}; it has no integer form of the operation "
        f"{node.operation} ({node.name}) as it stands in this network, so compare this one in "
        "another runtime instead."
    )


def windows_of(node: Node, kernel: tuple[int, ...]) -> Windows:
    """Of a convolution or pooling.

    Raises:
        InputError: its pads are not given as numbers.
    """
    if node.attributes.get("auto_pad", b"NOTSET") != b"NOTSET":
        raise uncovered(node)
    axes = len(kernel)
    ones, pads = [1] * axes, node.attributes.get("pads", [0] * 2 * axes)
    return Windows(
        kernel=kernel,
        strides=tuple(node.attributes.get("strides", ones)),
        dilations=tuple(node.attributes.get("dilations", ones)),
        pads=tuple(zip(pads[:axes], pads[axes:], strict=True)),
    )


def _rescaled(x: Integers, by: Rescaling) -> Integers:
    return rescale(x, by).astype(np.int32)
