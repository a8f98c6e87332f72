"""Choosing, ordering and paging the samples of a table (see `sample_table`)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pandas as pd

from adadfq_core.errors import InputError
from adadfq_core.inspection.sample_table import REGIONS

# The filter's ranges, and the columns that they look at.
_RANGES = {
    "iterations": "iteration",
    "h_prime": "h_prime",
    "adaptability": "adaptability",
    "p_confidence": "p_confidence",
}
_CHOICES = {"classes": "class_index", "regions": "region"}
_FLAGS = ("p_right", "agree")


@dataclass(frozen=True, slots=True)
class SampleFilter:
    """Which samples are wanted; a property that is `None` may be anything.

    Ranges are (from, to) with both ends included; an end may be infinite. A sample whose value is
    NaN lies in no range.

    Attributes:
        classes: indices of the asked classes.
        h_prime, adaptability: within [0, 1]; H' = 0 is strong disagreement, adaptability 1.
        regions: of `REGIONS`.
        p_confidence: within [0, 1].
        p_right: whether P's answer is the asked class.
        agree: whether P and Q give the same answer.

    Raises:
        InputError: a range that holds nothing, no class or region at all, or an unknown region.
    """

    iterations: tuple[float, float] | None = None
    classes: tuple[int, ...] | None = None
    h_prime: tuple[float, float] | None = None
    adaptability: tuple[float, float] | None = None
    regions: tuple[str, ...] | None = None
    p_confidence: tuple[float, float] | None = None
    p_right: bool | None = None
    agree: bool | None = None

    def __post_init__(self) -> None:
        for name in _RANGES:
            ends = getattr(self, name)
            if ends is not None and not ends[0] <= ends[1]:
                raise InputError(
                    f"{name} from {ends[0]} to {ends[1]} holds nothing; its first end must not "
                    "be above its second."
                )
        for name in _CHOICES:
            chosen = getattr(self, name)
            if chosen is not None and not chosen:
                raise InputError(f"No {name} are chosen; name at least one or leave them open.")
        for region in self.regions or ():
            if region not in REGIONS:
                raise InputError(
                    f"There is no region '{region}' of H'; regions are {', '.join(REGIONS)}."
                )


def select(
    table: pd.DataFrame,
    wanted: SampleFilter,
    sort_by: str = "iteration",
    descending: bool = False,
) -> pd.DataFrame:
    """The rows of `table` that are `wanted`, ordered by a column; rows keep their index.

    Equal values stay in the table's order, also when descending; NaN and missing values come last
    either way. Regions are ordered as in `REGIONS`.

    Raises:
        InputError: the table has no column `sort_by`.
    """
    if sort_by not in table.columns:
        raise InputError(
            f"Samples have no '{sort_by}' to sort by; choose one of {', '.join(table.columns)}."
        )
    kept = pd.Series(True, index=table.index)
    for name, column in _RANGES.items():
        if (ends := getattr(wanted, name)) is not None:
            kept &= table[column].between(*ends)
    for name, column in _CHOICES.items():
        if (chosen := getattr(wanted, name)) is not None:
            kept &= table[column].isin(chosen)
    for name in _FLAGS:
        if (flag := getattr(wanted, name)) is not None:
            kept &= table[name] == flag
    return table[kept].sort_values(
        sort_by, ascending=not descending, kind="stable", na_position="last"
    )


def page_count(rows: int, size: int) -> int:
    """Pages of `size` rows that `rows` rows fill, at least 1.

    Raises:
        InputError: `size` is below 1.
    """
    if size < 1:
        raise InputError(f"{size} samples a page are not allowed; show at least 1.")
    return max(1, math.ceil(rows / size))


def page_of(table: pd.DataFrame, page: int, size: int) -> pd.DataFrame:
    """Page number `page`, the first being 1, of `table` in pages of `size` rows.

    Raises:
        InputError: `size` is below 1, or there is no such page.
    """
    last = page_count(len(table), size)
    if not 1 <= page <= last:
        raise InputError(f"There is no page {page}; choose one from 1 to {last}.")
    return table.iloc[(page - 1) * size : page * size]
