"""From what a user types to labelled pixels."""

from __future__ import annotations

import os
from pathlib import Path

import psutil
import torch
from torch import Tensor

from adadfq_core.errors import InputError
from adadfq_core.server_options import check_readable
from adadfq_core.zoo.data import folders, idx
from adadfq_core.zoo.data.decoding import UnreadablePicture, decode
from adadfq_core.zoo.data.labels import check_labels, network_labels
from adadfq_core.zoo.data.named import NAMED
from adadfq_core.zoo.data.pixels import LabelledPixels, Source
from adadfq_core.zoo.data.scaling import fit
from adadfq_core.zoo.formats import ImageFormat

KINDS = (
    "a .parquet file, a folder with IDX files (*-images-idx3-ubyte.gz), a folder with one folder "
    f"of pictures for each class, or one of {', '.join(NAMED)}"
)
"""What `open_data` takes, for help texts."""


def open_data(spec: str, images: ImageFormat, limit: int | None = None) -> LabelledPixels:
    """The labelled pictures of the data set `spec`, in the size that a network takes.

    Args:
        spec: one of `KINDS`. A folder that is called like a named data set is typed `./cifar10`.
        images: what the network takes; its class names, where known, decide on the labels.
        limit: read at most this many pictures: of every class its share, evenly spread over the
            data set's order.

    Returns:
        Pixels with labels in the network's order, and which pictures could not be read.

    Raises:
        InputError: an unknown or damaged data set, one that this server does not read, no picture
            that can be read, labels that cannot be the network's, a limit below 1, or more
            pictures than the free memory holds.
    """
    if limit is not None and limit < 1:
        raise InputError(f"limit = {limit} is not allowed; it must be a whole number from 1 up.")
    if images.shape[0] not in (1, 3):
        raise InputError(
            f"The network takes images of {images.shape[0]} channels; only pictures of 1 (grey) or "
            "3 (RGB) can be read."
        )
    source = _find(spec)
    check_labels(spec, source.labels, source.classes, images.classes)
    mapped = network_labels(spec, source.classes, images.classes)
    chosen = _spread(source.labels, limit)
    pixels, kept, skipped = _read(spec, source, chosen, images)
    labels = source.labels[kept]
    if mapped is None:
        return LabelledPixels(pixels, labels, source.classes, skipped, len(chosen))
    labels = torch.tensor(mapped)[labels]
    return LabelledPixels(pixels, labels, images.classes, skipped, len(chosen))


def _find(spec: str) -> Source:
    if spec in NAMED:
        return NAMED[spec]()
    check_readable(spec)
    where = os.path.expanduser(spec)
    path = Path(where)
    if os.path.isdir(where):
        prefixes = idx.splits(path)
        return idx.open_folder(path, prefixes) if prefixes else folders.open_folder(path)
    if os.path.isfile(where) and path.suffix.lower() == ".parquet":
        from adadfq_core.zoo.data.parquet import open_file  # pyarrow is slow to import

        return open_file(path)
    state = "is of an unknown kind" if os.path.exists(where) else "does not exist"
    raise InputError(f"The data set '{spec}' {state}; use {KINDS}.")


def _spread(labels: Tensor, limit: int | None) -> list[int]:
    """Ascending indices of `limit` pictures.

    They are spread over the pictures sorted by label: over the data set's own order, every fifth
    picture of a file whose labels go round 0 to 9 would be of two classes only.
    """
    count = len(labels)
    if limit is None or limit >= count:
        return list(range(count))
    by_label = torch.argsort(labels, stable=True)
    places = torch.arange(limit) * count // limit
    chosen: list[int] = by_label[places].sort().values.tolist()
    return chosen


def _read(
    spec: str, source: Source, chosen: list[int], images: ImageFormat
) -> tuple[Tensor, list[int], tuple[str, ...]]:
    """Pixels uint8 `(N, C, H, W)`, the `N` indices that could be read, and why others were not."""
    pixels = _allocate(spec, len(chosen), images.shape)
    kept: list[int] = []
    skipped: list[str] = []
    for index, (where, picture) in zip(chosen, source.read(chosen), strict=True):
        try:
            pixels[len(kept)] = fit(decode(picture, images.shape[0]), images)
        except UnreadablePicture as error:
            skipped.append(f"{where}: {error}")
        else:
            kept.append(index)
    if not kept:
        raise InputError(
            f"None of the {len(chosen):,} pictures of {spec} could be read; the first is "
            f"{skipped[0]}."
        )
    return pixels[: len(kept)], kept, tuple(skipped)


def _allocate(spec: str, count: int, shape: tuple[int, int, int]) -> Tensor:
    needed = count * shape[0] * shape[1] * shape[2]
    free = psutil.virtual_memory().available
    if needed > free:
        raise InputError(
            f"The {count:,} pictures of {spec} take {needed / 2**30:.1f} GiB at "
            f"{' x '.join(map(str, shape))}, and {free / 2**30:.1f} GiB are free; set a limit of "
            f"{max(1, count * free // (2 * needed)):,} pictures."
        )
    return torch.empty((count, *shape), dtype=torch.uint8)
