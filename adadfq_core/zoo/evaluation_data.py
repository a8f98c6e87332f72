"""Real labelled images, which measure accuracy and make the real side of the map.

Only the method `real`, the ceiling of the others, lets Q learn from them, from one half alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from adadfq_core.errors import InputError
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

    def halves(self) -> tuple[EvaluationData, EvaluationData]:
        """Two parts without a common image: one to learn from, one to measure on.

        In the data's order every second image of a class goes to the second part. Classes with an
        odd number of images give the one too many to either part by turns, so that a data set
        with one image of each class can be halved as well. Both parts keep what was `skipped`.

        Raises:
            InputError: a part would be empty.
        """
        labels = self.labels.cpu()
        by_class = torch.argsort(labels, stable=True)
        sizes = torch.bincount(labels)
        firsts = (sizes.cumsum(0) - sizes)[labels[by_class]]
        rank = torch.arange(len(labels)) - firsts
        odd_before = (sizes % 2).cumsum(0) - sizes % 2
        second = torch.empty(len(labels), dtype=torch.bool)
        second[by_class] = (rank + odd_before[labels[by_class]]) % 2 == 1
        if bool(second.all()) or not bool(second.any()):
            raise InputError(
                f"The data set '{self.spec}' has {len(labels)} readable image(s), which cannot be "
                "split into one half to learn from and one to measure on; name a larger one."
            )
        return self._part(~second), self._part(second)

    def _part(self, chosen: Tensor) -> EvaluationData:
        chosen = chosen.to(self.labels.device)
        images = NormalisedPixels(self.images.pixels[chosen], self.images.format)
        return replace(self, images=images, labels=self.labels[chosen])

    def spread(self, count: int) -> Tensor:
        """Indices of `count` images (or all) at equal distances: sorted data keep their classes."""
        count = min(count, len(self.labels))
        return torch.arange(count) * len(self.labels) // max(count, 1)


def load_evaluation_data(spec: str, images: ImageFormat, limit: int | None) -> EvaluationData:
    """At most `limit` labelled images of data set `spec`.

    Raises:
        InputError: it is missing, damaged, or its labels are not those of the network.
    """
    found = open_data(spec, images, limit)
    pixels = NormalisedPixels(found.pixels, images)
    return EvaluationData(pixels, found.labels, found.classes, spec, found.skipped)
