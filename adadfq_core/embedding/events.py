"""What the embedding service reports."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from adadfq_core.embedding.settings import Method


@dataclass(frozen=True, eq=False)
class Fitted:
    """Real features are laid out.

    `positions` is `(n, k)` and finite; `rows` is `(n,)`, the ascending indices of those rows
    among the `N >= n` submitted, since rows that are not finite have no position. `notice` is for
    the user and may be empty; `seconds` is what the fit took, or the look-up if `from_cache`.
    """

    positions: NDArray[np.float32]
    rows: NDArray[np.intp]
    method: Method
    notice: str
    seconds: float
    from_cache: bool


@dataclass(frozen=True, eq=False)
class Transformed:
    """The features submitted under `tag` are placed; all else as in `Fitted`, but `n` may be 0."""

    tag: int
    positions: NDArray[np.float32]
    rows: NDArray[np.intp]
    notice: str
    seconds: float


@dataclass(frozen=True)
class Dropped:
    """The request `tag` was overtaken by a newer one before its turn came."""

    tag: int


@dataclass(frozen=True)
class Failed:
    """Something could not be done, for `reason`.

    If `final`, the service ignores all further requests; otherwise only request `tag` is lost.
    A service reports at most one final failure, and nothing after it.
    """

    reason: str
    tag: int | None
    final: bool


EmbeddingEvent = Fitted | Transformed | Dropped | Failed
