"""The charts are pure: what a figure must say for given data."""

from __future__ import annotations

import numpy as np
import pytest

from app.charts.accuracy import accuracy_figure
from app.charts.embedding import embedding_figure
from app.charts.logits import logits_figure
from app.charts.margin import margin_figure
from app.charts.style import beside_lines, margin_marks


def test_margin_counts_every_sample_once_in_its_region() -> None:
    figure = margin_figure(np.array([0.0, 0.05, 0.1, 0.5, 0.8, 0.81, 1.0]), 0.1, 0.8)
    assert [trace.name for trace in figure.data] == ["under: 2", "inside: 3", "over: 2"]
    assert [int(sum(trace.y)) for trace in figure.data] == [2, 3, 2]
    # No bar reaches up to the boundaries' names.
    highest = max(map(sum, zip(*(trace.y for trace in figure.data), strict=True)))
    assert figure.layout.yaxis.autorangeoptions.include[0] > highest
    assert "under-fitting" in figure.layout.xaxis.title.text
    assert "over-fitting" in figure.layout.xaxis.title.text


def test_the_histogram_of_a_run_to_compare_with_is_an_outline_of_shares() -> None:
    shown, others = np.array([0.02, 0.12, 0.13, 0.97]), np.array([0.03, 0.96])
    *bars, outline = margin_figure(shown, 0.1, 0.8, ("GDFQ", others)).data
    # Half as many samples, so each counts for twice as much.
    assert [sum(bar.y) for bar in bars] == [25, 50, 25]
    assert outline.name == "GDFQ" and outline.line.dash == "dot"
    assert list(outline.x[1:-1]) == list(bars[0].x)
    assert list(outline.y[1:-1]) == [50, *[0] * 18, 50]
    figure = margin_figure(shown, 0.1, 0.8, ("GDFQ", others))
    assert figure.layout.yaxis.title.text == "samples (%)"
    assert figure.layout.yaxis.autorangeoptions.include[0] > 50


def test_the_histogram_waits_for_the_samples_of_the_other_run() -> None:
    *bars, outline = margin_figure(np.array([0.5]), 0.1, 0.8, ("GDFQ", np.array([]))).data
    assert sum(sum(bar.y) for bar in bars) == 100
    assert not any(outline.y)


@pytest.mark.parametrize(
    ("lower", "upper", "axis", "anchors", "drop"),
    [
        (0.1, 0.8, (-0.1, 1.1), ("right", "left"), 0),
        (0.1, 0.8, (0, 1), ("left", "left"), 0),
        (0.05, 0.95, (-0.1, 1.1), ("left", "right"), 0),
        (0.4, 0.5, (0, 1), ("right", "left"), 0),
        (0.05, 0.2, (0, 1), ("left", "left"), 15),
        (0.85, 0.95, (0, 1), ("right", "right"), 15),
    ],
)
def test_the_boundaries_names_stay_on_the_axis_and_apart(
    lower: float, upper: float, axis: tuple[float, float], anchors: tuple[str, str], drop: int
) -> None:
    marks = margin_marks(lower, upper, axis)
    names = marks["annotations"]
    assert tuple(name["xanchor"] for name in names) == anchors
    assert [name["yshift"] for name in names] == [0, -drop]
    for name, value in zip(names, (lower, upper), strict=True):
        # Moved off the line, to the side on which it stands.
        assert name["x"] == value and f"= {value}" in name["text"]
        assert (name["xshift"] < 0) == (name["xanchor"] == "right")
    assert [(shape["x0"], shape["x1"]) for shape in marks["shapes"]] == [
        (lower, upper),
        (lower, lower),
        (upper, upper),
    ]


def test_all_lines_of_a_run_to_compare_with_share_one_entry_of_the_legend() -> None:
    line = {"type": "scatter", "name": "mean", "line": {"color": "red", "width": 3}}
    entry, *others = beside_lines("GDFQ", [line, line | {"name": "inside"}], "grey")
    assert entry["name"] == "GDFQ" and entry["line"]["color"] == "grey"
    assert [other["name"] for other in others] == ["GDFQ: mean", "GDFQ: inside"]
    assert all(other["line"] == {"color": "red", "width": 1.2, "dash": "dot"} for other in others)
    assert [part.get("showlegend", True) for part in (entry, *others)] == [True, False, False]
    assert len({part["legendgroup"] for part in (entry, *others)}) == 1
    assert line["line"]["width"] == 3


def test_accuracy_draws_p_as_a_line_over_the_whole_run() -> None:
    figure = accuracy_figure([100, 150], [88.0, 90.0], 94.8, 1100, [(120, "lambda_l = 0.2")])
    p, q = figure.data
    assert list(p.x) == [0, 1100] and list(p.y) == [94.8, 94.8]
    assert list(q.y) == [88.0, 90.0]
    assert figure.layout.shapes[0].x0 == 120
    assert "lambda_l = 0.2" in figure.layout.annotations[0].hovertext


def test_charts_without_data_say_so_instead_of_showing_axes() -> None:
    for figure in (accuracy_figure([], [], None, 10, []), embedding_figure(None, None, ("a",))):
        assert not figure.data
        assert figure.layout.annotations[0].text
        assert figure.layout.xaxis.visible is False


def test_embedding_tells_real_and_synthetic_apart_by_marker() -> None:
    part = {"positions": np.zeros((2, 2), np.float32), "labels": np.array([0, 1])}
    real, synthetic = embedding_figure(part, part, ("a", "b")).data
    assert real.marker.symbol != synthetic.marker.symbol
    assert list(real.text) == ["a", "b"]
    assert list(real.marker.color) == list(synthetic.marker.color) == [0, 1]
    assert real.marker.colorscale == synthetic.marker.colorscale


def test_a_run_to_compare_with_is_drawn_into_the_same_chart() -> None:
    figure = accuracy_figure([6, 10], [80.0, 85.0], 94.0, 30, [], ("GDFQ", [6, 8], [79.0, 80.0]))
    (other,) = [trace for trace in figure.data if trace.name == "GDFQ"]
    assert list(other.x) == [6, 8] and list(other.y) == [79.0, 80.0]


def test_logits_are_shown_relative_to_their_mean_and_of_the_likeliest_classes() -> None:
    p, q = np.arange(40.0), np.arange(40.0)[::-1]
    figure = logits_figure(p[:3], q[:3], p[:3] + 5, ["a", "b", "c"])
    assert [trace.name for trace in figure.data] == ["P", "Q before", "Q after"]
    assert list(figure.data[0].x) == ["a", "b", "c"]
    assert list(figure.data[0].y) == list(figure.data[2].y) == [-1.0, 0.0, 1.0]
    many = logits_figure(p, q, q, [str(index) for index in range(40)])
    assert list(many.data[0].x) == [str(i) for i in (*range(10), *range(30, 40))]
