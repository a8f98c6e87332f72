"""IDX files, the format of MNIST and of the data sets made after it."""

from __future__ import annotations

import gzip
import math
import re
import struct
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import psutil
import torch
from PIL import Image
from torch import Tensor

from adadfq_core.errors import InputError
from adadfq_core.server_options import check_readable
from adadfq_core.zoo.data.pixels import Picture, Source

_KIND = b"\x08"  # unsigned bytes
_MOST_HEADER_BYTES = 4 + 4 * 255
_IMAGES = re.compile(r"(.+)-images-idx3-ubyte(\.gz)?")


def read_idx(path: Path) -> np.ndarray:
    """Read one IDX file of unsigned bytes, gzip-compressed where its name ends in `.gz`.

    Returns:
        uint8 array with the shape that the file's header states.

    Raises:
        InputError: the file is absent, too large for the memory, not gzip, not IDX of unsigned
            bytes, or truncated.
    """
    check_readable(path)
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            raw = file.read(_MOST_HEADER_BYTES)
            # No more than the header states and one: a small file may unpack to any size.
            raw += file.read(_stated_bytes(raw, path) + 1)
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"Cannot read {path} ({reason}); restore the original file.") from error
    if len(raw) < 4 or raw[:2] != b"\0\0" or raw[2:3] != _KIND:
        raise InputError(f"{path} is not an IDX file of unsigned bytes; restore the original file.")
    rank = raw[3]
    header = 4 + 4 * rank
    if len(raw) < header:
        raise InputError(f"{path} is cut off inside its header; restore the original file.")
    shape = struct.unpack(f">{rank}I", raw[4:header])
    expected = int(np.prod(shape, dtype=np.int64))
    if len(raw) - header != expected:
        raise InputError(
            f"{path} holds {len(raw) - header} values where its header states {expected}; "
            "restore the original file."
        )
    try:
        return np.frombuffer(raw, dtype=np.uint8, offset=header).reshape(shape)
    except ValueError as error:  # too many dimensions, or too large ones beside a zero
        raise InputError(
            f"The header of {path} states a shape that no array can have; restore the original "
            "file."
        ) from error


def _stated_bytes(start: bytes, path: Path) -> int:
    """How many values follow the header that a file starts with, 0 where it is none.

    Raises:
        InputError: more than the free memory holds.
    """
    if len(start) < 4 or start[:3] != b"\0\0" + _KIND or len(start) < 4 + 4 * start[3]:
        return 0
    count = int(math.prod(struct.unpack(f">{start[3]}I", start[4 : 4 + 4 * start[3]])))
    free = int(psutil.virtual_memory().available)
    if count > free:
        raise InputError(
            f"The header of {path} states {count:,} values, and {free:,} bytes of memory are "
            "free; restore the original file or use a smaller one."
        )
    return count


def read_split(folder: Path, prefix: str) -> tuple[Tensor, Tensor]:
    """Images `(N, 1, H, W)` uint8 and labels `(N,)` int64 of split `prefix` ("train", "t10k").

    Raises:
        InputError: a file is missing or damaged, or the two do not belong together.
    """
    images = read_idx(_plain_or_packed(folder / f"{prefix}-images-idx3-ubyte"))
    labels = read_idx(_plain_or_packed(folder / f"{prefix}-labels-idx1-ubyte"))
    if images.ndim != 3 or 0 in images.shape[1:] or labels.shape != images.shape[:1]:
        raise InputError(
            f"{folder} holds images of shape {images.shape} and labels of shape {labels.shape}; "
            "they must be (N, H, W) and (N,)."
        )
    return torch.from_numpy(images.copy()).unsqueeze(1), torch.from_numpy(labels.astype(np.int64))


def _plain_or_packed(path: Path) -> Path:
    return path if path.is_file() else path.with_name(f"{path.name}.gz")


def splits(folder: Path) -> set[str]:
    """Prefixes ("train", "t10k") of the IDX image files in `folder`.

    Raises:
        InputError: the folder cannot be listed.
    """
    try:
        matches = [_IMAGES.fullmatch(path.name) for path in folder.iterdir()]
    except OSError as error:
        raise InputError(
            f"Cannot list {folder} ({error.strerror}); allow its reading or name another folder."
        ) from error
    return {match[1] for match in matches if match}


def open_folder(folder: Path, prefixes: set[str]) -> Source:
    """The test split `t10k` where it is among `prefixes`, else `train`, else the only one.

    Raises:
        InputError: none of these, or a file is missing or damaged.
    """
    chosen = next((name for name in ("t10k", "train") if name in prefixes), None)
    if chosen is None and len(prefixes) > 1:
        raise InputError(
            f"{folder} holds the IDX files of {', '.join(sorted(prefixes))} and none of t10k or "
            "train; leave the files of one split in it."
        )
    return split_source(*read_split(folder, chosen or min(prefixes)))


def split_source(pixels: Tensor, labels: Tensor, classes: tuple[str, ...] = ()) -> Source:
    """A data set that is in memory: uint8 `(N, C, H, W)` with 1 or 3 channels, int64 `(N,)`."""

    def read(indices: Sequence[int]) -> Iterator[tuple[str, Picture]]:
        for index in indices:
            picture = pixels[index].permute(1, 2, 0).squeeze(2).numpy()
            yield f"picture {index}", Image.fromarray(np.ascontiguousarray(picture))

    return Source(labels, classes, read)
