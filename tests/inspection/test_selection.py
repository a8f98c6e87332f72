from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from stored_sheets import CLASSES, sheet

from adadfq_core.errors import InputError
from adadfq_core.inspection.sample_table import sample_table, sheet_columns
from adadfq_core.inspection.selection import SampleFilter, page_count, page_of, select
from adadfq_core.settings import RunSettings

ALL = SampleFilter()


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    """Five sheets of 20 samples; some H' and some of P's logits are NaN."""
    sheets = []
    for iteration in range(10, 60, 10):
        arrays = sheet(iteration, 20)
        arrays["h_prime"][3] = arrays["p_logits"][5] = np.nan
        sheets.append(sheet_columns(iteration, arrays, RunSettings()))
    return sample_table(sheets, CLASSES)


def small(**columns: list[Any]) -> pd.DataFrame:
    return pd.DataFrame(columns)


@pytest.mark.parametrize(
    ("wanted", "holds"),
    [
        ({}, lambda row: True),
        ({"iterations": (20, 40)}, lambda row: 20 <= row["iteration"] <= 40),
        ({"iterations": (30, math.inf)}, lambda row: row["iteration"] >= 30),
        ({"classes": (0, 2)}, lambda row: row["class_name"] in ("bag", "coat")),
        ({"h_prime": (0.2, 0.6)}, lambda row: 0.2 <= row["h_prime"] <= 0.6),
        ({"adaptability": (0.5, 1)}, lambda row: row["h_prime"] <= 0.5),
        ({"regions": ("under", "over")}, lambda row: row["h_prime"] < 0.1 or row["h_prime"] > 0.8),
        ({"p_confidence": (0, 0.7)}, lambda row: row["p_confidence"] <= 0.7),
        ({"p_right": True}, lambda row: row["p_class"] == row["class_index"]),
        ({"p_right": False}, lambda row: row["p_class"] != row["class_index"]),
        ({"agree": True}, lambda row: row["p_class"] == row["q_class"]),
        (
            {"classes": (1,), "h_prime": (0, 0.5), "agree": False},
            lambda row: (
                row["class_index"] == 1
                and row["h_prime"] <= 0.5
                and row["p_class"] != row["q_class"]
            ),
        ),
    ],
)
def test_a_filter_keeps_what_a_walk_would_keep(
    table: pd.DataFrame, wanted: dict[str, Any], holds: Any
) -> None:
    expected = [index for index, row in table.iterrows() if holds(row)]
    assert expected and (not wanted or len(expected) < len(table))
    assert select(table, SampleFilter(**wanted)).index.tolist() == expected


def test_the_ends_of_a_range_belong_to_it() -> None:
    """0.2 and 0.7 as the numbers of a slider, though H' is stored with fewer digits."""
    rows = small(iteration=[1, 2, 3], h_prime=[0.2, 0.7, 0.71]).astype({"h_prime": np.float32})
    assert select(rows, SampleFilter(h_prime=(0.2, 0.7))).index.tolist() == [0, 1]
    assert select(rows, SampleFilter(iterations=(2, 2))).index.tolist() == [1]


@pytest.mark.parametrize(
    ("descending", "expected"), [(False, [2, 0, 4, 5, 1, 3]), (True, [5, 0, 4, 2, 1, 3])]
)
def test_order_is_stable_with_nan_last(descending: bool, expected: list[int]) -> None:
    rows = small(h_prime=[0.5, math.nan, 0.1, math.nan, 0.5, 0.9])
    assert select(rows, ALL, "h_prime", descending).index.tolist() == expected


@pytest.mark.parametrize("descending", [False, True])
def test_order_is_stable_in_a_long_table(descending: bool) -> None:
    values = np.random.default_rng(0).integers(0, 3, 2000).astype(np.float32)
    expected = sorted(range(2000), key=lambda i: -values[i] if descending else values[i])
    rows = pd.DataFrame({"h_prime": values})
    assert select(rows, ALL, "h_prime", descending).index.tolist() == expected


def test_every_column_can_be_sorted_by(table: pd.DataFrame) -> None:
    for column in table:
        for descending in (False, True):
            values = select(table, ALL, column, descending)[column]
            known = values.dropna()
            assert values[: len(known)].notna().all()
            ordered = known.cat.codes if column == "region" else known
            assert (
                ordered.is_monotonic_decreasing if descending else ordered.is_monotonic_increasing
            )


def test_regions_are_ordered_by_where_they_lie(table: pd.DataFrame) -> None:
    regions = select(table, ALL, "region")["region"].dropna()
    assert list(dict.fromkeys(regions)) == ["under", "inside", "over"]


def test_nothing_may_be_left() -> None:
    empty = sample_table([], ())
    assert len(select(empty, SampleFilter(h_prime=(0, 0.1)), "h_prime")) == 0
    assert len(page_of(empty, 1, 10)) == 0


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"iterations": (5, 4)}, "iterations from 5 to 4 holds nothing; its first end must not"),
        ({"h_prime": (0.5, 0.4)}, "h_prime from 0.5 to 0.4 holds nothing"),
        ({"adaptability": (math.nan, 1)}, "adaptability from nan to 1 holds nothing"),
        ({"p_confidence": (1, 0)}, "p_confidence from 1 to 0 holds nothing"),
        ({"classes": ()}, "No classes are chosen; name at least one or leave them open"),
        ({"regions": ()}, "No regions are chosen"),
        (
            {"regions": ("inside", "outside")},
            "There is no region 'outside' of H'; regions are under, inside, over",
        ),
    ],
)
def test_a_filter_that_holds_nothing_is_refused(wanted: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        SampleFilter(**wanted)


def test_an_unknown_column_is_refused(table: pd.DataFrame) -> None:
    with pytest.raises(InputError, match="no 'beauty' to sort by; choose one of iteration, place,"):
        select(table, ALL, "beauty")


@pytest.mark.parametrize(
    ("rows", "size", "pages"), [(0, 10, 1), (10, 10, 1), (11, 10, 2), (7, 1, 7)]
)
def test_pages_hold_every_row_once(rows: int, size: int, pages: int) -> None:
    table = small(iteration=list(range(rows)))
    assert page_count(rows, size) == pages
    parts = [page_of(table, page, size) for page in range(1, pages + 1)]
    assert pd.concat(parts).index.tolist() == list(range(rows))
    assert all(len(part) == size for part in parts[:-1])


@pytest.mark.parametrize(
    ("page", "size", "message"),
    [
        (0, 2, "There is no page 0; choose one from 1 to 2"),
        (3, 2, "There is no page 3; choose one from 1 to 2"),
        (1, 0, "0 samples a page are not allowed; show at least 1"),
    ],
)
def test_a_page_that_is_not_there_is_refused(page: int, size: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        page_of(small(iteration=[1, 2, 3]), page, size)
