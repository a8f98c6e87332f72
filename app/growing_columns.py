"""Columns of numbers that grow, as arrays at any moment."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

SMALLEST_ROOM = 256


class GrowingColumns(Mapping[str, np.ndarray]):
    """Named float64 columns of one length n, read as `(n,)` arrays without copying them.

    What was read keeps its length and its values while the columns grow, and cannot be written to.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._places = {name: place for place, name in enumerate(names)}
        self._table = np.empty((len(self._places), SMALLEST_ROOM))
        self._length = 0

    def extend(self, rows: Sequence[Sequence[float]] | np.ndarray) -> None:
        """Add `rows` `(k, columns)`, the numbers of each in the order of the names."""
        if not len(rows):
            return
        end = self._length + len(rows)
        if end > self._table.shape[1]:
            # Twice the room each time: over a whole run about as much is copied as is stored.
            wider = np.empty((len(self._places), max(2 * self._table.shape[1], end)))
            wider[:, : self._length] = self._table[:, : self._length]
            self._table = wider
        self._table[:, self._length : end] = np.asarray(rows, dtype=np.float64).T
        self._length = end

    def __getitem__(self, name: str) -> np.ndarray:
        column = self._table[self._places[name], : self._length]
        column.flags.writeable = False
        return column

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        """How many columns there are."""
        return len(self._places)
