"""Reading an exported ONNX file: its nodes, its constants and its description."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from adadfq_core.export.description import Description
from adadfq_core.export.onnx_reading import damaged, description_of, load_model


@dataclass(frozen=True)
class Node:
    """One operation: its ONNX type, the values that it reads ("" for none) and the one it makes."""

    operation: str
    name: str
    inputs: tuple[str, ...]
    output: str
    attributes: dict[str, Any]

    def input(self, position: int) -> str:
        """The name of an input, "" where it is left out."""
        return self.inputs[position] if position < len(self.inputs) else ""


@dataclass(frozen=True)
class Graph:
    """An exported network as it lies in the file.

    Attributes:
        nodes: in the order of computation.
        constants: of every stored tensor; those of 4 bits as bytes.
        shapes: of every value; `None` for the batch and for what the file leaves open.
    """

    nodes: tuple[Node, ...]
    constants: dict[str, npt.NDArray[Any]]
    shapes: dict[str, tuple[int | None, ...]]
    images: str
    logits: str
    description: Description


def read_graph(source: Path | onnx.ModelProto) -> Graph:
    """The network of an ONNX file that `export --format onnx` has written.

    Raises:
        InputError: no such file, a damaged one, or one that was not exported here.
    """
    model = source if isinstance(source, onnx.ModelProto) else load_model(source)
    where = "The model" if isinstance(source, onnx.ModelProto) else source
    description = description_of(model, where)
    try:
        model = onnx.shape_inference.infer_shapes(model, strict_mode=True)
        onnx.checker.check_model(model)
    except (onnx.shape_inference.InferenceError, onnx.checker.ValidationError) as error:
        raise damaged(where, error) from error
    graph = model.graph
    return Graph(
        nodes=tuple(_node(node) for node in graph.node),
        constants={tensor.name: _array(tensor) for tensor in graph.initializer},
        shapes={
            value.name: _shape(value) for value in (*graph.input, *graph.value_info, *graph.output)
        },
        images=graph.input[0].name,
        logits=graph.output[0].name,
        description=description,
    )


def _node(node: onnx.NodeProto) -> Node:
    attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    return Node(node.op_type, node.name, tuple(node.input), node.output[0], attributes)


def _array(tensor: onnx.TensorProto) -> npt.NDArray[Any]:
    array: npt.NDArray[Any] = numpy_helper.to_array(tensor)
    return array.astype(np.uint8) if tensor.data_type == onnx.TensorProto.UINT4 else array


def _shape(value: onnx.ValueInfoProto) -> tuple[int | None, ...]:
    dimensions = value.type.tensor_type.shape.dim
    return tuple(d.dim_value if d.HasField("dim_value") else None for d in dimensions)
