"""What the embedding service asks of its process."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from adadfq_core.embedding.settings import ProjectionSettings


@dataclass(frozen=True, eq=False)
class FitRequest:
    """Fit on `real` `(N, D)`, or take the layout from `cache_folder`."""

    real: NDArray[np.float32]
    settings: ProjectionSettings
    cache_folder: Path


@dataclass(frozen=True, eq=False)
class TransformRequest:
    """Place `features` `(M, D)` into the fitted projection."""

    tag: int
    features: NDArray[np.float32]


Request = FitRequest | TransformRequest
