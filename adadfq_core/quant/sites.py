"""Where in a graph activations are quantized."""

from __future__ import annotations

from collections.abc import Mapping

from torch import fx, nn

from adadfq_core.quant.operations import (
    SQUASHERS,
    is_tensor,
    merges,
    multiplies,
    operation,
    rectifies,
    self_gate,
)

Site = tuple[fx.Node, str, str]
"""A node whose result is quantized, its name and what it does."""


def activation_sites(graph: fx.GraphModule, modules: Mapping[str, nn.Module]) -> list[Site]:
    """The call sites whose results are quantized, in graph order.

    - every activation of the ReLU family and its smooth successors (paper, section 4.1: after
      ReLU), each call of a shared module by itself;
    - sigmoids and their like, where a layer or a merge reads them: gates;
    - additions and products of two branches that reach a layer or another merge without an
      activation in between: residual additions and gated maps.

    An activation that is written out as a product with its own gate is one site.
    """
    inner: set[fx.Node] = set()
    for node in graph.graph.nodes:
        inner |= self_gate(node, modules) or set()
    read = _read_as_input(graph, modules, inner)
    sites = []
    for node in graph.graph.nodes:
        if not is_tensor(node) or node in inner:
            continue
        gate_or_merge = operation(node, modules) in SQUASHERS or merges(node, modules)
        if rectifies(node, modules) or (node in read and gate_or_merge):
            sites.append((node, site_name(node), kind(node, modules)))
    return sites


def kind(node: fx.Node, modules: Mapping[str, nn.Module]) -> str:
    """What `node` is, as the coverage table calls it: the module's class or the operation."""
    if node.op == "call_module":
        return type(modules[str(node.target)]).__name__
    return node.meta.get("class") or operation(node, modules)


def site_name(node: fx.Node) -> str:
    """A module's own name, or what `node` does behind the name of the module that does it."""
    if node.op == "call_module" or "layer" in node.meta:
        return str(node.meta.get("layer") or node.target)
    owner = node.meta.get("owner", "")
    name = node.name.rstrip("0123456789").rstrip("_")
    return f"{owner}.{name}" if owner else name


def _read_as_input(
    graph: fx.GraphModule, modules: Mapping[str, nn.Module], inner: set[fx.Node]
) -> set[fx.Node]:
    """The nodes that a layer or a merge reads with no activation in between."""
    read: set[fx.Node] = set()
    for node in reversed(graph.graph.nodes):
        for user in node.users:
            if user in inner or rectifies(user, modules) or self_gate(user, modules):
                continue
            if operation(user, modules) in SQUASHERS:
                continue
            if user in read or merges(user, modules) or multiplies(user, modules):
                read.add(node)
                break
    return read
