"""Codes of activations and weights, and the rectifiers, which are clamps."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np

from adadfq_core.export.integer.arithmetic import (
    INT32_MAX,
    Integers,
    Rescaling,
    along_channels,
    rescale,
    rescaling,
)
from adadfq_core.export.integer.building import Builder, Weights, uncovered
from adadfq_core.export.integer.formats import Format
from adadfq_core.export.integer.model import Node

# A larger factor makes any integer but 0 saturate, which this one does as well.
_LARGEST_RATIO = 2.0**30


def quantize(network: Builder, node: Node) -> None:
    """Codes: the rectifiers in front are a clamp of codes, exact in the step of the codes."""
    source, *bounds = before_clamps(network, node)
    step, zero_point = network.constant(node, 1).astype(np.float64), network.constant(node, 2)
    if step.size != 1:
        raise uncovered(node)
    offset, kind = int(zero_point), np.iinfo(zero_point.dtype)
    steps = np.clip(np.rint(np.array(bounds) / step) + offset, kind.min, kind.max)
    low, high = steps.astype(np.int64).reshape(2, 1)
    ratio = np.minimum(network.format_of(node, source).step / step, _LARGEST_RATIO)
    compute = partial(
        _coded,
        by=rescaling(ratio),
        offset=offset,
        bounds=(int(low[0]), int(high[0])),
        kind=zero_point.dtype,
    )
    made = Format(step.reshape(1), low - offset, high - offset)
    site = node.name.removesuffix(f".{node.operation}")
    network.append(node.output, (source,), compute, made, site)


def dequantize(network: Builder, node: Node) -> None:
    """Codes less their zero point; those of weights are constants, one step a channel."""
    step, zero_point = network.constant(node, 1).astype(np.float64), network.constant(node, 2)
    codes = network.graph.constants.get(node.input(0))
    if codes is None:
        made = network.format_of(node, node.input(0))
        compute = partial(_less, offset=int(zero_point))
        network.append(node.output, (node.input(0),), compute, made)
        return
    if node.attributes.get("axis", 1) != 0 or step.shape != codes.shape[:1]:
        raise uncovered(node)
    column = (-1, *[1] * (codes.ndim - 1))
    integers = codes.astype(np.int64) - zero_point.astype(np.int64).reshape(column)
    # A channel whose BatchNorm multiplies by 0 has the step 0, which nothing can be divided by.
    integers = np.where((step == 0).reshape(column), 0, integers)
    network.weights[node.output] = Weights(integers, np.where(step == 0, 1, step))


def clamp(network: Builder, node: Node) -> None:
    """A rectifier that does not stand before codes."""
    (source,) = node.inputs[:1]
    old = network.format_of(node, source)
    low, high = (
        np.clip(np.rint(bound / old.step), -INT32_MAX, INT32_MAX).astype(np.int64)
        for bound in _bounds(network, node)
    )
    compute = partial(_clamped, low=low, high=high)
    network.append(node.output, (source,), compute, old.clipped(low, high))


def before_clamps(network: Builder, node: Node) -> tuple[str, float, float]:
    """What `node` reads before the rectifiers in front of it, and their bounds in all."""
    name, low, high = node.input(0), -math.inf, math.inf
    while (maker := network.makers.get(name)) and maker.operation in ("Relu", "Clip"):
        inner = _bounds(network, maker)
        low, high = (min(max(bound, low), high) for bound in inner)
        name = maker.input(0)
    return name, low, high


def _bounds(network: Builder, node: Node) -> tuple[float, float]:
    if node.operation == "Relu":
        return 0.0, math.inf
    low, high = (
        float(network.constant(node, position)) if node.input(position) else default
        for position, default in ((1, -math.inf), (2, math.inf))
    )
    return low, high


def _coded(
    x: Integers, by: Rescaling, offset: int, bounds: tuple[int, int], kind: np.dtype[Any]
) -> Integers:
    codes = rescale(x, by)
    codes += offset
    return np.clip(codes, *bounds, out=codes).astype(kind)


def _less(codes: Integers, offset: int) -> Integers:
    return codes.astype(np.int32) - np.int32(offset)


def _clamped(x: Integers, low: Integers, high: Integers) -> Integers:
    return np.clip(x, along_channels(low, x.ndim), along_channels(high, x.ndim)).astype(np.int32)
