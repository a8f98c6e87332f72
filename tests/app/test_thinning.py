"""Thinning: what a line keeps, and that it stays calm while it grows."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import pytest

from app.charts.thinning import thin
from app.components.live_chart.delta import plan_update
from app.components.live_chart.snapshot import take_snapshot

POINTS = 64


def noise(count: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=count)


@pytest.mark.parametrize("count", [0, 1, 2, POINTS])
def test_a_short_line_keeps_every_point(count: int) -> None:
    x, y = thin(np.arange(count), noise(count), POINTS)
    assert x.tolist() == list(range(count))
    assert np.array_equal(y, noise(count))


@pytest.mark.parametrize("count", [POINTS + 1, 127, 128, 129, 500, POINTS**2 // 8, 20_000])
def test_a_long_line_is_bounded_and_keeps_its_ends_and_peaks(count: int) -> None:
    values = noise(count)
    x, y = thin(np.arange(count), values, POINTS)
    assert len(x) <= (2 if count <= POINTS**2 // 8 else 3) * POINTS
    assert (np.diff(x) > 0).all()
    assert np.array_equal(y, values[x])
    assert {0, count - 1, values.argmin(), values.argmax()} <= set(x.tolist())


def test_lists_are_as_good_as_arrays() -> None:
    values = noise(300)
    for got, wanted in zip(
        thin(list(range(300)), values.tolist(), POINTS),
        thin(np.arange(300), values, POINTS),
        strict=True,
    ):
        assert np.array_equal(got, wanted)


def test_one_peak_among_nan_and_infinities_survives() -> None:
    values = np.full(1000, np.nan)
    values[[10, 500, 640]] = 1.0, 7.0, np.inf
    given = values.copy()
    x, y = thin(np.arange(1000), values, POINTS)
    assert y[x == 500] == 7.0
    assert np.nanmax(y) == 7.0
    assert np.array_equal(values, given, equal_nan=True)


def test_a_gap_longer_than_a_bucket_stays_a_gap() -> None:
    values = noise(1000)
    values[300:700] = np.nan
    x, y = thin(np.arange(1000), values, POINTS)
    assert np.isnan(y[(x >= 300) & (x < 700)]).all()
    assert ((x >= 300) & (x < 700)).any()


def test_a_point_that_was_left_out_never_returns() -> None:
    values = noise(3 * POINTS**2)
    gone: set[int] = set()
    for count in range(1, len(values), 37):
        kept = set(thin(np.arange(count), values[:count], POINTS)[0].tolist())
        assert not gone & kept
        gone |= set(range(count)) - kept


def test_a_growing_line_is_mostly_sent_as_what_was_added() -> None:
    values = noise(2000)
    channel = None
    whole = 0
    for count in range(500, 1500, 5):
        x, y = thin(np.arange(count), values[:count], 200)
        figure = go.Figure(go.Scatter(x=x, y=y))
        channel, update = plan_update(channel, take_snapshot(figure, "run"), new_base=str(count))
        whole += update["kind"] == "full"
    # Of 200 refreshes: one at the start and one for each bucket that became full.
    assert whole <= 1 + 1000 / 16
