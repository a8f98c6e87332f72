"""What a node of a captured graph does, whichever way the network's author wrote it.

A rectifier may be a module, a function, a tensor's method or an ATen operator, in place or not:
all have one name here.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import fx, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd

WEIGHTED = (
    nn.Conv1d,
    nn.Conv2d,
    nn.Conv3d,
    nn.ConvTranspose1d,
    nn.ConvTranspose2d,
    nn.ConvTranspose3d,
    nn.Linear,
)
WeightedLayer = _ConvNd | nn.Linear

RECTIFIERS = frozenset(
    [
        "relu",
        "relu6",
        "hardtanh",
        "threshold",
        "leakyrelu",
        "prelu",
        "rrelu",
        "elu",
        "celu",
        "selu",
        "gelu",
        "silu",
        "mish",
        "hardswish",
        "clamp",
    ]
)
"""The ReLU family and the smooth activations that took its place; `clamp` from 0 up only."""

SQUASHERS = frozenset(["sigmoid", "hardsigmoid", "tanh", "softplus", "softsign"])
"""Activations that also end networks: there they make no input of a layer."""

MERGES = frozenset(["add", "sub", "mul"])
"""Operations that merge two branches: residual additions and gates."""

# Element-wise operations of one tensor, from which gates such as x * sigmoid(x) are built.
_ARITHMETIC = frozenset(["add", "sub", "mul", "div", "truediv", "neg"])
_UNARY = RECTIFIERS | SQUASHERS | _ARITHMETIC | frozenset(["exp", "erf", "pow", "log"])

_MULTIPLICATIONS = frozenset(
    [
        "conv1d",
        "conv2d",
        "conv3d",
        "convtranspose1d",
        "convtranspose2d",
        "convtranspose3d",
        "linear",
        "matmul",
        "bmm",
        "mm",
        "addmm",
        "einsum",
        "scaleddotproductattention",
    ]
)
_SYNONYMS = {
    "iadd": "add",
    "isub": "sub",
    "imul": "mul",
    "multiply": "mul",
    "itruediv": "truediv",
    "clip": "clamp",
    "clampmin": "clamp",
}


def operation(node: fx.Node, modules: Mapping[str, nn.Module]) -> str:
    """The one lower-case name of what `node` does, without underscores; "" for no operation."""
    target = node.target
    if node.op == "call_module":
        name = type(modules[str(target)]).__name__
    elif node.op == "call_method":
        name = str(target)
    elif node.op == "call_function":
        packet = getattr(target, "overloadpacket", target)
        name = getattr(packet, "__name__", "")
    else:
        return ""
    name = name.replace("_", "").lower()
    return _SYNONYMS.get(name, name)


def in_place(node: fx.Node, modules: Mapping[str, nn.Module]) -> bool:
    """Whether `node` overwrites its first argument with its result."""
    if node.op == "call_module":
        return bool(getattr(modules[str(node.target)], "inplace", False))
    if node.op == "call_method":
        return str(node.target).endswith("_") and not str(node.target).endswith("__")
    if node.op == "call_function":
        packet = getattr(node.target, "overloadpacket", node.target)
        name = getattr(packet, "__name__", "")
        return (
            name.endswith("_")
            or name in ("iadd", "isub", "imul", "itruediv")
            or node.kwargs.get("inplace") is True
        )
    return False


def is_tensor(node: object) -> bool:
    """Whether `node` yields a floating-point tensor of samples: two axes or more."""
    return isinstance(node, fx.Node) and bool(node.meta.get("samples", False))


def merges(node: fx.Node, modules: Mapping[str, nn.Module]) -> bool:
    """Whether `node` adds or multiplies two tensors that both depend on the network's input."""
    both = all(is_tensor(argument) for argument in node.args[:2]) and len(node.args) >= 2
    return both and operation(node, modules) in MERGES


def rectifies(node: fx.Node, modules: Mapping[str, nn.Module]) -> bool:
    """Whether `node` is an activation of `RECTIFIERS`."""
    name = operation(node, modules)
    if name == "clamp":
        low = node.args[1] if len(node.args) > 1 else node.kwargs.get("min")
        return bool(low == 0)
    return name in RECTIFIERS


def multiplies(node: fx.Node, modules: Mapping[str, nn.Module]) -> bool:
    """Whether `node` is a sum of products: a layer with a weight matrix, or a matrix product."""
    if node.op == "call_module":
        return any(p.ndim >= 2 for p in modules[str(node.target)].parameters())
    return operation(node, modules) in _MULTIPLICATIONS


def self_gate(node: fx.Node, modules: Mapping[str, nn.Module]) -> set[fx.Node] | None:
    """The nodes of a gate that `node` multiplies with the gate's own input; `None` if it is none.

    x * sigmoid(x), x * relu6(x + 3) / 6 and 0.5 * x * (1 + erf(x / sqrt 2)) are one activation
    written out; only their product is an activation of its own.
    """
    if operation(node, modules) != "mul" or not merges(node, modules):
        return None
    first, second = node.args[:2]
    assert isinstance(first, fx.Node) and isinstance(second, fx.Node)
    for gate, source in ((first, second), (second, first)):
        scaling, origin = _chain(source, None, modules)
        if not all(operation(n, modules) in _ARITHMETIC for n in scaling):
            origin = source
        chain, start = _chain(gate, source, modules)
        bent = any(operation(n, modules) not in _ARITHMETIC for n in chain)
        if bent and start in (source, origin):
            return chain
    return None


def _chain(
    node: fx.Node, stop: fx.Node | None, modules: Mapping[str, nn.Module]
) -> tuple[set[fx.Node], fx.Node]:
    """Element-wise operations of one tensor that lead to `node`, and what they begin from."""
    chain: set[fx.Node] = set()
    while node is not stop and operation(node, modules) in _UNARY:
        sources = [a for a in node.args if is_tensor(a)]
        if len(sources) != 1:
            break
        chain.add(node)
        (source,) = sources
        assert isinstance(source, fx.Node)
        node = source
    return chain, node


def is_batchnorm(module: nn.Module) -> bool:
    """Whether `module` normalises with stored statistics, by class or by what it stores.

    Frozen and hand-written ones are no subclass of PyTorch's, but hold the same two buffers.
    """
    if isinstance(module, _BatchNorm):
        return module.running_mean is not None
    mean, variance = (getattr(module, name, None) for name in ("running_mean", "running_var"))
    return (
        isinstance(mean, torch.Tensor)
        and isinstance(variance, torch.Tensor)
        and mean.ndim == 1
        and mean.shape == variance.shape
        and not isinstance(module, nn.modules.instancenorm._InstanceNorm)
    )
