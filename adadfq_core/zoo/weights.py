"""A network's weights from a user's own file, read without ever running code from that file."""

from __future__ import annotations

import pickle
import re
import threading
import zipfile
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.serialization import safe_globals

from adadfq_core.errors import InputError

SUFFIXES = (".safetensors", ".pth", ".pt", ".th", ".bin", ".ckpt")

_SAVE_INSTEAD = "save its weights alone with torch.save(network.state_dict(), 'weights.pth')"

# What a download often brings instead of the file itself, by its first bytes.
_NOT_WEIGHTS = {
    (b"version https://git-lfs",): "a Git LFS pointer, not the weights; run git lfs pull",
    (b"<!doctype", b"<html", b"<?xml"): "a web page, not weights; download the file itself",
}


def read_weights(path: Path) -> dict[str, Tensor]:
    """The named tensors of a weight file, on the CPU, under the names that the file gives them.

    A file of `torch.save` is read in PyTorch's safe mode. Classes of the file that this mode
    does not know (an `argparse.Namespace` beside the weights) are read as inert stand-ins, so
    that no code of the file ever runs. Where the file nests its weights, the mapping is taken
    that is named like weights (`_NESTS`, in that order); averaged ones (EMA) come last.

    Raises:
        InputError: no such file, another kind of file, a damaged one, or one without weights.
    """
    _check_file(path)
    if path.suffix.lower() == ".safetensors":
        try:
            weights = load_file(path)
        except (SafetensorError, OSError) as error:
            raise InputError(
                f"{path} is not a readable safetensors file ({_reason(error)}); it may be cut off "
                "or damaged: copy or download it again."
            ) from error
        if not weights:
            raise InputError(f"{path} holds no tensors; {_SAVE_INSTEAD}.")
        return weights
    return _weights_within(path, *_read_pickled(path))


def _check_file(path: Path) -> None:
    accepted = f"{', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}"
    if path.is_dir():
        raise InputError(f"{path} is a folder; give the weight file itself ({accepted}).")
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"{path} is not named like a weight file; it must end in {accepted}.")
    try:
        with path.open("rb") as handle:
            start = handle.read(64)
    except FileNotFoundError:
        raise InputError(f"There is no file {path}; check the path.") from None
    except OSError as error:
        raise InputError(f"Cannot read {path}: {error.strerror}.") from error
    if not start:
        raise InputError(f"{path} is empty (0 bytes); copy or download it again.")
    for magics, what in _NOT_WEIGHTS.items():
        if start.lstrip().lower().startswith(magics):
            raise InputError(f"{path} is {what}.")
    if _is_torchscript(path):
        raise InputError(
            f"{path} is a TorchScript archive, a program with its weights; open it with "
            "torch.jit.load and save its weights alone with torch.save(script.state_dict(), "
            "'weights.pth')."
        )


def _is_torchscript(path: Path) -> bool:
    try:
        if not zipfile.is_zipfile(path):
            return False
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("/constants.pkl") for name in archive.namelist())
    except Exception:  # damaged in any way: reading the weights will say so
        return False


def _reason(error: BaseException) -> str:
    """The first sentence of an error's text, without what follows it."""
    text = " ".join(str(error).split())
    return text.split(". ")[0].rstrip(".") or type(error).__name__


class _StandIn(list[Any]):
    """What a class or function of the file is read as: takes anything, does nothing.

    A list, so that subclasses of list can be filled; keeps the state that it is given.
    """

    state: object = None

    def __new__(cls, *arguments: object, **named: object) -> _StandIn:
        return super().__new__(cls)

    def __init__(self, *arguments: object, **named: object) -> None:
        super().__init__()

    def __setstate__(self, state: object) -> None:
        self.state = state

    # Stand-ins are keys of dictionaries where the originals were, so two are never equal.
    def __hash__(self) -> int:  # type: ignore[override]  # lists have none
        return id(self)

    def __eq__(self, other: object) -> bool:
        return self is other


class _DictStandIn:
    """What a subclass of dict is read as: PyTorch fills plain dictionaries only."""

    def __new__(cls, *arguments: object, **named: object) -> Any:
        return OrderedDict()


# PyTorch's list of allowed names is one for the whole process.
_ALLOWED_NAMES = threading.Lock()

# A file of a whole network names some thirty classes; without a limit a hostile file could keep
# the loop going for hours.
_MOST_STAND_INS = 200


def _read_pickled(path: Path) -> tuple[object, list[str]]:
    """What `torch.save` wrote, and the names of the classes that were read as stand-ins.

    PyTorch's safe mode calls nothing but what it allows by name. The names that it stops at are
    allowed one after the other, each bound to a stand-in and not to what it names.
    """
    stand_ins: dict[str, type] = {}
    while True:
        try:
            with _ALLOWED_NAMES, safe_globals([(kind, name) for name, kind in stand_ins.items()]):
                return torch.load(path, map_location="cpu", weights_only=True), list(stand_ins)
        except pickle.UnpicklingError as error:
            stop = str(error)
            name, kind = _next_stand_in(stop, stand_ins)
            if name is not None and len(stand_ins) <= _MOST_STAND_INS:
                stand_ins[name] = kind
                continue
            raise InputError(_refusal(path, stop, stand_ins)) from error
        except Exception as error:  # a damaged file makes the reader fail in any way
            raise InputError(_damaged(path, _reason(error), stand_ins)) from error


def _next_stand_in(stop: str, stand_ins: dict[str, type]) -> tuple[str | None, type]:
    """The name that the safe mode stopped at, if another stand-in for it gets further."""
    blocked = re.search(r"GLOBAL (\S+) was not an allowed global", stop)
    if blocked:
        # The message leaves out the module of Python's own functions.
        name = blocked[1] if "." in blocked[1] else f"builtins.{blocked[1]}"
        if name not in stand_ins:
            return name, _own_kind(_StandIn, stand_ins)
    for name, kind in stand_ins.items():
        if "Can only SETITEM" in stop and str(kind) in stop:
            return name, _own_kind(_DictStandIn, stand_ins)
    return None, _StandIn


def _own_kind(base: type, stand_ins: dict[str, type]) -> type:
    """A class of its own for each name, so that an error's text tells which one stopped it."""
    return type(f"{base.__name__}{len(stand_ins)}", (base,), {})


def _refusal(path: Path, stop: str, stand_ins: Iterable[str]) -> str:
    forbidden = re.search(r"unsupported GLOBAL (\S+) whose module", stop)
    if forbidden:
        return (
            f"{path} asks for {forbidden[1]}, which reaches into the operating system, and is not "
            "read: take the weights from a source that you trust, or as a .safetensors file."
        )
    if "Only persistent_load of storage" in stop:
        return _whole_network(path)
    detail = re.search(r"Unsupported operand \d+", stop)
    return _damaged(
        path, detail[0] if detail else "content that PyTorch's safe mode forbids", stand_ins
    )


def _damaged(path: Path, reason: str, stand_ins: Iterable[str]) -> str:
    classes = ", ".join(list(stand_ins)[:3])
    needs = f", needs code of the program that wrote it ({classes})" if classes else ""
    return (
        f"{path} cannot be read ({reason}); it is cut off, damaged{needs} or not written by "
        f"torch.save: copy it again, or {_SAVE_INSTEAD}."
    )


def _whole_network(path: Path) -> str:
    return (
        f"{path} holds a whole pickled network, which only the program that wrote it can open; "
        f"there, {_SAVE_INSTEAD}."
    )


# Entries under which programs nest weights, the preferred first.
_NESTS = (
    "state_dict",
    "model_state_dict",
    "model_state",
    "model",
    "network",
    "net",
    "weights",
    "params",
    "module",
)


def _weights_within(path: Path, loaded: object, stand_ins: list[str]) -> dict[str, Tensor]:
    found = dict(_tensor_mappings(loaded, (), set()))
    if found.keys() - {()} or (found and not _holds_network(loaded)):
        return found[min(found, key=lambda trail: _preference(trail, len(found[trail])))]
    if _holds_network(loaded):
        raise InputError(_whole_network(path))
    if isinstance(loaded, Mapping) and ("param_groups" in loaded or "optimizer" in loaded):
        raise InputError(
            f"{path} holds an optimizer's state and no network's weights; {_SAVE_INSTEAD}."
        )
    if stand_ins:
        raise InputError(
            f"{path} holds no tensors beside objects of the class {stand_ins[0]}, which are not "
            f"read because that could run code; {_SAVE_INSTEAD}."
        )
    if not isinstance(loaded, Mapping):
        kind = type(loaded).__name__
        raise InputError(f"{path} holds one {kind}, not tensors by name; {_SAVE_INSTEAD}.")
    raise InputError(f"{path} holds no tensors; {_SAVE_INSTEAD}.")


# Files in use nest their weights twice at most; a hostile one could nest without end.
_DEEPEST = 8


def _tensor_mappings(
    value: object, trail: tuple[str, ...], seen: set[int]
) -> Iterator[tuple[tuple[str, ...], dict[str, Tensor]]]:
    """Every mapping from names to tensors in `value`, after the names that lead to it.

    A mapping that holds fewer tensors than one nested in it (a loss beside the weights) is left
    out, and so is what belongs to an optimizer.
    """
    if not isinstance(value, Mapping) or "param_groups" in value or id(value) in seen:
        return
    if len(trail) > _DEEPEST:
        return
    seen.add(id(value))
    nested = [
        found
        for key, inner in value.items()
        if isinstance(key, str)
        for found in _tensor_mappings(inner, (*trail, key), seen)
    ]
    tensors = {
        key: inner.detach()
        for key, inner in value.items()
        if isinstance(key, str) and isinstance(inner, Tensor)
    }
    if tensors and all(len(tensors) >= len(inner) for _, inner in nested):
        yield trail, tensors
    yield from nested


def _preference(trail: tuple[str, ...], tensors: int) -> tuple[bool, int, int]:
    """Sort key of a mapping: no average before an average, then `_NESTS`, then the larger."""
    averaged = any("ema" in re.split(r"[_.]", key.lower()) for key in trail)
    ranks = [_NESTS.index(key) + 1 for key in trail if key in _NESTS]
    rank = 0 if not trail else min(ranks, default=len(_NESTS) + 1)
    return averaged, rank, -tensors


def _holds_network(loaded: object) -> bool:
    inner = loaded.values() if isinstance(loaded, Mapping) else (loaded,)
    states = [value.state for value in inner if isinstance(value, _StandIn)]
    return any(isinstance(state, dict) and "_parameters" in state for state in states)


# Parts of a name that wrappers of PyTorch add: DataParallel's and torch.compile's.
_WRAPPERS = frozenset({"module", "_orig_mod"})

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
        parts = name.split(".")[:-1]
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


_HEADS = frozenset({"head", "fc", "_fc", "classifier", "linear", "output", "logits"})


def _head(state: Mapping[str, Tensor]) -> str | None:
    """Name of the weight that makes the logits: of a linear layer or else of a 1x1 convolution.

    Of several the last, but one that is named like a head first: safetensors files are sorted by
    name, not by layer.
    """
    weights = {name: value for name, value in state.items() if name.endswith("weight")}
    linear = [name for name, value in weights.items() if value.ndim == 2]
    pointwise = [name for name, value in weights.items() if value.shape[2:] == (1, 1)]
    prefix = _shared_prefixes(state)[-1]
    candidates = linear or pointwise
    named = [name for name in candidates if name.removeprefix(prefix).split(".")[0] in _HEADS]
    best = named or candidates
    return best[-1] if best else None


def head_classes(state: Mapping[str, Tensor]) -> int | None:
    """Number of classes that weights were trained for; `None` without a classifying layer."""
    name = _head(state)
    return None if name is None else state[name].shape[0]


def load_weights(network: nn.Module, path: Path) -> None:
    """Read the weight file `path` (see `read_weights`, `fit_names`) into `network`.

    Values are converted to the network's own types. Counters such as BatchNorm's
    `num_batches_tracked` may be missing or left over. A refused file leaves the network as it was.

    Raises:
        InputError: the file cannot be read, does not fit the network or holds unusable values.
    """
    own = {name: value for name, value in network.state_dict().items() if isinstance(value, Tensor)}
    state = fit_names(read_weights(path), own)
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
    values = {
        name: _converted(path, name, state[name], value)
        for name, value in own.items()
        if name in state and state[name].shape == value.shape
    }
    # Not strict for the counters alone: everything else has been checked.
    network.load_state_dict(values, strict=False)


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
    layer = head.removesuffix("weight") if head else "?"
    if wrong and not missing and not unexpected:
        classes = head_classes({head: state[head]}) if head else None
        if classes and head in wrong and all(name.startswith(layer) for name in wrong):
            network_classes = head_classes(own)
            if classes != network_classes:
                return (
                    f"the file has {classes} classes, the network has {network_classes}; choose "
                    f"a network for {classes} classes"
                )
        return "these are the weights of a network of another width; choose that network"
    if missing and not unexpected and all(name.startswith(layer) for name in missing):
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
