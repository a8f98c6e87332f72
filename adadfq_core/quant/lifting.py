"""Layers that a forward calls as functions, turned into modules of the graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn.modules.batchnorm import _BatchNorm

from adadfq_core.quant.operations import WeightedLayer, operation

_CONVOLUTIONS: dict[str, type[Any]] = {
    "conv1d": nn.Conv1d,
    "conv2d": nn.Conv2d,
    "conv3d": nn.Conv3d,
    "convtranspose1d": nn.ConvTranspose1d,
    "convtranspose2d": nn.ConvTranspose2d,
    "convtranspose3d": nn.ConvTranspose3d,
}
_FORWARD = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")
_TRANSPOSED = (*_FORWARD[:5], "output_padding", "groups", "dilation")
_FUNCTIONAL_NORM = ("input", "running_mean", "running_var", "weight", "bias", "training")
_OPERATOR_NORM = ("input", "weight", "bias", "running_mean", "running_var", "training")


def lift_functional_layers(graph: fx.GraphModule) -> None:
    """Replace functional convolutions, linear layers and BatchNorm by modules, in place.

    Those whose weights are computed on the way (weight standardisation) stay as they are. Calls
    with the same tensors and settings share one module.
    """
    lifted: dict[tuple[Any, ...], str] = {}
    for node in list(graph.graph.nodes):
        if node.op != "call_function":
            continue
        name = operation(node, {})
        found: tuple[nn.Module, str, tuple[Any, ...]] | None
        if name in _CONVOLUTIONS or name == "linear":
            found = _layer(graph, node, name)
        elif name == "batchnorm":
            found = _norm(graph, node)
        else:
            continue
        if found is None:
            continue
        module, owner, key = found
        if key not in lifted:
            lifted[key] = _add(graph, owner, module)
        with graph.graph.inserting_before(node):
            source = node.args[0] if node.args else node.kwargs["input"]
            call = graph.graph.call_module(lifted[key], (source,))
        call.meta = {**node.meta, "layer": owner}
        node.replace_all_uses_with(call)
        graph.graph.erase_node(node)
    for node in list(graph.graph.nodes):
        if node.op == "get_attr" and not node.users:
            graph.graph.erase_node(node)


def _arguments(node: fx.Node, names: Sequence[str]) -> dict[str, Any]:
    return {**dict(zip(names, node.args, strict=False)), **node.kwargs}


def stored(graph: fx.GraphModule, node: object) -> Tensor | None:
    """The tensor that `node` reads from the network; `None` for anything computed."""
    if not isinstance(node, fx.Node) or node.op != "get_attr":
        return None
    value: Any = graph
    for part in str(node.target).split("."):
        value = getattr(value, part)
    return value if isinstance(value, Tensor) else None


def _parameter(tensor: Tensor | None) -> nn.Parameter | None:
    if tensor is None or isinstance(tensor, nn.Parameter):
        return tensor
    return nn.Parameter(tensor, requires_grad=tensor.is_floating_point() and tensor.requires_grad)


def _owner_of(node: object) -> str:
    """The name of the layer that stores the weight which `node` reads."""
    return str(node.target).removesuffix(".weight") if isinstance(node, fx.Node) else ""


def _layer(
    graph: fx.GraphModule, node: fx.Node, name: str
) -> tuple[WeightedLayer, str, tuple[Any, ...]] | None:
    transposed = name.startswith("convtranspose")
    given = _arguments(node, _TRANSPOSED if transposed else _FORWARD)
    weight = _parameter(stored(graph, given["weight"]))
    bias_node = given.get("bias")
    bias = _parameter(stored(graph, bias_node))
    if weight is None or (bias_node is not None and bias is None):
        return None
    layer: WeightedLayer
    settings: dict[str, Any] = {}
    if name == "linear":
        out_features, in_features = weight.shape
        layer = nn.Linear(in_features, out_features, bias is not None, device="meta")
    else:
        settings = {
            key: _plain_size(given[key])
            for key in ("stride", "padding", "output_padding", "dilation", "groups")
            if key in given
        }
        groups = int(settings.get("groups", 1))
        first, second = weight.shape[0], weight.shape[1] * groups
        channels = (first, second) if transposed else (second, first)
        layer = _CONVOLUTIONS[name](
            *channels, tuple(weight.shape[2:]), bias=bias is not None, device="meta", **settings
        )
    layer.weight = weight
    layer.bias = bias
    key = (name, id(weight), id(bias), tuple(sorted(settings.items())))
    return layer, _owner_of(given["weight"]), key


def _plain_size(value: Any) -> Any:
    """Sizes as a convolution's constructor takes them: a list of one holds for all axes."""
    if isinstance(value, list | tuple):
        return tuple(value) if len(value) > 1 else value[0]
    return value


def _norm(graph: fx.GraphModule, node: fx.Node) -> tuple[_BatchNorm, str, tuple[Any, ...]] | None:
    functional = node.target is torch.nn.functional.batch_norm
    names = _FUNCTIONAL_NORM if functional else _OPERATOR_NORM
    given = _arguments(node, (*names, "momentum", "eps"))
    mean, variance = (stored(graph, given[name]) for name in ("running_mean", "running_var"))
    if mean is None or variance is None or given.get("training", False):
        return None
    weight, bias = (_parameter(stored(graph, given.get(name))) for name in ("weight", "bias"))
    # Of which rank the input is changes nothing in evaluation mode: the check alone differs.
    norm = AnyRankBatchNorm(len(mean), eps=given.get("eps", 1e-5), affine=False)
    norm.running_mean, norm.running_var = mean, variance
    norm.weight, norm.bias = weight, bias  # type: ignore[assignment]
    norm.affine = weight is not None
    norm.eval()
    key = ("batchnorm", id(mean), id(variance), id(weight), id(bias), norm.eps)
    owner = str(given["running_mean"].target).rpartition(".")[0]
    return norm, owner, key


class AnyRankBatchNorm(_BatchNorm):
    """BatchNorm over axis 1 of a tensor of any rank, as the functional form is."""

    def _check_input_dim(self, input: Tensor) -> None:
        """Nothing to check."""


def _add(graph: fx.GraphModule, owner: str, module: nn.Module) -> str:
    """Add `module` under a free name made from its owner's; return that name."""
    base = (owner or type(module).__name__.lower()).replace(".", "_") + "_layer"
    name, count = base, 1
    while hasattr(graph, name):
        count += 1
        name = f"{base}{count}"
    graph.add_submodule(name, module)
    return name
