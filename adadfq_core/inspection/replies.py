"""What the inspection process answers. Several readers share an answer: do not write to it.

`notices` are sentences for the reader about what is missing or left out. `checkpoint` is the
iteration of the checkpoint that gave Q (of a walk: G), `None` where only P was looked through.
Indices of real images count in the run's data set as far as it is read for looking; with
`RealImagesRequest` they give pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from adadfq_core.embedding.settings import Method

if TYPE_CHECKING:  # torch is slow to import
    from adadfq_core.inspection.clipping import SiteClipping
    from adadfq_core.inspection.fidelity import Fidelity
    from adadfq_core.inspection.layers import BatchNormMismatch, SiteRanges
    from adadfq_core.inspection.neighbours import Nearest

Notices = tuple[str, ...]


@dataclass(frozen=True, eq=False)
class MapReply:
    """Positions of n samples and N real images in k coordinates.

    Attributes:
        keys: `(n, 2)`, (iteration, place) of each sample.
        positions: `(n, k)`, of each of `keys`; NaN for a sample whose features are not finite.
        real_positions: `(N, k)`, finite.
        real_labels: `(N,)`, classes.
        real_indices: `(N,)`.
        method: what was used in the end; PCA may stand in for UMAP, then a notice says so.
    """

    keys: NDArray[np.int64]
    positions: NDArray[np.float32]
    real_positions: NDArray[np.float32]
    real_labels: NDArray[np.int64]
    real_indices: NDArray[np.int64]
    method: Method
    checkpoint: int | None
    notices: Notices


@dataclass(frozen=True, eq=False)
class CloseUpReply:
    """One sample among the real images, and in Q.

    Attributes:
        features: P's penultimate ones, `(D,)`.
        nearest: the k nearest real images, `(1, k)` each; `None` where there are none.
        pixels: of these, `(k, C, H, W)`.
        clipping: at each activation site of Q; `None` where there is no Q.
    """

    features: NDArray[np.float32]
    nearest: Nearest | None
    pixels: NDArray[np.uint8] | None
    clipping: tuple[SiteClipping, ...] | None
    checkpoint: int | None
    notices: Notices


@dataclass(frozen=True, eq=False)
class FidelityReply:
    """See `Fidelity`, whose notes are for the reader as well."""

    fidelity: Fidelity
    checkpoint: int | None
    notices: Notices


@dataclass(frozen=True, eq=False)
class LayersReply:
    """What P's and Q's layers make of samples, and of real images.

    Attributes:
        synthetic: of samples; `None` where there are none, empty for a P without BatchNorm.
        real: of real images; `None` where there are none.
        sites: `None` where there is no Q or no sample.
    """

    synthetic: tuple[BatchNormMismatch, ...] | None
    real: tuple[BatchNormMismatch, ...] | None
    sites: tuple[SiteRanges, ...] | None
    checkpoint: int | None
    notices: Notices


@dataclass(frozen=True, eq=False)
class WalkReply:
    """The images on the way, `(steps, C, H, W)`."""

    pixels: NDArray[np.uint8]
    checkpoint: int


@dataclass(frozen=True, eq=False)
class RealImagesReply:
    """Real images `(n, C, H, W)` and their classes `(n,)`, as asked for."""

    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64]


Reply = MapReply | CloseUpReply | FidelityReply | LayersReply | WalkReply | RealImagesReply
