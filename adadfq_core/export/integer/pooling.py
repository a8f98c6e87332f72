"""Pooling: maxima of integers, and sums whose divisor goes into the step."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np

from adadfq_core.export.integer.arithmetic import Integers
from adadfq_core.export.integer.building import Builder, uncovered, windows_of
from adadfq_core.export.integer.formats import SUM_LIMIT
from adadfq_core.export.integer.model import Node
from adadfq_core.export.integer.operations import pool_max, pool_sum


def max_pooling(network: Builder, node: Node) -> None:
    """Of the integers, whose order is that of the values."""
    windows = windows_of(node, tuple(node.attributes["kernel_shape"]))
    if node.attributes.get("ceil_mode"):
        pads = zip(windows.pads, windows.strides, strict=True)
        behind = tuple((before, after + stride - 1) for (before, after), stride in pads)
        sizes = zip(behind, windows.kernel, windows.dilations, strict=True)
        if any(pad[1] >= (k - 1) * d + 1 for pad, k, d in sizes):
            raise uncovered(node)
        windows = replace(windows, pads=behind)
    source = node.input(0)
    compute = partial(pool_max, windows=windows)
    network.append(node.output, (source,), compute, network.format_of(node, source))


def average_pooling(network: Builder, node: Node) -> None:
    """Sums; the divisor, which must be the same everywhere, goes into the step."""
    windows = windows_of(node, tuple(node.attributes["kernel_shape"]))
    padded = any(map(any, windows.pads)) and not node.attributes.get("count_include_pad")
    if node.attributes.get("ceil_mode") or padded:
        raise uncovered(node)
    _average(network, node, math.prod(windows.kernel), partial(pool_sum, windows=windows))


def average_over_places(network: Builder, node: Node) -> None:
    """Of all spatial axes: global average pooling, or a mean over them."""
    shape = network.shape(node.input(0))
    spatial = tuple(range(2, len(shape)))
    if node.operation == "ReduceMean":
        axes = {int(axis) % len(shape) for axis in network.constant(node, 1)}
        if axes != set(spatial):
            raise uncovered(node)
    sizes = [size for size in shape[2:] if size is not None]
    if len(sizes) < len(spatial):
        raise uncovered(node)
    keep = bool(node.attributes.get("keepdims", 1))
    compute = partial(np.sum, axis=spatial, dtype=np.int32, keepdims=keep)
    _average(network, node, math.prod(sizes), compute)


def _average(network: Builder, node: Node, count: int, sums: Callable[..., Integers]) -> None:
    source = node.input(0)
    if int(network.format_of(node, source).largest.max()) * count > SUM_LIMIT:
        source = network.uniform(node, source, SUM_LIMIT // count)
    network.append(node.output, (source,), sums, network.formats[source].summed(count))
