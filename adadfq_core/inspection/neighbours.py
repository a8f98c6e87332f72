"""The real images that a generated one is nearest to, by what P makes of them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from adadfq_core.errors import InputError

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
