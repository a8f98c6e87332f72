"""Intervals of a mean, worked by hand."""

from __future__ import annotations

import math

import pytest

from adadfq_core.lessons.seeds import interval, seeds_to_tell


def test_the_interval_of_three_values() -> None:
    # sd 1, t of two degrees of freedom at 97.5 %: 4.3027 (any table).
    found = interval([1.0, 2.0, 3.0])
    half = 4.3027 / math.sqrt(3)
    assert found == pytest.approx((2.0, 2 - half, 2 + half), abs=1e-4)


def test_one_value_has_no_interval_and_tells_nothing() -> None:
    found = interval([5.0])
    assert found.mean == 5.0 and math.isnan(found.low) and math.isnan(found.high)
    assert found.overlaps(interval([99.0])) and interval([99.0, 99.1]).overlaps(found)


@pytest.mark.parametrize(
    ("first", "second", "needed"),
    [
        ([1.0, 1.1, 1.0], [9.0, 9.1, 9.0], 2),
        # Two seeds: half widths of 12.7 and 6.4 about 2 and 9.5; three: apart.
        ([1.0, 3.0, 2.0, 2.0], [9.0, 10.0, 9.5, 9.5], 3),
        # Apart at two, but not at the end.
        ([1.0, 1.1, 9.0], [9.0, 9.1, 1.0], None),
        ([1.0], [9.0], None),
    ],
)
def test_from_how_many_seeds_on_the_intervals_stay_apart(
    first: list[float], second: list[float], needed: int | None
) -> None:
    assert seeds_to_tell(first, second) == needed
    assert seeds_to_tell(second, first) == needed
