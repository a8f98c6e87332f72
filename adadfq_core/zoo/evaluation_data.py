"""Real labelled images, which measure accuracy and make the real side of the map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from adadfq_core.zoo.data import open_data
from adadfq_core.zoo.formats import ImageFormat


@dataclass(frozen=True)
class NormalisedPixels:
    """uint8 images `(N, C, H, W)` that are normalised to floats as they are taken out.

    Held as floats, a thousand images of 224 pixels would need 600 MB.
    """

    pixels: Tensor
    format: ImageFormat

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, index: slice | Tensor) -> Tensor:
        return self.format.normalise(self.pixels[index])


@dataclass(frozen=True)
class EvaluationData:
    """Labelled real images for a network.

    Attributes:
        images: normalised floats `(N, C, H, W)` when taken out.
        labels: classes `(N,)`.
        classes: the data set's names of the classes; empty where it has none.
        spec: the data set as a user names it (see `zoo.data`).
        skipped: what could not be read, "<path or row>: <reason>" each.
    """

    images: NormalisedPixels
    labels: Tensor
    classes: tuple[str, ...]
    spec: str
    skipped: Sequence[str] = ()

    def to(self, device: torch.device) -> EvaluationData:
        """The same on `device`."""
        images = NormalisedPixels(self.images.pixels.to(device), self.images.format)
        return replace(self, images=images, labels=self.labels.to(device))

    def spread(self, count: int) -> Tensor:
        """Indices of `count` images (or all) at equal distances: sorted data keep their classes."""
        count = min(count, len(self.labels))
        return torch.arange(count) * len(self.labels) // max(count, 1)


def load_evaluation_data(spec: str, images: ImageFormat, limit: int | None) -> EvaluationData:
    """At most `limit` labelled images of data set `spec`. They never serve training.

    Raises:
        InputError: it is missing, damaged, or its labels are not those of the network.
    """
    found = open_data(spec, images, limit)
    pixels = NormalisedPixels(found.pixels, images)
    return EvaluationData(pixels, found.labels, found.classes, spec, found.skipped)
