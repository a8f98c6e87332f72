from __future__ import annotations

import plotly.graph_objects as go
import pytest

from app.charts.game_value import POINTS, game_value_figure, half_moves
from app.charts.style import G_COLOUR, Q_COLOUR

VALUES = [
    (2, {"before": 0.41, "after_g": 0.43}),
    (4, {"before": 0.5, "after_g": 0.4, "after_q": 0.7}),
    (6, {"before": 0.6, "after_g": 0.6, "after_q": 0.55}),
    (8, {"before": 0.3, "after_q": 0.35}),
]


def figure(**changes: object) -> go.Figure:
    given = {
        "steps_iterations": [1, 2, 3, 4, 5, 6, 7, 8],
        "h_prime_mean": [0.4, 0.41, 0.45, 0.5, 0.55, 0.6, 0.4, 0.3],
        "values": VALUES,
        "total": 10,
        "changes": [],
    }
    return game_value_figure(**{**given, **changes})


def test_each_move_starts_from_what_the_move_before_left() -> None:
    moves_g, moves_q = half_moves(VALUES)
    assert moves_g == [(1.5, 0.41, 0.43), (3.5, 0.5, 0.4), (5.5, 0.6, 0.6)]
    assert moves_q == [(4, 0.4, 0.7), (6, 0.6, 0.55), (8, 0.3, 0.35)]
    assert half_moves([(1, {"before": 0.3})]) == ([], [])


def test_the_marks_tell_who_pulled_where() -> None:
    _, _, g, q = figure().data
    assert (g.name, g.marker.color) == ("G's move", G_COLOUR)
    assert (list(g.x), list(g.y)) == ([1.5, 3.5, 5.5], [0.43, 0.4, 0.6])
    assert list(g.marker.symbol) == ["triangle-up", "triangle-down", "circle"]
    assert g.text[0] == "G's move in iteration 2: 0.410 → 0.430 (+0.020)"
    assert (q.name, q.marker.color) == ("Q's move", Q_COLOUR)
    assert (list(q.x), list(q.y)) == ([4, 6, 8], [0.7, 0.55, 0.35])
    assert list(q.marker.symbol) == ["triangle-up", "triangle-down", "triangle-up"]
    assert q.text[1] == "Q's move in iteration 6: 0.600 → 0.550 (-0.050)"


def test_segments_lead_from_mark_to_mark() -> None:
    _, segments, *_ = figure(values=VALUES[1:2]).data
    assert list(segments.x) == [3, 3.5, None, 3.5, 4, None]
    assert list(segments.y) == [0.5, 0.4, None, 0.4, 0.7, None]


def test_the_line_stands_where_an_iteration_begins_and_meets_its_segment() -> None:
    line, segments, *_ = figure(values=VALUES[1:2]).data
    assert list(line.x) == [0, 1, 2, 3, 4, 5, 6, 7]
    assert line.opacity < 0.5 and list(line.customdata) == [1, 2, 3, 4, 5, 6, 7, 8]
    assert dict(zip(line.x, line.y, strict=True))[segments.x[0]] == segments.y[0]


def test_a_long_line_is_thinned_and_marks_are_not() -> None:
    count = 20_000
    long = figure(
        steps_iterations=range(1, count + 1),
        h_prime_mean=[0.5 + 0.1 * (i % 7 == 0) for i in range(count)],
        values=[(i, {"before": 0.5, "after_g": 0.6}) for i in range(50, count, 50)],
        total=count,
    )
    assert len(long.data[0].x) <= 2 * POINTS
    assert len(long.data[2].x) == count // 50 - 1


def test_both_ends_are_named_and_changes_marked() -> None:
    drawn = figure(changes=[(5, "beta = 2")])
    texts = [annotation.text for annotation in drawn.layout.annotations]
    assert any("1: agreement" in text for text in texts)
    assert any("0: strong disagreement" in text for text in texts)
    assert any(a.hovertext == "iteration 5: beta = 2" for a in drawn.layout.annotations)
    assert drawn.layout.xaxis.range == (0, 10) and drawn.layout.yaxis.range == (0, 1)


@pytest.mark.parametrize("values", [[], [(1, {"before": 0.4})]])
def test_without_moves_the_line_is_alone(values: list[tuple[int, dict[str, float]]]) -> None:
    line, *others = figure(values=values).data
    assert len(line.x) == 8 and all(not len(trace.x) for trace in others)


def test_before_the_first_iteration_it_says_so() -> None:
    empty = figure(steps_iterations=[], h_prime_mean=[], values=[])
    assert not empty.data and "first iteration" in empty.layout.annotations[0].text
