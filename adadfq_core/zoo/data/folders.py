"""A folder that holds one folder of pictures for each class (torchvision's `ImageFolder`)."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NoReturn

import torch

from adadfq_core.errors import InputError
from adadfq_core.zoo.data.decoding import SUFFIXES
from adadfq_core.zoo.data.labels import in_order
from adadfq_core.zoo.data.pixels import Picture, Source

_HELD_OUT = frozenset({"val", "valid", "validation", "test"})


def open_folder(folder: Path) -> Source:
    """The pictures of `folder`'s class folders, at any depth.

    The names of the class folders are the classes: sorted as in torchvision, but as numbers where
    all are numbers. Links to folders are followed, to each folder once in a class. Hidden files and
    files without a picture's suffix are not pictures. A folder of nothing but splits (`train`,
    `val`, `test`) stands for its only one beside `train`.

    Raises:
        InputError: no class folders, an empty one, splits of which none is the obvious one, or a
            folder that cannot be listed.
    """
    try:
        return _labelled(_chosen_split(folder))
    except OSError as error:
        raise InputError(
            f"Cannot list {error.filename} ({error.strerror}); allow its reading or name another "
            "folder."
        ) from error


def _subfolders(folder: Path) -> list[str]:
    return in_order(p.name for p in folder.iterdir() if p.is_dir() and p.name[0] != ".")


def _chosen_split(folder: Path) -> Path:
    names = set(_subfolders(folder))
    held_out = sorted(names & _HELD_OUT)
    if not held_out or names - _HELD_OUT - {"train"}:
        return folder
    if len(held_out) > 1:
        raise InputError(
            f"{folder} holds the splits {', '.join(held_out)}; name one, for example "
            f"{folder / held_out[0]}."
        )
    return folder / held_out[0]


def _labelled(folder: Path) -> Source:
    classes = _subfolders(folder)
    if not classes:
        raise InputError(
            f"{folder} holds no class folders; put the pictures of each class into a folder of "
            "its own in it."
        )
    paths: list[Path] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        found = _pictures(folder / name)
        if not found:
            raise InputError(
                f"The class folder {folder / name} holds no pictures ({' '.join(SUFFIXES)})"
                "; fill or remove it."
            )
        paths += found
        labels += [label] * len(found)

    def read(indices: Sequence[int]) -> Iterator[tuple[str, Picture]]:
        return ((str(paths[index]), paths[index]) for index in indices)

    # A name need not be text, and what is none can be shown nowhere.
    shown = (os.fsencode(name).decode(errors="replace") for name in classes)
    return Source(torch.tensor(labels), tuple(shown), read)


def _pictures(folder: Path) -> list[Path]:
    found: list[Path] = []
    seen: set[str] = set()  # a link may lead back to a folder above it
    for root, folders, files in os.walk(folder, onerror=_raise, followlinks=True):
        if os.path.realpath(root) in seen:
            folders.clear()
            continue
        seen.add(os.path.realpath(root))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [Path(root, name) for name in sorted(files) if _is_picture(name)]
    return found


def _is_picture(name: str) -> bool:
    return not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES


def _raise(error: OSError) -> NoReturn:
    raise error
