"""Q as an ONNX model with QuantizeLinear and DequantizeLinear around integer codes.

The ONNX operators are those of opset 21, the first with 4-bit codes.
"""

from __future__ import annotations

import copy
from pathlib import Path

import ml_dtypes
import onnx
import torch
from onnx import helper, numpy_helper
from torch import Tensor, nn

from adadfq_core.errors import RunFailed
from adadfq_core.export.description import KEY, Description
from adadfq_core.export.frozen import ActivationCoder, CodedLayer, CodedWeight, FrozenNetwork
from adadfq_core.export.quiet import quiet
from adadfq_core.files import replace_atomically
from adadfq_core.quant.layers import apply_layer

OPSET = 21
INPUT, OUTPUT, BATCH = "images", "logits", "batch"
# Of a tensor of codes.
_CODES, _STEP, _ZERO_POINT = ".codes", ".step", ".zero_point"
# What a node notes of the module that wrote it.
_OWNER = "adadfq.owner"
_NIBBLE_BITS = 4
_BYTE_BITS = 8


def save_onnx(network: FrozenNetwork, description: Description, path: Path) -> None:
    """Write `network` to `path` as ONNX, whole or not at all; see `to_onnx`.

    Raises:
        RunFailed: PyTorch cannot write an operation of the network as ONNX.
    """
    model = to_onnx(network, description)
    with replace_atomically(path) as temporary:
        onnx.save(model, str(temporary))


def to_onnx(network: FrozenNetwork, description: Description) -> onnx.ModelProto:
    """`network` as an ONNX model of input "images" `(batch, C, H, W)` and output "logits".

    Weights are stored as codes in the smallest type that ONNX has for them (UINT4 up to 4 bits,
    else bytes) with integer zero points, per output channel. Activation codes are bytes. Those of
    8 bits need no more than QuantizeLinear, which saturates at the ends of its type; those of
    fewer bits are clipped to their range before. (onnxruntime 1.32 refuses a model in which a
    Relu or Clip stands before a QuantizeLinear of 4-bit codes.)

    Raises:
        RunFailed: PyTorch cannot write an operation of the network as ONNX.
    """
    separate_bias = description.variant == "bit-true"
    graph = _with_onnx_operators(network, separate_bias=separate_bias)
    model = _exported(graph, description.images.shape)
    _give_own_tensors(model, network)
    for node in model.graph.node:
        # Where in this program each operation was written is nothing to a reader of the file.
        del node.metadata_props[:]
    helper.set_model_props(model, {KEY: description.to_yaml()})
    model.producer_name = "adadfq-playground"
    model = onnx.shape_inference.infer_shapes(model, strict_mode=True)
    onnx.checker.check_model(model, full_check=True)
    return model


def float_onnx(network: nn.Module, image_shape: tuple[int, int, int]) -> onnx.ModelProto:
    """The full-precision `network` as an ONNX model, to be compared with.

    Raises:
        RunFailed: as `to_onnx`.
    """
    return _exported(network, image_shape)


class _OnnxWeight(CodedWeight):
    """`CodedWeight` as DequantizeLinear."""

    def __init__(self, weight: CodedWeight, name: str) -> None:
        super().__init__(weight.codes, weight.step, weight.zero_point, weight.bits)
        self._name = name

    def forward(self) -> Tensor:
        result: Tensor = torch.onnx.ops.symbolic(
            "DequantizeLinear",
            (self.codes, self.step, self.zero_point),
            {"axis": 0},
            dtype=torch.float32,
            shape=self.codes.shape,
            version=OPSET,
            metadata_props={_OWNER: self._name},
        )
        return result


class _OnnxLayer(CodedLayer):
    """`CodedLayer` whose bias is added behind it.

    onnxruntime rounds a bias within a quantized layer to the product of the steps of input and
    weights, which at few bits is as coarse as the weights are.
    """

    def __init__(self, coded: CodedLayer) -> None:
        super().__init__(coded.layer, coded.weight, coded.bias)

    def forward(self, x: Tensor) -> Tensor:
        y = apply_layer(self.layer, x, self.weight(), None)
        if self.bias is None:
            return y
        spatial = 0 if isinstance(self.layer, nn.Linear) else self.weight.codes.ndim - 2
        return y + self.bias.view(-1, *[1] * spatial)


class _OnnxCoder(ActivationCoder):
    """`ActivationCoder` as QuantizeLinear and DequantizeLinear."""

    def __init__(self, coder: ActivationCoder, name: str) -> None:
        super().__init__(coder.step, coder.zero_point, coder.bits)
        self._name = name
        # As numbers, since a bound that is a tensor would be no constant of the graph.
        self._clip_to = None if coder.bits == _BYTE_BITS else coder.bounds()

    def forward(self, x: Tensor) -> Tensor:
        if self._clip_to is not None:
            x = x.clamp(*self._clip_to)
        parameters = (self.step, self.zero_point)
        codes = torch.onnx.ops.symbolic(
            "QuantizeLinear",
            (x, *parameters),
            dtype=torch.uint8,
            shape=x.shape,
            version=OPSET,
            metadata_props={_OWNER: self._name},
        )
        result: Tensor = torch.onnx.ops.symbolic(
            "DequantizeLinear",
            (codes, *parameters),
            dtype=torch.float32,
            shape=x.shape,
            version=OPSET,
            metadata_props={_OWNER: self._name},
        )
        return result


def _with_onnx_operators(network: FrozenNetwork, *, separate_bias: bool) -> nn.Module:
    graph = copy.deepcopy(network.graph_module)
    for name, module in list(graph.named_modules()):
        if isinstance(module, CodedLayer) and separate_bias:
            graph.set_submodule(name, _OnnxLayer(module))
    for name, module in list(graph.named_modules()):
        if isinstance(module, CodedWeight):
            graph.set_submodule(name, _OnnxWeight(module, name))
        elif isinstance(module, ActivationCoder):
            graph.set_submodule(name, _OnnxCoder(module, name))
    return graph


def _exported(network: nn.Module, image_shape: tuple[int, int, int]) -> onnx.ModelProto:
    # Two images: a batch of one would be taken for a constant.
    example = torch.zeros(2, *image_shape)
    with quiet("torch.onnx"):
        try:
            program = torch.onnx.export(
                network.eval(),
                (example,),
                dynamo=True,
                opset_version=OPSET,
                dynamic_shapes=({0: torch.export.Dim(BATCH)},),
                input_names=[INPUT],
                output_names=[OUTPUT],
                verbose=False,
            )
        except torch.onnx.OnnxExporterError as error:
            reason = " ".join(str(error).split())[:300]
            raise RunFailed(
                f"PyTorch cannot write this network as ONNX ({reason}); take it away in the format "
                "torch instead."
            ) from error
    assert program is not None
    model: onnx.ModelProto = program.model_proto
    return model


def _give_own_tensors(model: onnx.ModelProto, network: FrozenNetwork) -> None:
    """Give every quantization its own codes, steps and zero points, in their narrowest types.

    The exporter merges tensors that hold the same numbers, whosever they are. Values are named
    after the layer or call site, as a viewer shows them.
    """
    modules = dict(network.graph_module.named_modules())
    tensors: dict[str, onnx.TensorProto] = {}
    renamed: dict[str, str] = {}
    calls: dict[tuple[str, str], int] = {}
    for node in model.graph.node:
        if node.op_type not in ("QuantizeLinear", "DequantizeLinear"):
            continue
        owner = {entry.key: entry.value for entry in node.metadata_props}[_OWNER]
        module = modules[owner]
        assert isinstance(module, CodedWeight | ActivationCoder)
        weight = module if isinstance(module, CodedWeight) else None
        own = {_STEP: module.step, _ZERO_POINT: module.zero_point}
        if weight is not None:
            own[_CODES] = weight.codes
            node.input[0] = owner + _CODES
        node.input[1], node.input[2] = owner + _STEP, owner + _ZERO_POINT
        for end, tensor in own.items():
            narrow = weight is not None and weight.bits <= _NIBBLE_BITS and end != _STEP
            values = tensor.numpy().astype(ml_dtypes.uint4) if narrow else tensor.numpy()
            tensors[owner + end] = numpy_helper.from_array(values, owner + end)
        call = calls[owner, node.op_type] = calls.get((owner, node.op_type), 0) + 1
        again = f"#{call}" if call > 1 else ""
        node.name = f"{owner}.{node.op_type}{again}"
        if node.output[0] != OUTPUT:
            kind = _CODES if node.op_type == "QuantizeLinear" else ".values"
            renamed[node.output[0]] = owner + kind + again
    for node in model.graph.node:
        for names in (node.input, node.output):
            names[:] = [renamed.get(name, name) for name in names]
    read = {name for node in model.graph.node for name in node.input}
    others = [t for t in model.graph.initializer if t.name in read and t.name not in tensors]
    del model.graph.initializer[:]
    model.graph.initializer.extend([*others, *tensors.values()])
    # They tell the old types; the new ones are inferred.
    del model.graph.value_info[:]
