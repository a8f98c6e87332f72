"""Fitting the tensors of a weight file to a network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from adadfq_core.errors import InputError
from adadfq_core.zoo.weight_files import SUFFIXES, read_weights

__all__ = ["SUFFIXES", "fill", "fit_names", "load_weights", "read_weights"]

# Parts of a name that wrappers of PyTorch add: DataParallel's and torch.compile's.
_WRAPPERS = frozenset({"module", "_orig_mod"})

# Parts of names that may be dropped or added. Networks nest a few deep, hostile files without end.
_MOST_PREFIXES = 32

# Entries that count calls or operations: they have no effect on what a network computes.
_COUNTERS = frozenset({"num_batches_tracked", "total_ops", "total_params", "n_averaged"})


def _unwrapped(name: str) -> str:
    return ".".join(part for part in name.split(".") if part not in _WRAPPERS) or name


def _is_counter(name: str) -> bool:
    return name.rpartition(".")[2] in _COUNTERS


def _shared_prefixes(names: Iterable[str]) -> list[str]:
    """The prefixes `""`, `"a."`, `"a.b."`, ... that all names have in common, counters aside."""
    shared: list[str] | None = None
    for name in names:
        if _is_counter(name):
            continue
        parts = name.split(".", _MOST_PREFIXES)[:-1]
        if shared is None:
            shared = parts
        while shared != parts[: len(shared)]:
            shared = shared[:-1]
    shared = shared or []
    return ["".join(f"{part}." for part in shared[:end]) for end in range(len(shared) + 1)]


def fit_names(state: Mapping[str, Tensor], expected: Iterable[str]) -> dict[str, Tensor]:
    """`state` under the names `expected`, as far as wrappers and prefixes explain the difference.

    `module` and `_orig_mod` are dropped wherever they stand in a name. Then the prefix that all
    names of the file share (`model.`), or that all expected ones share, is dropped or added
    where that makes more names fit. Names that fit nothing stay as they are after this.
    """
    wanted = {name: name for name in expected}
    bare_wanted = {_unwrapped(name): name for name in wanted}
    found = {_unwrapped(name): value for name, value in state.items()}
    if len(bare_wanted) == len(wanted) and len(found) == len(state):
        wanted = bare_wanted
    else:  # names that only a wrapper tells apart
        found = dict(state)

    def renamed(name: str, change: tuple[str, str]) -> str:
        drop, add = change
        return add + name.removeprefix(drop)

    changes = [(drop, add) for add in _shared_prefixes(wanted) for drop in _shared_prefixes(found)]
    best = max(changes, key=lambda change: sum(renamed(name, change) in wanted for name in found))
    names = {name: renamed(name, best) for name in found}
    return {wanted.get(names[name], names[name]): value for name, value in found.items()}


def load_weights(network: nn.Module, path: Path) -> None:
    """Put the weights of the file `path` into `network`: see `read_weights` and `fill`.

    Raises:
        InputError: the file cannot be read, does not fit the network or holds unusable values.
    """
    fill(network, read_weights(path), path)


def fill(network: nn.Module, weights: Mapping[str, Tensor], path: Path) -> None:
    """Put `weights`, which came from `path`, into `network` under its own names (`fit_names`).

    Values are converted to the network's own types. Counters such as BatchNorm's
    `num_batches_tracked` may be missing or left over. Refused weights leave the network as it was.

    Raises:
        InputError: the weights do not fit the network or hold unusable values.
    """
    # What the weights lack keeps the network's own values, and so does the version of each layer:
    # MNASNet refuses weights without one, and a .safetensors file cannot hold it.
    complete = network.state_dict()
    own = {name: value for name, value in complete.items() if isinstance(value, Tensor)}
    state = fit_names(weights, own)
    missing = [name for name in own if name not in state and not _is_counter(name)]
    unexpected = [name for name in state if name not in own and not _is_counter(name)]
    wrong = [
        name
        for name, value in own.items()
        if name in state and state[name].shape != value.shape and not _is_counter(name)
    ]
    if missing or unexpected or wrong:
        shapes = [f"{n} {tuple(state[n].shape)} instead of {tuple(own[n].shape)}" for n in wrong]
        raise InputError(
            f"{path} does not hold this network's weights: {_listed('missing', missing)}, "
            f"{_listed('unexpected', unexpected)}, {_listed('of another shape', shapes)}; "
            f"{_likely_cause(state, own, missing, unexpected, wrong)}."
        )
    complete |= {
        name: _converted(path, name, state[name], value)
        for name, value in own.items()
        if name in state and state[name].shape == value.shape
    }
    network.load_state_dict(complete)


def _listed(what: str, names: list[str]) -> str:
    if not names:
        return f"0 {what}"
    return f"{len(names)} {what} ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})"


def _converted(path: Path, name: str, value: Tensor, own: Tensor) -> Tensor:
    strange = value.is_meta or value.is_quantized or value.layout != torch.strided
    if strange or (own.is_floating_point() and not value.is_floating_point()):
        raise InputError(
            f"The tensor {name} in {path} ({value.dtype}, {value.layout}, {value.device}) holds no "
            "plain real numbers; save the weights of the full-precision network."
        )
    converted = value.to(own.dtype)
    if converted.is_floating_point() and not converted.isfinite().all():
        raise InputError(
            f"The tensor {name} in {path} holds NaN or infinite values; take the weights from "
            "before the training went wrong."
        )
    return converted


def _likely_cause(
    state: Mapping[str, Tensor],
    own: Mapping[str, Tensor],
    missing: list[str],
    unexpected: list[str],
    wrong: list[str],
) -> str:
    head = _head(own)

    def in_head(names: list[str]) -> bool:
        return head is not None and all(n.startswith(head.removesuffix("weight")) for n in names)

    if wrong and not missing and not unexpected:
        if head in wrong and in_head(wrong) and len(state[head]) != len(own[head]):
            return (
                f"the file has {len(state[head])} classes, the network has {len(own[head])}; "
                f"choose a network for {len(state[head])} classes"
            )
        return "these are the weights of a network of another width; choose that network"
    if missing and not unexpected and in_head(missing):
        return "the file lacks the layer that makes the classes; save the whole network"
    prefix = _prefix_of_a_part(state, own)
    if prefix:
        return f"the names that fit all start with '{prefix}'; save that part of the network alone"
    shared = sum(name in own for name in state)
    if 2 * shared < min(len(own), len(state)):
        return "these are the weights of another architecture; choose that network"
    if not unexpected:
        return "the file holds fewer layers than the network; choose a shallower network"
    if not missing:
        return "the file holds more layers than the network; choose a deeper network"
    return "these are the weights of another variant of the network; choose that variant"


def _head(own: Mapping[str, Tensor]) -> str | None:
    """Name of the weight that makes the logits: the last linear layer's, or 1x1 convolution's."""
    weights = [name for name in own if name.rpartition(".")[2] == "weight"]
    linear = [name for name in weights if own[name].ndim == 2]
    pointwise = [name for name in weights if own[name].shape[2:] == (1, 1)]
    return next(reversed(linear or pointwise), None)


def _prefix_of_a_part(state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> str | None:
    """The first prefix under which the file holds every expected name, if there is one."""
    needed = [name for name in own if not _is_counter(name)]
    if not needed:
        return None
    prefixes = [n.removesuffix(needed[0]) for n in state if n.endswith(f".{needed[0]}")]
    for prefix in prefixes:
        if all(prefix + name in state for name in needed):
            return prefix
    return None
