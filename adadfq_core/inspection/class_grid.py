"""Which samples show each class over the run: rows are classes, columns moments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from adadfq_core.errors import InputError

NO_SAMPLE = -1
"""In a grid: none of the class was stored by then."""


@dataclass(frozen=True, eq=False)
class ClassGrid:
    """One sample for each of C classes and m moments.

    Attributes:
        moments: `(m,)`, iterations of stored sheets, ascending.
        rows: `(C, m)`, values of the table's index, or `NO_SAMPLE`.
    """

    moments: np.ndarray
    rows: np.ndarray


def _moments(iterations: np.ndarray, most: int) -> np.ndarray:
    """Of ascending `iterations` the last at or before each of `most` equally distant ones."""
    stored = np.unique(iterations)
    if not len(stored):
        return stored
    targets = np.linspace(stored[-1], stored[0], most)
    return stored[np.unique(np.searchsorted(stored, targets, side="right") - 1)]


def class_grid(table: pd.DataFrame, classes: Sequence[int], most: int) -> ClassGrid:
    """For each of `classes` one sample at each of at most `most` moments, spread evenly.

    The moments are stored ones at equal distances in iterations, the first and the last of the
    run among them (of one moment: the last); where few are stored there are fewer. A class shows
    its sample from the newest sheet at or before the moment that has one of it, and of several
    there always the first by place. That is a chance draw: choosing the most adaptable one would
    show the extreme of every sheet, not what the class looks like.

    Args:
        table: as `read_samples` gives it, or rows of it, in any order.
        classes: class indices, in the order of the grid's rows.

    Raises:
        InputError: `most` is below 1.
    """
    if most < 1:
        raise InputError(f"{most} moments are not allowed; show at least 1.")
    ordered = table.sort_values(["iteration", "place"])
    iterations = ordered["iteration"].to_numpy()
    asked = ordered["class_index"].to_numpy()
    labels = ordered.index.to_numpy()
    moments = _moments(iterations, most)
    rows = np.full((len(classes), len(moments)), NO_SAMPLE, np.int64)
    for row, index in enumerate(classes):
        own = np.flatnonzero(asked == index)
        newest = np.searchsorted(iterations[own], moments, side="right") - 1
        there = newest >= 0
        sheet = iterations[own][newest[there]]
        first = np.searchsorted(iterations[own], sheet, side="left")
        rows[row, there] = labels[own[first]]
    return ClassGrid(moments, rows)
