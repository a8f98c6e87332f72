"""What the embedding tests share."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from adadfq_core.embedding import EmbeddingEvent, EmbeddingService

Start = Callable[..., EmbeddingService]
Collect = Callable[..., list[EmbeddingEvent]]


def clusters(rows: int, columns: int = 16, groups: int = 4, seed: int = 0) -> NDArray[np.float32]:
    """`(rows, columns)` around `groups` centres; row `i` belongs to group `i % groups`."""
    random = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(scale=5, size=(groups, columns))
    noise = random.normal(size=(rows, columns))
    return (centres[np.arange(rows) % groups] + noise).astype(np.float32)
