"""A network's computation as a graph, whichever way its forward is written."""

from __future__ import annotations

import copy
from pathlib import Path
from types import TracebackType
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.utils import _pytree as pytree

from adadfq_core.errors import InputError
from adadfq_core.quant.lifting import lift_functional_layers, stored
from adadfq_core.quant.operations import WEIGHTED, in_place, is_batchnorm

_TORCH_FOLDER = Path(torch.__file__).parent
# Round-off between a network and its graph, which may run the same sums in another order.
_TOLERANCE = 1e-3


def capture(network: nn.Module, example_input: Tensor) -> fx.GraphModule:
    """The graph of `network` in evaluation mode; its weights are copies.

    Functional convolutions, linear layers and BatchNorm become modules of the graph, and whatever
    reads a tensor after it was overwritten reads the overwriting operation instead. Nodes whose
    `meta["samples"]` is true hold floating-point tensors of two axes or more that depend on the
    input; `meta["owner"]` is the name of the module in whose forward a node was written, and
    `meta["layer"]` the network's own name of a layer that became a module here. The graph's
    `meta["unreached"]` lists layers with weights that the forward pass does not use.

    torch.fx is tried first because it is fast and keeps modules whole; torch.export takes what it
    cannot (branches on flags, `len` of a tensor).

    Args:
        network: maps `example_input` to one tensor `(B, ...)`, for a classifier its logits.
        example_input: `(B, ...)`; the batch size stays free.

    Raises:
        InputError: the network fails on the input, gives something else, or cannot be captured;
            names the module and the line.
    """
    if len(example_input) == 1:
        # An exported graph would take a batch of one for a constant.
        example_input = torch.cat([example_input, example_input])
    original = _copied(network)
    expected = _output(original, example_input)
    graph = _traced(original, example_input)
    _read_results_of_overwriting(graph)
    lift_functional_layers(graph)
    _note_samples(graph, example_input)
    graph.meta["unreached"] = _unreached(original, graph)
    graph.delete_all_unused_submodules()
    graph.graph.lint()
    graph.recompile()
    with torch.no_grad():
        actual = graph(example_input.clone())
    error = float((actual - expected).abs().max() / expected.abs().max().clamp(min=1e-12))
    if not error <= _TOLERANCE:
        raise InputError(
            f"{type(network).__name__} computes something else as a graph (relative difference "
            f"{error:.1g}); its forward must not depend on values or on random numbers."
        )
    return graph


def _copied(network: nn.Module) -> nn.Module:
    try:
        return copy.deepcopy(network).eval()
    except RuntimeError as error:
        raise InputError(
            f"{type(network).__name__} cannot be copied ({_first_line(error)}); remove weight "
            "normalisation with torch.nn.utils.remove_weight_norm before it is quantized."
        ) from error


def _output(network: nn.Module, example_input: Tensor) -> Tensor:
    name = type(network).__name__
    shape = tuple(example_input.shape)
    try:
        with torch.no_grad():
            output = network(example_input.clone())
    except Exception as error:
        reason = _first_line(error) + _place(network, error)
        raise InputError(
            f"{name} fails on an input of shape {shape}: {reason}; "
            "give it images of the shape that it takes."
        ) from error
    if not isinstance(output, Tensor) or output.ndim < 2 or len(output) != len(example_input):
        tensor = isinstance(output, Tensor)
        got = f"shape {tuple(output.shape)}" if tensor else f"a {type(output).__name__}"
        raise InputError(
            f"{name} gives {got} for an input of shape {shape}; it must give one tensor whose "
            "first axis is the batch, such as logits of shape (batch, classes)."
        )
    if not bool(output.isfinite().all()):
        raise InputError(f"{name} gives NaN or infinite values; check its weights.")
    return output


class _Tracer(fx.Tracer):
    """Keeps BatchNorm of any kind whole, so that its statistics are found in the graph."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return is_batchnorm(m) or super().is_leaf_module(m, module_qualified_name)


def _traced(network: nn.Module, example_input: Tensor) -> fx.GraphModule:
    try:
        graph = fx.GraphModule(network, _Tracer().trace(network))
    except Exception as error:
        return _exported(network, example_input, error)
    if sum(node.op == "placeholder" for node in graph.graph.nodes) != 1:
        # Arguments with defaults stay open in such a graph; an export fixes them.
        return _exported(network, example_input, None)
    for node in graph.graph.nodes:
        node.meta.update(_origin(node))
    return graph


def _exported(
    network: nn.Module, example_input: Tensor, trace_error: Exception | None
) -> fx.GraphModule:
    first_error: Exception | None = trace_error
    for strict in (False, True):
        try:
            program = torch.export.export(
                network,
                (example_input,),
                dynamic_shapes=({0: torch.export.Dim.DYNAMIC},),
                strict=strict,
            )
            graph = program.module(check_guards=False)
        except Exception as error:
            first_error = first_error or error
            continue
        assert isinstance(graph, fx.GraphModule)
        return _plain(graph)
    assert first_error is not None
    raise InputError(
        f"{type(network).__name__} cannot be captured as a graph: {_first_line(first_error)}"
        f"{_place(network, first_error)}; write its forward without branches that depend on the "
        "values of tensors."
    ) from first_error


def _plain(graph: fx.GraphModule) -> fx.GraphModule:
    """The exported graph with one positional input and one output, as torch.fx makes them."""
    for node in graph.graph.nodes:
        node.meta = dict(_origin(node))
        if node.op == "output":
            (result,) = node.args[0] if isinstance(node.args[0], tuple | list) else node.args
            node.args = (result,)
    graph.graph.set_codegen(fx.graph.CodeGen())
    return fx.GraphModule(graph, graph.graph)


def _unreached(network: nn.Module, graph: fx.GraphModule) -> list[tuple[str, str]]:
    """Names and classes of layers with weights that no node of `graph` uses."""
    called = {str(node.target) for node in graph.graph.nodes if node.op == "call_module"}
    used = {
        parameter.data_ptr()
        for name, module in graph.named_modules()
        if name in called
        for parameter in module.parameters()
    }
    for node in graph.graph.nodes:
        if node.op == "get_attr" and (tensor := stored(graph, node)) is not None:
            used.add(tensor.data_ptr())
    return [
        (name, type(module).__name__)
        for name, module in network.named_modules()
        if isinstance(module, WEIGHTED) and module.weight.data_ptr() not in used
    ]


def _origin(node: fx.Node) -> dict[str, str]:
    """Where `node` was written: the module's qualified name, "" for the network itself.

    An exported graph has taken PyTorch's own modules apart: `layer` and `class` name the one.
    """
    stack: dict[str, Any] = node.meta.get("nn_module_stack") or {}
    path, kind = list(stack.values())[-1] if stack else ("", "")
    if not isinstance(path, str) or path.startswith("_empty"):
        return {"owner": ""}
    if str(kind).startswith("torch.nn.modules.") and node.op == "call_function":
        return {"owner": path, "layer": path, "class": str(kind).rpartition(".")[2]}
    return {"owner": path}


def _read_results_of_overwriting(graph: fx.GraphModule) -> None:
    """Let later readers of a tensor that `node` overwrote read `node`, as they in fact do."""
    modules = dict(graph.named_modules())
    order = {node: index for index, node in enumerate(graph.graph.nodes)}
    for node in graph.graph.nodes:
        source = node.args[0] if node.args else None
        if isinstance(source, fx.Node) and in_place(node, modules):
            for user in list(source.users):
                if order[user] > order[node]:
                    user.replace_input_with(source, node)


class _Samples(fx.Interpreter):
    """Runs the graph and marks the nodes that hold samples."""

    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        depends = n.op == "placeholder" or any(
            source.meta.get("depends", False) for source in n.all_input_nodes
        )
        tensors = [part for part in pytree.tree_leaves(result) if isinstance(part, Tensor)]
        n.meta["depends"] = depends and bool(tensors)
        n.meta["samples"] = (
            depends
            and isinstance(result, Tensor)
            and result.is_floating_point()
            and result.ndim >= 2
        )
        return result


def _note_samples(graph: fx.GraphModule, example_input: Tensor) -> None:
    with torch.no_grad():
        _Samples(graph).run(example_input.clone())


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__).rstrip(".;")


def _place(network: nn.Module, error: BaseException) -> str:
    """Where in the user's code `error` arose: module, class, file and line; "" if nowhere."""
    names = {id(module): name for name, module in network.named_modules()}
    found = ""
    step: TracebackType | None = error.__traceback__
    while step is not None:
        code = step.tb_frame.f_code
        module = step.tb_frame.f_locals.get("self")
        inside = _TORCH_FOLDER in Path(code.co_filename).parents
        if isinstance(module, nn.Module) and id(module) in names and not inside:
            name = names[id(module)] or "the network itself"
            place = f"{Path(code.co_filename).name}, line {step.tb_lineno}"
            found = f" in {name} ({type(module).__name__}.{code.co_name}, {place})"
        step = step.tb_next
    return found
