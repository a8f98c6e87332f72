"""Penultimate features of images and maps of them, each made once for the same content."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from adadfq_core.embedding.cache import fit_cached, read_array, write_array
from adadfq_core.embedding.features import real_features
from adadfq_core.embedding.projection import Projection
from adadfq_core.embedding.settings import ProjectionSettings
from adadfq_core.inspection.open_runs import Look, RealImages, pixels_key
from adadfq_core.inspection.progress import Progress
from adadfq_core.inspection.recent import Recent
from adadfq_core.zoo.evaluation_data import NormalisedPixels

_FORMAT = "features 1"  # to be changed whenever the features of the same images change
_KEPT_FEATURES = 6
_KEPT_MAPS = 4
_DISK_BYTES = 2**30
_BATCH = 250
_BATCH_PIXELS = 2**20  # so that the maps of large images in a network fit into memory

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class FeatureSet:
    """Features `(n, D)`, in float32, of n images; `key` stands for both."""

    rows: NDArray[np.float32]
    key: str


class FeatureMaps:
    """Makes features and maps; those of real images are also kept in `folder`, for later processes.

    For one thread at a time.
    """

    def __init__(self, folder: Path) -> None:
        self._features_folder = folder / "features"
        self._layouts_folder = folder / "embedding"
        self._kept: Recent[str, NDArray[np.float32]] = Recent(_KEPT_FEATURES)
        self._maps: Recent[tuple[str, ProjectionSettings], Projection] = Recent(_KEPT_MAPS)

    def of_real(
        self, look: Look, real: RealImages, chosen: Tensor, progress: Progress
    ) -> FeatureSet:
        """Features of the real images with indices `chosen` `(n,)`."""
        key = _key(look, f"{real.key} {pixels_key(chosen)}")
        path = self._features_folder / f"{key}.features"

        def make() -> NDArray[np.float32]:
            rows = read_array(path, key)
            if rows is not None and len(rows) == len(chosen):
                with contextlib.suppress(OSError):
                    os.utime(path)
                return rows
            rows = _computed(look, real.data.images.pixels, chosen, "real images", progress)
            write_array(path, key, rows)
            prune(self._features_folder, _DISK_BYTES)
            return rows

        return FeatureSet(self._kept.get(key, make), key)

    def of_samples(self, look: Look, pixels: Tensor, progress: Progress) -> FeatureSet:
        """Features of stored samples' `pixels` `(n, C, H, W)`, n > 0, as one sees them.

        In the game the networks were shown the images before they were cut off at black and white
        and rounded to 8 bits: P's answers differ a little from the stored ones, those of a Q of
        few bits more than that.
        """
        key = _key(look, pixels_key(pixels))
        everything = torch.arange(len(pixels))
        rows = self._kept.get(key, lambda: _computed(look, pixels, everything, "samples", progress))
        return FeatureSet(rows, key)

    def fitted(
        self, features: FeatureSet, settings: ProjectionSettings, progress: Progress
    ) -> Projection:
        """A map of `features`, from memory, from the folder's layout or fitted now.

        Raises:
            InputError: none of the features is finite.
        """

        def make() -> Projection:
            progress("fitting the map")
            return fit_cached(features.rows, settings, self._layouts_folder, progress.tell)[0]

        return self._maps.get((features.key, settings), make)


def prune(folder: Path, most_bytes: int) -> None:
    """Delete the files of `folder` that were used longest ago, until it holds `most_bytes`."""
    try:
        by_use = sorted(folder.glob("*.features"), key=lambda path: path.stat().st_mtime_ns)
        held = sum(path.stat().st_size for path in by_use)
        for path in by_use:
            if held <= most_bytes:
                return
            held -= path.stat().st_size
            path.unlink()
    except OSError as error:  # another process may be at it as well
        _log.warning("Cannot tidy up the folder of features %s: %s", folder, error)


def _key(look: Look, images: str) -> str:
    parts = (_FORMAT, look.key, images, repr((look.images.mean, look.images.std)))
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _computed(
    look: Look, pixels: Tensor, chosen: Tensor, named: str, progress: Progress
) -> NDArray[np.float32]:
    height, width = pixels.shape[-2:]
    count = len(chosen)
    progress(f"features of the {named}", 0.0)
    features = real_features(
        look.graph,
        NormalisedPixels(pixels, look.images),
        chosen,
        min(_BATCH, max(2, _BATCH_PIXELS // (height * width))),
        lambda done: progress(f"features of the {named}", done / count),
    )
    rows: NDArray[np.float32] = features.float().numpy()
    return rows
