from __future__ import annotations

import numpy as np
import pytest

from app.growing_columns import SMALLEST_ROOM, GrowingColumns


@pytest.mark.parametrize("piece", [1, 7, SMALLEST_ROOM, 1000])
def test_columns_hold_all_rows_whatever_the_pieces(piece: int) -> None:
    rows = np.random.default_rng(0).random((2100, 3))
    columns = GrowingColumns(("a", "b", "c"))
    for start in range(0, len(rows), piece):
        columns.extend(rows[start : start + piece].tolist())
    assert list(columns) == ["a", "b", "c"] and len(columns) == 3
    for name, column in zip("abc", rows.T, strict=True):
        assert np.array_equal(columns[name], column)


def test_nothing_added_is_empty_columns() -> None:
    columns = GrowingColumns(("a", "b"))
    columns.extend([])
    assert columns["a"].shape == columns["b"].shape == (0,)
    with pytest.raises(KeyError):
        columns["c"]


def test_what_was_read_stays_as_it_was_and_cannot_be_changed() -> None:
    columns = GrowingColumns(("a",))
    columns.extend([[1.0], [2.0]])
    read = columns["a"]
    columns.extend([[float(number)] for number in range(SMALLEST_ROOM)])
    assert read.tolist() == [1.0, 2.0]
    with pytest.raises(ValueError, match="read-only"):
        read[0] = 5.0


def test_rows_of_another_width_are_refused() -> None:
    with pytest.raises(ValueError):
        GrowingColumns(("a", "b")).extend([[1.0, 2.0, 3.0]])
