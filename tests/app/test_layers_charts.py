from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import pytest

from adadfq_core.inspection.layers import BatchNormMismatch, SiteRanges, ValueRange
from app.charts.layers import LONGEST_NAME, mismatch_figure, ranges_figure
from app.charts.style import G_COLOUR, P_COLOUR, Q_COLOUR


def layers(*parts: tuple[float, float]) -> list[BatchNormMismatch]:
    return [BatchNormMismatch(f"layer{index}.bn", *both) for index, both in enumerate(parts)]


def values(low: float, high: float, clipped: float | None = 0.0) -> ValueRange:
    return ValueRange(low, high, low / 2, high / 2, clipped)


def site(
    name: str,
    in_force: tuple[float, float] | None = (0.0, 4.0),
    synthetic: ValueRange | None = None,
    real: ValueRange | None = None,
) -> SiteRanges:
    return SiteRanges(name, in_force, synthetic or values(0, 2), real)


def ends(trace: go.Scatter) -> list[list[float]]:
    """Left and right end of each row's line."""
    return np.array(trace.x, dtype=np.float64).reshape(-1, 3)[:, :2].tolist()


def named(figure: go.Figure) -> list[str]:
    return [tick for tick in figure.layout.yaxis.ticktext if "▶" in tick]


def test_both_parts_are_stacked_and_the_largest_term_is_named() -> None:
    figure = mismatch_figure(layers((1, 2), (3, 6), (0, 0)), layers((1, 0), (0, 1), (0.5, 0.5)))
    mean, variance, real = figure.data
    assert figure.layout.barmode == "stack" and figure.layout.xaxis.type is None
    assert (mean.name, list(mean.x)) == ("mean part", [1, 3, 0])
    assert (variance.name, list(variance.x)) == ("variance part", [2, 6, 0])
    assert list(real.x) == [1, 1, 1] and real.marker.color == P_COLOUR
    (largest,) = named(figure)
    assert "layer1.bn · 75 % of the sum" in largest
    assert "mean over layers 4" in figure.layout.xaxis.title.text
    bottom, top = figure.layout.yaxis.range
    assert bottom > 2 and top < 0  # the first layer on top
    assert "mean 3" in mean.hovertext[1] and "together 9" in mean.hovertext[1]


def test_terms_of_very_different_size_stand_side_by_side_on_a_log_axis() -> None:
    figure = mismatch_figure(layers((0.001, 0.0), (1, 999), (0.5, 0.5)))
    assert figure.layout.xaxis.type == "log" and figure.layout.barmode == "group"
    mean, variance = figure.data
    assert list(mean.x) == [0.001, 1, 0.5]
    assert np.array_equal(variance.x, [np.nan, 999, 0.5], equal_nan=True)
    assert "log scale" in figure.layout.xaxis.title.text


@pytest.mark.parametrize("parts", [[(0.0, 0.0)] * 3, [(float("nan"), 1.0)] * 3])
def test_where_all_terms_are_0_or_nan_none_is_the_largest(parts: list[tuple[float, float]]) -> None:
    figure = mismatch_figure(layers(*parts))
    assert named(figure) == [] and figure.layout.xaxis.type is None


def test_ranges_are_drawn_in_units_of_the_range_in_force() -> None:
    figure = ranges_figure(
        [
            site("relu1", (0, 4), values(0, 2), values(0, 8, 0.03)),
            site("add", (-10, 5), values(-10, 5), values(-5, 5)),
        ]
    )
    traces = {trace.name: trace for trace in figure.data}
    assert ends(traces["Q's range"]) == [[0, 1], [-1, 0.5]]
    assert ends(traces["real images"]) == [[0, 2], [-0.5, 0.5]]
    assert ends(traces["generated images"]) == [[0, 0.5], [-1, 0.5]]
    assert ends(traces["real images, 99.8 %"]) == [[0, 1], [-0.25, 0.25]]
    colours = {trace.name.split(",")[0]: trace.line.color for trace in figure.data}
    assert colours == {
        "Q's range": Q_COLOUR,
        "real images": P_COLOUR,
        "generated images": G_COLOUR,
    }
    # Three lines a site, none upon another.
    assert len({trace.y[0] for trace in figure.data}) == 3
    (worst,) = named(figure)
    assert "relu1 · 3 % clipped" in worst
    text = traces["Q's range"].hovertext[3]
    assert "Q's range: −10 to 5" in text and "generated: −10 to 5" in text


def test_without_real_images_the_generated_ones_tell_which_site_is_cut() -> None:
    figure = ranges_figure([site("relu1"), site("relu2", synthetic=values(0, 5, 0.2))])
    assert not any("real" in trace.name for trace in figure.data)
    assert "relu2 · 20 % clipped" in named(figure)[0]


def test_sites_without_a_range_are_drawn_in_units_of_their_values() -> None:
    figure = ranges_figure(
        [site("relu", None, values(0, 2, None)), site("dead", None, values(0, 0, None))]
    )
    traces = {trace.name: trace for trace in figure.data}
    assert np.isnan(ends(traces["Q's range"])).all()
    assert ends(traces["generated images"]) == [[0, 1], [0, 0]]
    assert "no range yet" in traces["generated images"].hovertext[0]
    assert named(figure) == []


def test_nothing_to_draw_is_said_in_words() -> None:
    for figure in (mismatch_figure([]), ranges_figure([])):
        assert not figure.data and figure.layout.annotations[0].text


@pytest.mark.parametrize("count", [1, 20, 60])
def test_every_layer_has_a_row_high_enough_for_its_name(count: int) -> None:
    name = "features.stage3.a_rather_long_path.unit{}.body.conv2.bn"
    mismatch = [BatchNormMismatch(name.format(i), 1.0 + i % 7, 1.0) for i in range(count)]
    sites = [site(name.format(i), real=values(0, 1 + i % 5)) for i in range(count)]
    for figure in (mismatch_figure(mismatch), ranges_figure(sites)):
        axis = figure.layout.yaxis
        assert len(axis.ticktext) == count == len(set(axis.ticktext))
        assert figure.layout.height / count >= 1.3 * axis.tickfont.size
        assert figure.layout.height < 1250
        for tick in axis.ticktext:
            assert len(tick) <= LONGEST_NAME or "▶" in tick
        full = {text.partition("</b>")[0] for trace in figure.data for text in trace.hovertext}
        assert full == {f"<b>{name.format(i)}" for i in range(count)}
