"""The real images that a generated one is nearest to, by what P makes of them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, fx

from adadfq_core.embedding.features import real_features
from adadfq_core.errors import InputError
from adadfq_core.zoo.evaluation_data import EvaluationData, NormalisedPixels
from adadfq_core.zoo.formats import ImageFormat

REAL_IMAGES = 1000


class Nearest(NamedTuple):
    """The k nearest real images of each of M others, the nearest first; each `(M, k)`.

    `distances` are Euclidean, in the unit of the features; `indices` are those in the real data;
    `labels` the real images' classes.
    """

    distances: NDArray[np.float64]
    indices: NDArray[np.int64]
    labels: NDArray[np.int64]


class RealNeighbours:
    """Real images by their features, to find the nearest ones among.

    Images with features that are not finite are near to nothing and left out.

    Args:
        features: `(N, D)` on the CPU.
        indices: `(N,)`, the images' places in the data set.
        labels: `(N,)`, their classes.

    Attributes:
        notice: what a viewer should know of the images left out; empty for none.

    Raises:
        InputError: none is left.
    """

    def __init__(self, features: Tensor, indices: Tensor, labels: Tensor) -> None:
        finite = torch.isfinite(features).all(dim=1)
        kept, count = int(finite.sum()), len(features)
        if not kept:
            raise InputError(
                f"None of the {count} real images has finite features, so nothing is near to them; "
                "check the network and the data set."
            )
        self.notice = ""
        if kept < count:
            self.notice = (
                f"{count - kept} of {count} real images have features that are not finite and are "
                "left out."
            )
        self._features = features[finite].double()
        self._indices = indices[finite].numpy()
        self._labels = labels[finite].numpy()

    def nearest(self, features: Tensor, k: int) -> Nearest:
        """The `k` real images nearest to each of `features` `(M, D)`, or all if there are fewer.

        Exact; of equally near images the first comes first.

        Raises:
            InputError: features that are not finite.
        """
        finite = torch.isfinite(features).all(dim=1)
        if not bool(finite.all()):
            raise InputError(
                f"The features of generated image {int(finite.int().argmin())} are not finite, so "
                "no real image is near to it; choose an image of an earlier iteration."
            )
        # Through a matrix product the distance of an image to itself would not be 0.
        distances = torch.cdist(
            features.double(), self._features, compute_mode="donot_use_mm_for_euclid_dist"
        )
        ordered, places = distances.sort(dim=1, stable=True)
        chosen = places[:, :k].numpy()
        return Nearest(ordered[:, :k].numpy(), self._indices[chosen], self._labels[chosen])


def real_neighbours(network: fx.GraphModule, data: EvaluationData | None) -> RealNeighbours:
    """At most `REAL_IMAGES` of `data`, spread over all of it, by P's penultimate features.

    Args:
        network: P, captured by `quant.capture`.
        data: real images; `None` for a run without any.

    Raises:
        InputError: there are no real images, or none with finite features.
    """
    if data is None or not len(data.labels):
        raise InputError(
            "This run has no real images to compare with; name a data set when you start a run."
        )
    chosen = data.spread(REAL_IMAGES)
    features = real_features(network, data.images, chosen)
    return RealNeighbours(features, chosen, data.labels[chosen])


def pixel_features(
    network: fx.GraphModule, images: ImageFormat, pixels: NDArray[np.uint8]
) -> Tensor:
    """P's penultimate features `(n, D)` of a stored sheet's pixels `(n, C, H, W)`.

    They are those of the picture that one sees. In the game the networks were shown it before it
    was cut off at black and white and rounded to 8 bits: P's answers differ a little from the
    stored ones, those of a Q of few bits more than that.

    Args:
        network: P, captured by `quant.capture`.
        images: what P takes.
    """
    shown = NormalisedPixels(torch.from_numpy(pixels), images)
    return real_features(network, shown, torch.arange(len(pixels)))
