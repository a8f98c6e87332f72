"""What moves integers and leaves them as they are."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from adadfq_core.export.integer.arithmetic import Integers
from adadfq_core.export.integer.building import Builder, uncovered
from adadfq_core.export.integer.formats import SUM_LIMIT, Format
from adadfq_core.export.integer.model import Node


def concatenation(network: Builder, node: Node) -> None:
    """Along the channels, each of which keeps its step."""
    if node.attributes["axis"] % len(network.shape(node.inputs[0])) != 1:
        raise uncovered(node)
    parts = [
        np.broadcast_arrays(f.step, f.low, f.high, np.empty(network.channels(node, name)))
        for name in node.inputs
        for f in [network.format_of(node, name)]
    ]
    step, low, high, _ = (np.concatenate(same) for same in zip(*parts, strict=True))
    network.append(node.output, node.inputs, _concatenated, Format(step, low, high))


def arrangement(network: Builder, node: Node) -> None:
    """What moves integers and leaves them as they are; they need one step for all channels."""
    source = network.uniform(node, node.input(0), SUM_LIMIT)
    old = network.formats[source]
    made = Format(old.step, np.minimum(old.low, 0), np.maximum(old.high, 0))
    network.append(node.output, (source,), _arranging(network, node), made)


def _arranging(network: Builder, node: Node) -> Callable[..., Integers]:
    if node.operation == "Transpose":
        return partial(np.transpose, axes=node.attributes["perm"])
    if node.operation == "Flatten" and node.attributes.get("axis", 1) == 1:
        return partial(_reshaped, shape=(0, -1))
    if node.operation == "Reshape":
        shape = tuple(int(size) for size in network.constant(node, 1))
        if 0 in shape and node.attributes.get("allowzero"):
            raise uncovered(node)
        return partial(_reshaped, shape=shape)
    if node.operation == "Slice":
        starts, ends, axes = (network.constant(node, position) for position in (1, 2, 3))
        steps = network.constant(node, 4) if node.input(4) else np.ones_like(starts)
        slices = [slice(None)] * len(network.shape(node.input(0)))
        for axis, *ends_and_step in zip(axes, starts, ends, steps, strict=True):
            slices[int(axis)] = slice(*map(int, ends_and_step))
        return partial(_sliced, slices=tuple(slices))
    if node.operation == "Pad" and node.attributes.get("mode", b"constant") == b"constant":
        pads = network.constant(node, 1).reshape(2, -1).T
        value = network.constant(node, 2) if node.input(2) else np.zeros(1)
        if not node.input(3) and not value.any() and (pads >= 0).all():
            return partial(np.pad, pad_width=pads)
    raise uncovered(node)


def _concatenated(*parts: Integers) -> Integers:
    return np.concatenate(parts, axis=1)


def _reshaped(x: Integers, shape: tuple[int, ...]) -> Integers:
    return x.reshape([x.shape[axis] if size == 0 else size for axis, size in enumerate(shape)])


def _sliced(x: Integers, slices: tuple[slice, ...]) -> Integers:
    return x[slices]
