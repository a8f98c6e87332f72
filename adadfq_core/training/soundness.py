"""Whether a state is fit to be kept: one that is not finite would never recover."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

_OWNERS = {
    "q": "Q's",
    "q_average": "the averaged Q's",
    "generator": "G's",
    "optimizer_g": "the memory of G's optimizer",
    "optimizer_q": "the memory of Q's optimizer",
}


def first_non_finite(state: Mapping[str, Any]) -> str | None:
    """The first tensor of a trainer's `state_dict` that holds a NaN or an infinity, in words.

    Weights, activation ranges, G's parameters and the optimizers' memories are looked at, and the
    device is waited for once. `None`: all are finite.
    """
    named = [
        (f"{owner} {name.removeprefix('graph_module.')}", tensor)
        for part, owner in _OWNERS.items()
        for name, tensor in _tensors(state[part])
        if tensor.is_floating_point()
    ]
    sound = torch.stack([tensor.isfinite().all() for _, tensor in named]).tolist()
    return next((name for (name, _), fine in zip(named, sound, strict=True) if not fine), None)


def _tensors(value: object, path: str = "") -> Iterator[tuple[str, Tensor]]:
    """The tensors anywhere below `value`, each with the names that lead to it."""
    if isinstance(value, Tensor):
        yield path, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _tensors(item, f"{path}.{key}" if path else str(key))
