from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from adadfq_core.errors import InputError
from adadfq_core.inspection.class_grid import NO_SAMPLE, class_grid
from adadfq_core.inspection.sample_table import sample_table


def table_of(sheets: dict[int, list[int]]) -> pd.DataFrame:
    """A table with the asked classes of each sheet, by iteration."""
    rows = [(i, place, c) for i, sheet in sheets.items() for place, c in enumerate(sheet)]
    return pd.DataFrame(rows, columns=["iteration", "place", "class_index"])


def test_a_class_shows_its_newest_image_before_each_moment() -> None:
    # Rows:         0  1  2       3  4       5  6       7
    sheets = {10: [0, 0, 2], 20: [0, 1], 30: [1, 1], 40: [2]}
    grid = class_grid(table_of(sheets), range(4), 4)
    assert grid.moments.tolist() == [10, 20, 30, 40]
    assert grid.rows.tolist() == [
        [0, 3, 3, 3],
        [NO_SAMPLE, 4, 5, 5],
        [2, 2, 2, 7],
        [NO_SAMPLE] * 4,
    ]


@pytest.mark.parametrize(
    ("stored", "most", "expected"),
    [
        (range(10, 110, 10), 4, [10, 40, 70, 100]),
        (range(10, 110, 10), 1, [100]),
        (range(10, 110, 10), 99, list(range(10, 110, 10))),
        # Many sheets of slow motion do not crowd out the rest: 1, 34, 67 and 100 are wanted.
        ([1, *range(40, 61), 100], 4, [1, 60, 100]),
        ([7], 5, [7]),
        ([], 5, []),
    ],
)
def test_moments_are_spread_over_the_iterations(
    stored: list[int], most: int, expected: list[int]
) -> None:
    grid = class_grid(table_of({iteration: [0] for iteration in stored}), [0], most)
    assert grid.moments.tolist() == expected
    assert grid.rows.shape == (1, len(expected))


def test_it_agrees_with_a_walk_over_the_rows() -> None:
    random = np.random.default_rng(0)
    sheets = {
        int(i): random.integers(0, 6, random.integers(1, 9)).tolist()
        for i in np.sort(random.choice(1000, 40, replace=False))
    }
    table = table_of(sheets)
    table.index = table.index + 500
    classes = [5, 0, 3]
    grid = class_grid(table.sample(frac=1, random_state=0), classes, 9)
    assert 5 <= len(grid.moments) <= 9
    for row, index in enumerate(classes):
        for column, moment in enumerate(grid.moments):
            then = table[(table["class_index"] == index) & (table["iteration"] <= moment)]
            newest = then[then["iteration"] == then["iteration"].max()]
            expected = newest.index[0] if len(newest) else NO_SAMPLE
            assert grid.rows[row, column] == expected


def test_one_class_or_none() -> None:
    table = table_of({10: [0, 0], 20: [0]})
    assert class_grid(table, [0], 2).rows.tolist() == [[0, 2]]
    assert class_grid(table, [], 2).rows.shape == (0, 2)
    assert class_grid(sample_table([], ()), [0, 1], 3).rows.shape == (2, 0)


def test_no_moment_is_refused() -> None:
    with pytest.raises(InputError, match="0 moments are not allowed; show at least 1"):
        class_grid(table_of({10: [0]}), [0], 0)
