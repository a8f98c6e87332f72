"""What a data set is before and after its pictures are read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from torch import Tensor

Picture = bytes | Path | Image.Image | None
"""A coded picture, the file that holds one, an open one, or `None` where it is missing."""


@dataclass(frozen=True)
class Source:
    """A data set whose labels are known and whose pictures are still to be read.

    Attributes:
        labels: int64 `(N,)` of every picture.
        classes: class names in the labels' order; empty where the data set has none.
        read: yields for ascending indices into `labels` where the picture is, in words, and the
            picture.
    """

    labels: Tensor
    classes: tuple[str, ...]
    read: Callable[[Sequence[int]], Iterator[tuple[str, Picture]]]


@dataclass(frozen=True)
class LabelledPixels:
    """Pictures in the size that a network takes, and their classes.

    Attributes:
        pixels: uint8 `(N, C, H, W)`.
        labels: int64 `(N,)`.
        classes: name of each label; empty where the data set has no class names.
        skipped: "<path or row>: <reason>" of each picture that could not be read.
        found: pictures that were looked at, `N` plus those skipped.
    """

    pixels: Tensor
    labels: Tensor
    classes: tuple[str, ...]
    skipped: tuple[str, ...]
    found: int
