"""What of a captured network stays in float, and why, in words."""

from __future__ import annotations

from collections.abc import Mapping

from torch import fx, nn
from torch.nn.modules.conv import _ConvTransposeNd

from adadfq_core.quant.coverage import CoverageRow
from adadfq_core.quant.lifting import stored
from adadfq_core.quant.operations import WEIGHTED, WeightedLayer, is_tensor, multiplies, operation
from adadfq_core.quant.sites import kind, site_name

_COMPUTED_WEIGHTS = frozenset(["conv1d", "conv2d", "conv3d", "linear"])
PASSING = frozenset(
    [
        "maxpool1d",
        "maxpool2d",
        "maxpool3d",
        "avgpool1d",
        "avgpool2d",
        "avgpool3d",
        "adaptiveavgpool1d",
        "adaptiveavgpool2d",
        "adaptiveavgpool3d",
        "adaptivemaxpool2d",
        "mean",
        "flatten",
        "view",
        "reshape",
        "cat",
        "concat",
        "pad",
        "identity",
        "dropout",
        "dropout2d",
        "contiguous",
        "getitem",
        "permute",
        "transpose",
        "squeeze",
        "unsqueeze",
        "interpolate",
        "upsample",
        "chunk",
        "split",
        "slice",
        "select",
        "stochasticdepth",
        "pixelshuffle",
        "clone",
        "amax",
        "max",
        "maximum",
    ]
)
"""Operations that pass codes on, or choose, average or arrange them."""

SCALING = frozenset(["mul", "div", "truediv", "neg"])
"""Operations that change no more than the step of codes, where their other factor is a number."""


def layer_name(node: fx.Node) -> str:
    """The network's own name of the layer that `node` calls."""
    return str(node.meta.get("layer") or node.target)


def unquantizable(node: fx.Node, layer: WeightedLayer) -> str:
    """Why the weights of `layer`, called by `node`, cannot be quantized; "" if they can."""
    if layer._forward_hooks or layer._forward_pre_hooks:
        return "it has forward hooks, which may change its weights; remove them first"
    if isinstance(layer, _ConvTransposeNd) and len(node.args) + len(node.kwargs) > 1:
        return "it is called with an output size of its own"
    return ""


def computes_weights(node: fx.Node, modules: Mapping[str, nn.Module]) -> bool:
    """Whether `node` is a functional layer whose weights the forward computes."""
    return node.op == "call_function" and operation(node, modules) in _COMPUTED_WEIGHTS


def left_in_float(
    graph: fx.GraphModule, modules: Mapping[str, nn.Module], sites: set[fx.Node]
) -> list[CoverageRow]:
    """Rows for everything with weights, and every layer's input, that is not quantized.

    Args:
        graph: as `capture` gives it, before anything is quantized.
        sites: the nodes whose results will be quantized.
    """
    rows = [
        CoverageRow(name, kind_, "weights", None, "the forward pass never uses it")
        for name, kind_ in graph.meta["unreached"]
    ]
    seen: set[str] = set()
    for node in graph.graph.nodes:
        row = _float_weights(graph, node, modules)
        if row is not None and row.name not in seen:
            rows.append(row)
            seen.add(row.name)
    for node in graph.graph.nodes:
        if not computes_weights(node, modules) and not (
            node.op == "call_module" and isinstance(modules[str(node.target)], WEIGHTED)
        ):
            continue
        reason = _float_input(node.args[0], modules, sites)
        if reason:
            rows.append(CoverageRow(layer_name(node), kind(node, modules), "input", None, reason))
    return rows


def _float_weights(
    graph: fx.GraphModule, node: fx.Node, modules: Mapping[str, nn.Module]
) -> CoverageRow | None:
    if node.op == "call_module":
        module = modules[str(node.target)]
        if isinstance(module, WEIGHTED):
            reason = unquantizable(node, module)
        elif multiplies(node, modules):
            reason = "its weights are used inside one operation that is not taken apart"
        else:
            reason = ""
        name = layer_name(node)
    elif node.op == "get_attr":
        tensor = stored(graph, node)
        if tensor is None or tensor.ndim < 2 or not tensor.is_floating_point():
            return None
        readers = _sample_readers(node)
        plain = [r for r in readers if not computes_weights(r, modules)]
        name = str(node.target)
        operations = ", ".join(sorted({operation(reader, modules) for reader in plain}))
        reason = f"it is read by {operations}, which is no layer of its own" if plain else ""
    else:
        return None
    if not reason:
        return None
    shown = kind(node, modules) if node.op == "call_module" else "tensor"
    return CoverageRow(name, shown, "weights", None, reason)


def _sample_readers(node: fx.Node) -> set[fx.Node]:
    """The first nodes on the way from a stored tensor that also depend on the input."""
    found: set[fx.Node] = set()
    for user in node.users:
        found |= {user} if user.meta.get("depends") else _sample_readers(user)
    return found


def _float_input(source: object, modules: Mapping[str, nn.Module], sites: set[fx.Node]) -> str:
    """Why what a layer reads from `source` is in float; "" if it is quantized."""
    if not isinstance(source, fx.Node) or source in sites:
        return ""
    if source.op == "placeholder":
        return "it reads the images, which stay in float"
    scaled = operation(source, modules) in SCALING and len(source.all_input_nodes) == 1
    if scaled or operation(source, modules) in PASSING:
        for part in source.all_input_nodes:
            reason = _float_input(part, modules, sites) if is_tensor(part) else ""
            if reason:
                return reason
        return ""
    return f"it reads what {site_name(source)} gives, behind which no activation follows"
