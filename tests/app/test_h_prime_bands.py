from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from app.charts.h_prime_bands import HPrimeBins, bin_h_prime, h_prime_bands_figure


def binned(iteration: Any, batches: Sequence[Any], *rest: Any) -> HPrimeBins:
    """`bin_h_prime` of one sequence of samples an iteration."""
    values = np.concatenate([np.asarray(batch, dtype=float) for batch in batches])
    return bin_h_prime(iteration, values, np.cumsum([len(batch) for batch in batches]), *rest)


def test_bins_by_hand() -> None:
    # Five iterations in at most three bins: two iterations a bin, the last one half full.
    samples = [[0.0, 0.2], [0.4, 1.0, 0.9], [0.5], [], [0.3, 0.7]]
    bins = binned([1, 2, 3, 4, 5], samples, 0.1, 0.8, 3)
    assert bins.width == 2
    assert bins.iteration.tolist() == [1.5, 3.5, 5.0]
    assert bins.mean.tolist() == pytest.approx([0.5, 0.5, 0.5])
    assert bins.inside.tolist() == pytest.approx([2 / 5, 1, 1])
    expected = np.quantile([0.0, 0.2, 0.4, 1.0, 0.9], [0.1, 0.25, 0.75, 0.9])
    assert bins.quantiles[:, 0].tolist() == pytest.approx(expected.tolist())
    assert bins.lower.tolist() == [0.1] * 3 and bins.upper.tolist() == [0.8] * 3


def test_each_sample_is_judged_by_the_margin_of_its_iteration() -> None:
    lower = np.array([0.1, 0.1, 0.6, 0.6])
    bins = binned([1, 2, 3, 4], [[0.5]] * 4, lower, 0.8, 2)
    assert bins.inside.tolist() == [1, 0]
    assert bins.lower.tolist() == [0.1, 0.6]
    assert binned([1, 2, 3, 4], [[0.5]] * 4, lower, 0.8, 1).inside.tolist() == [0.5]


def test_nan_and_infinities_are_left_out_and_a_bin_of_nothing_else_is_nan() -> None:
    nan, inf = float("nan"), float("inf")
    bins = binned([1, 2, 3], [[nan, 0.4], [nan, inf], []], 0.1, 0.8, 10)
    assert bins.mean[0] == 0.4 and bins.inside[0] == 1
    for values in (bins.mean, bins.inside, *bins.quantiles):
        assert np.isnan(values[1:]).all()


@pytest.mark.parametrize("count", [1, 119, 120, 121, 1000, 5000])
def test_the_number_of_bins_is_bounded_and_all_but_the_last_stay_as_they_are(count: int) -> None:
    samples = np.random.default_rng(0).random((count + 1, 3))
    iterations = np.arange(1, count + 2)
    before = binned(iterations[:-1], samples[:-1], 0.1, 0.8, 120)
    after = binned(iterations, samples, 0.1, 0.8, 120)
    assert min(count, 60) <= len(before.iteration) <= 120
    if count != 120:  # where the bins double
        done = len(before.iteration) - 1
        assert np.array_equal(before.mean[:done], after.mean[:done])
        assert np.array_equal(before.iteration[:done], after.iteration[:done])


def test_bins_taken_over_equal_those_computed_anew() -> None:
    generator = np.random.default_rng(0)
    batches = [generator.random(size) for size in generator.integers(0, 5, size=300)]
    lower = np.where(np.arange(300) < 111, 0.1, 0.4)
    known = bin_h_prime([], [], [], 0.1, 0.8, 20)
    # In steps of 7, so that it grows within a bin, over its end and to where all double.
    for count in range(0, 301, 7):
        part = (range(1, count + 1), [[], *batches[:count]], lower[:count], 0.8, 20)
        ends = np.cumsum([len(batch) for batch in batches[:count]])
        values = np.concatenate(part[1])
        known = bin_h_prime(part[0], values, ends, *part[2:], known)
        anew = bin_h_prime(part[0], values, ends, *part[2:])
        assert known.width == anew.width
        for name in ("iteration", "mean", "quantiles", "inside", "lower", "upper"):
            assert np.array_equal(getattr(known, name), getattr(anew, name), equal_nan=True)


def test_of_known_bins_only_the_last_is_computed_again() -> None:
    known = binned([1, 2, 3], [[0.1], [0.2], [0.3]], 0.1, 0.8, 10)
    after = binned([1, 2, 3, 4], [[0.9], [0.9], [0.4], [0.5]], 0.1, 0.8, 10, known)
    assert after.mean.tolist() == [0.1, 0.2, 0.4, 0.5]
    # Bins of two iterations have to be computed from the samples.
    doubled = binned([1, 2, 3, 4], [[0.9], [0.9], [0.4], [0.5]], 0.1, 0.8, 3, known)
    assert doubled.mean.tolist() == pytest.approx([0.9, 0.45])


def test_no_iterations_at_all() -> None:
    bins = bin_h_prime([], [], [], 0.1, 0.8, 120)
    assert len(bins.iteration) == 0
    figure = h_prime_bands_figure(bins, 100, [])
    assert not figure.data and figure.layout.annotations[0].text


def test_the_figure_draws_bands_boundaries_and_the_fraction_inside() -> None:
    samples = np.random.default_rng(0).random((40, 16))
    lower = np.where(np.arange(40) < 20, 0.1, 0.3)
    bins = binned(np.arange(1, 41), samples, lower, 0.8, 120)
    figure = h_prime_bands_figure(bins, 100, [(20, "lambda_l = 0.3")])
    margin, wide, narrow, mean, low, high, inside = figure.data
    assert list(mean.y) == list(bins.mean)
    assert list(low.y) == list(lower) and set(high.y) == {0.8}
    assert list(inside.y) == list(100 * bins.inside) and inside.yaxis == "y2"
    # An area goes along its lower line and back along the upper one.
    for area, down, up in (
        (margin, bins.lower, bins.upper),
        (wide, bins.quantiles[0], bins.quantiles[3]),
        (narrow, bins.quantiles[1], bins.quantiles[2]),
    ):
        assert list(area.y) == [*down, *up[::-1]]
        assert area.fill == "toself"
    texts = " ".join(annotation.text for annotation in figure.layout.annotations)
    assert "agreement, over-fitting" in texts and "disagreement, under-fitting" in texts
    assert tuple(figure.layout.xaxis.range) == (0, 100)
    assert figure.layout.shapes[0].x0 == 20
    # The strip lies below the bands and shares their iterations.
    assert figure.layout.yaxis2.domain[1] < figure.layout.yaxis.domain[0]
    assert "%" in figure.layout.yaxis2.title.text


def test_of_a_run_to_compare_with_mean_and_fraction_inside_are_dotted() -> None:
    bins = binned([1, 2], [[0.2], [0.3]], 0.1, 0.8, 120)
    others = binned([1, 2, 3], [[0.2], [0.7], [0.9]], 0.5, 0.8, 120)
    figure = h_prime_bands_figure(bins, 5, [], ("GDFQ", others))
    dotted = {trace.name: trace for trace in figure.data if trace.line.dash == "dot"}
    assert list(dotted) == ["GDFQ", "GDFQ: mean", "GDFQ: inside the margin"]
    assert list(dotted["GDFQ: mean"].x) == [1, 2, 3]
    assert list(dotted["GDFQ: mean"].y) == [0.2, 0.7, 0.9]
    inside = dotted["GDFQ: inside the margin"]
    assert list(inside.y) == [0, 100, 0] and inside.yaxis == "y2" and inside.fill is None
    # The margin drawn is that of the shown run.
    low = next(trace for trace in figure.data if trace.name == "λ<sub>l</sub>")
    assert list(low.y) == [0.1, 0.1]
    in_legend = [trace.name for trace in figure.data if trace.showlegend is not False]
    assert in_legend.count("GDFQ") == 1 and not any("GDFQ: " in name for name in in_legend)


def test_a_gap_parts_the_bands_instead_of_being_bridged() -> None:
    bins = binned([1, 2, 3, 4, 5], [[0.2], [0.3], [], [0.4], [0.5]], 0.1, 0.8, 120)
    wide = h_prime_bands_figure(bins, 5, []).data[1]
    assert [None if np.isnan(x) else x for x in wide.x] == [1, 2, 2, 1, None, 4, 5, 5, 4]
