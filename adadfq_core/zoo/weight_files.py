"""Reading the named tensors of a weight file without ever running code from that file."""

from __future__ import annotations

import os
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
from torch import Tensor
from torch.serialization import safe_globals

from adadfq_core.errors import InputError

SUFFIXES = (".safetensors", ".pth", ".pt", ".th", ".bin", ".ckpt")
"""Ends of the names of weight files."""

_ACCEPTED = f"{', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}"
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
    that is named like weights (`_NESTS`, in that order); averaged ones (EMA) come last. A `~` at
    the start of `path` stands for the home folder.

    Raises:
        InputError: no such file, another kind of file, a damaged one, or one without weights.
    """
    path = Path(os.path.expanduser(path))
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


def check_name(path: Path) -> None:
    """Refuse a file that is not named like one with weights.

    Raises:
        InputError: it does not end in one of `SUFFIXES`.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"{path} is not named like a weight file; it must end in {_ACCEPTED}.")


def _check_file(path: Path) -> None:
    if os.path.isdir(path):
        raise InputError(f"{path} is a folder; give the weight file itself ({_ACCEPTED}).")
    check_name(path)
    if os.path.exists(path) and not os.path.isfile(path):
        # A pipe would be waited for, a device such as /dev/zero never ends.
        raise InputError(f"{path} is a device or a pipe; give a weight file ({_ACCEPTED}).")
    try:
        with path.open("rb") as handle:
            start = handle.read(64)
    except FileNotFoundError:
        raise InputError(f"There is no file {path}; check the path.") from None
    except (OSError, ValueError) as error:  # ValueError: a path with a null byte
        reason = getattr(error, "strerror", None) or error
        raise InputError(
            f"Cannot read {path} ({reason}); allow its reading or check the path."
        ) from error
    if not start:
        raise InputError(f"{path} is empty (0 bytes); copy or download it again.")
    for magics, what in _NOT_WEIGHTS.items():
        if start.lstrip().lower().startswith(magics):
            raise InputError(f"{path} is {what}.")
    members = _zip_members(path)
    if any(member.filename.endswith("/constants.pkl") for member in members):
        raise InputError(
            f"{path} is a TorchScript archive, a program with its weights; open it with "
            "torch.jit.load and save its weights alone with torch.save(script.state_dict(), "
            "'weights.pth')."
        )
    if sum(member.file_size for member in members) > path.stat().st_size:
        # torch.save packs nothing; a small file that unpacks to a large one would fill the memory.
        raise InputError(
            f"{path} unpacks to more than its own size, as no file of torch.save does; do not "
            "trust it."
        )


def _zip_members(path: Path) -> list[zipfile.ZipInfo]:
    """The members of a zip file; none where it is no zip file or a damaged one."""
    try:
        if not zipfile.is_zipfile(path):
            return []
        with zipfile.ZipFile(path) as archive:
            return archive.infolist()
    except Exception:  # damaged in any way: reading the weights will say so
        return []


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
            further = _next_stand_in(stop, stand_ins)
            if not further or len(stand_ins) >= _MOST_STAND_INS:
                raise InputError(_refusal(path, stop, stand_ins)) from error
            stand_ins |= further
        except Exception as error:  # a damaged file makes the reader fail in any way
            raise InputError(_damaged(path, _reason(error), stand_ins)) from error


def _next_stand_in(stop: str, stand_ins: dict[str, type]) -> dict[str, type]:
    """The name that the safe mode stopped at with its stand-in; empty if none gets further."""
    blocked = re.search(r"GLOBAL (\S+) was not an allowed global", stop)
    if blocked:
        # The message leaves out the module of Python's own functions.
        name = blocked[1] if "." in blocked[1] else f"builtins.{blocked[1]}"
        if name not in stand_ins:
            return {name: _own_kind(_StandIn, stand_ins)}
    for name, kind in stand_ins.items():
        if "Can only SETITEM" in stop and str(kind) in stop:
            return {name: _own_kind(_DictStandIn, stand_ins)}
    return {}


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
