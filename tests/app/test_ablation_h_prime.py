"""Mirrored histograms and small multiples of H'."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from app.charts.ablation.epochs import epochs_figure, epochs_frame
from app.charts.ablation.mirrored import mirrored_figure, mirrored_frame
from app.charts.ablation.panels import Group, panel_shape, place_panels
from app.components.live_chart.snapshot import take_snapshot


def group(name: str, lower: float = 0.1, upper: float = 0.8) -> Group:
    return Group(name, lower, upper, (f"{name}-0", f"{name}-1"))


FIRST = (group("AdaDFQ"), np.array([0.02, 0.12, 0.13, 0.97]))
SECOND = (group("GDFQ"), np.array([0.12, 0.98]))


def test_one_group_goes_up_and_the_other_down_in_percent() -> None:
    figure = mirrored_figure([FIRST, SECOND])
    up, down = figure.data
    assert (up.name, down.name) == ("▲ AdaDFQ", "▼ GDFQ")
    assert list(up.x) == list(down.x) and len(up.x) == 20
    assert [up.y[0], up.y[2], up.y[19], sum(up.y)] == [25, 50, 25, 100]
    assert [down.y[0], down.y[2], down.y[19], sum(down.y)] == [0, -50, -50, -100]
    assert list(down.customdata[7]) == ["GDFQ-0", "GDFQ-1"]
    assert "0.10 to 0.15: 50.0 %" in down.text[2]
    low, high = figure.layout.yaxis.range
    assert low == -high and high > 50
    assert figure.layout.yaxis.ticktext == ("40", "20", "0", "20", "40")
    words = " ".join(note.text for note in figure.layout.annotations)
    assert "under-fitting" in words and "over-fitting" in words
    take_snapshot(figure, "sweep")


def test_a_common_margin_is_marked_once_and_two_each_on_its_half() -> None:
    def marked(figure: object) -> list[tuple[float, float, float, float]]:
        return [(s.x0, s.x1, s.y0, s.y1) for s in figure.layout.shapes if s.type == "rect"]

    assert marked(mirrored_figure([FIRST, SECOND])) == [(0.1, 0.8, 0, 1)]
    figure = mirrored_figure([FIRST, (group("without", 0.0, 1.0), SECOND[1])])
    assert marked(figure) == [(0.1, 0.8, 0.5, 1), (0.0, 1.0, 0.5, 0)]
    names = {note.text: (note.y, note.yanchor) for note in figure.layout.annotations}
    assert names["λ<sub>l</sub> = 0.1"] == (1, "top")
    assert names["λ<sub>u</sub> = 1"] == (0, "bottom")


def test_more_groups_are_each_mirrored_against_the_first() -> None:
    third = (group("real"), np.array([0.5]))
    figure = mirrored_figure([FIRST, SECOND, third])
    assert [(trace.name, trace.xaxis) for trace in figure.data] == [
        ("▲ AdaDFQ", "x"),
        ("▼ GDFQ", "x"),
        ("▲ AdaDFQ", "x2"),
        ("▼ real", "x2"),
    ]
    assert figure.data[0].marker.color == figure.data[2].marker.color
    assert [trace.showlegend for trace in figure.data] == [True, False, False, False]
    titles = [note.text for note in figure.layout.annotations if "▼" in note.text]
    assert ["GDFQ" in titles[0], "real" in titles[1]] == [True, True]
    assert figure.layout.yaxis2.matches == "y"


def test_the_table_behind_the_histograms_has_a_row_a_bin() -> None:
    rows = mirrored_frame([FIRST, SECOND])
    assert len(rows) == 40 and rows["samples"].sum() == 6
    third = rows[(rows["group"] == "GDFQ") & (rows["from"] == 0.1)]
    assert third[["to", "samples", "percent"]].to_numpy().tolist() == [[0.15, 1, 50]]


@pytest.mark.parametrize("groups", [[], [FIRST], [FIRST, (group("GDFQ"), np.array([]))]])
def test_without_two_groups_of_samples_the_figure_says_so(groups: list) -> None:
    figure = mirrored_figure(groups)
    assert not figure.data and "two groups" in figure.layout.annotations[0].text


def quantiles(epochs: int, middle: float) -> pd.DataFrame:
    names = {"q10": -0.2, "q25": -0.1, "q50": 0.0, "q75": 0.1, "q90": 0.2, "mean": 0.01}
    epoch = np.arange(1, epochs + 1)
    return pd.DataFrame(
        {"epoch": epoch, **{name: np.full(epochs, middle + d) for name, d in names.items()}}
    )


def test_each_group_has_a_panel_with_its_bands_and_its_margin() -> None:
    figure = epochs_figure(
        [(group("a", 0.1, 0.6), quantiles(3, 0.5)), (group("b", 0.2, 0.9), quantiles(5, 0.6))]
    )
    traces = [trace for trace in figure.data if trace.xaxis == "x2"]
    wide, narrow, median = traces
    assert (wide.name, narrow.name, median.name) == ("10–90 %", "25–75 %", "median")
    assert list(wide.x) == [1, 2, 3, 4, 5, 5, 4, 3, 2, 1]
    assert list(wide.y) == pytest.approx([0.4] * 5 + [0.8] * 5)
    assert list(narrow.y) == pytest.approx([0.5] * 5 + [0.7] * 5)
    assert list(median.y) == [0.6] * 5 and list(median.customdata[0]) == ["b-0", "b-1"]
    assert not any(trace.showlegend for trace in traces)
    second = [shape for shape in figure.layout.shapes if shape.yref == "y2"]
    assert [(shape.type, shape.y0, shape.y1) for shape in second] == [
        ("rect", 0.2, 0.9),
        ("line", 0.2, 0.2),
        ("line", 0.9, 0.9),
    ]
    assert figure.layout.xaxis.range == (0.5, 5.5)
    assert (figure.layout.xaxis2.matches, figure.layout.yaxis2.matches) == ("x", "y")
    assert [note.text for note in figure.layout.annotations][:2] == ["a", "b"]
    take_snapshot(figure, "sweep")


def test_an_epoch_alone_is_a_point_and_one_without_numbers_left_out() -> None:
    table = quantiles(2, 0.5)
    table.loc[1, ["q10", "q25", "q50", "q75", "q90", "mean"]] = np.nan
    median = epochs_figure([(group("a"), table)]).data[2]
    assert median.mode == "markers" and list(median.x) == [1]


def test_the_table_behind_the_panels_names_group_and_margin() -> None:
    rows = epochs_frame([(group("a"), quantiles(1, 0.5)), (group("b", 0.2), quantiles(2, 0.5))])
    assert rows[["group", "lambda_l", "lambda_u", "epoch"]].to_numpy().tolist() == [
        ["a", 0.1, 0.8, 1],
        ["b", 0.2, 0.8, 1],
        ["b", 0.2, 0.8, 2],
    ]


def test_before_the_first_epoch_the_figure_says_so() -> None:
    figure = epochs_figure([(group("a"), quantiles(0, 0.5))])
    assert not figure.data and figure.layout.annotations[0].text


@pytest.mark.parametrize(
    ("count", "shape"), [(1, (1, 1)), (3, (1, 3)), (4, (2, 2)), (7, (3, 3)), (25, (5, 5))]
)
def test_panels_fill_their_rows_without_overlap(count: int, shape: tuple[int, int]) -> None:
    assert panel_shape(count) == shape
    panels = place_panels(count)
    assert len({(panel.x, panel.y) for panel in panels}) == count
    assert sum(panel.is_left for panel in panels) == shape[0]
    assert sum(panel.is_lowest for panel in panels) == min(count, shape[1])
    for one in panels:
        assert 0 <= one.x_domain[0] < one.x_domain[1] <= 1
        assert 0 <= one.y_domain[0] < one.y_domain[1] <= 1
        for other in panels:
            beside = one.x_domain[1] < other.x_domain[0] or other.x_domain[1] < one.x_domain[0]
            above = one.y_domain[0] > other.y_domain[1] or other.y_domain[0] > one.y_domain[1]
            assert one is other or beside or above
