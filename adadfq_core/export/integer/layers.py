"""Convolutions and linear layers, and what is added behind them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from adadfq_core.errors import RunFailed
from adadfq_core.export.integer.arithmetic import (
    INT32_MAX,
    Integers,
    Rescaling,
    along_channels,
    exact_float,
    rescale,
    rescaling,
)
from adadfq_core.export.integer.building import Builder, Weights, uncovered, windows_of
from adadfq_core.export.integer.formats import Format, common_step
from adadfq_core.export.integer.model import Node
from adadfq_core.export.integer.operations import convolve, multiply

# What a layer takes as it is: codes and their means over some thousand places.
_INPUT_LIMIT = 2**16


def convolution(network: Builder, node: Node) -> None:
    """The bias, if any, is added behind the sums."""
    weights = _layer_weights(network, node)
    windows = windows_of(node, weights.integers.shape[2:])
    groups = node.attributes.get("group", 1)
    _layer(network, node, weights, partial(convolve, windows=windows, groups=groups))


def linear(network: Builder, node: Node) -> None:
    """Only in the form `x @ weight.T (+ bias)`."""
    expected = {"transA": 0, "transB": 1, "alpha": 1.0, "beta": 1.0}
    given = {"transA": 0, "transB": 0, "alpha": 1.0, "beta": 1.0, **node.attributes}
    if given != expected:
        raise uncovered(node)
    _layer(network, node, _layer_weights(network, node), multiply)


def addition(network: Builder, node: Node) -> None:
    """Of a bias or of another branch."""
    first, second = node.inputs
    if first in network.graph.constants:
        first, second = second, first
    if second in network.graph.constants:
        constant = network.graph.constants[second]
        aligned = (network.channels(node, first), *[1] * (len(network.shape(first)) - 2))
        if constant.size != 1 and constant.shape not in (aligned, (1, *aligned)):
            raise uncovered(node)
        _add_constant(network, node, first, constant)
        return
    formats = network.format_of(node, first), network.format_of(node, second)
    if len(network.shape(first)) != len(network.shape(second)):
        raise uncovered(node)
    step = common_step(formats[0], formats[1].reach)
    by = [rescaling(part.step / step) for part in formats]
    left, right = (part.at(step) for part in formats)
    made = Format(step, left.low + right.low, left.high + right.high)
    compute = partial(_added, by=(by[0], by[1]))
    network.append(node.output, (first, second), compute, made)


def _layer_weights(network: Builder, node: Node) -> Weights:
    weights = network.weights.get(node.input(1))
    if weights is None:
        raise uncovered(node)
    return weights


def _layer(network: Builder, node: Node, weights: Weights, sums: Callable[..., Integers]) -> None:
    source = network.uniform(node, node.input(0), _INPUT_LIMIT)
    read = network.formats[source]
    made = _sum_format(read, weights)
    largest = int(made.largest.max())
    if largest > INT32_MAX:
        raise RunFailed(
            f"The sums of {node.name} may reach {largest:,}, more than the {INT32_MAX:,} that "
            "32 bits hold, so integer hardware could not run this network; give its weights "
            "or activations fewer bits."
        )
    terms = np.abs(weights.integers).reshape(len(weights.integers), -1).sum(1)
    dtype = exact_float(int(terms.max()) * int(read.largest[0]))
    compute = partial(sums, weight=weights.integers, dtype=dtype)
    bias = node.input(2)
    output = f"{node.output} without bias" if bias else node.output
    network.append(output, (source,), compute, made)
    if bias:
        _add_constant(network, node, output, network.constant(node, 2))


def _sum_format(read: Format, weights: Weights) -> Format:
    """Of sums of products with any part of them left out, as padding does."""
    flat = weights.integers.reshape(len(weights.integers), -1)
    positive, negative = np.maximum(flat, 0).sum(1), np.minimum(flat, 0).sum(1)
    low, high = np.minimum(read.low, 0), np.maximum(read.high, 0)
    return Format(
        read.step * weights.step, positive * low + negative * high, positive * high + negative * low
    )


def _add_constant(network: Builder, node: Node, name: str, constant: npt.NDArray[Any]) -> None:
    numbers = constant.astype(np.float64).reshape(-1)
    old = network.format_of(node, name)
    step = common_step(old, np.abs(numbers))
    integers = np.rint(numbers / step).astype(np.int64)
    moved = old.at(step)
    made = Format(step, moved.low + integers, moved.high + integers)
    compute = partial(_moved, by=rescaling(old.step / step), constant=integers)
    network.append(node.output, (name,), compute, made)


def _added(first: Integers, second: Integers, by: tuple[Rescaling, Rescaling]) -> Integers:
    return (rescale(first, by[0]) + rescale(second, by[1])).astype(np.int32)


def _moved(x: Integers, by: Rescaling, constant: Integers) -> Integers:
    moved = rescale(x, by)
    moved += along_channels(constant, x.ndim)
    return moved.astype(np.int32)
