"""Runs with different margins over their iterations: how much P and Q agree, and how good Q is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from app.charts.style import OVER_COLOUR, P_COLOUR, Q_COLOUR, UNDER_COLOUR, Part, layout

# Of the recorded margins (`lessons.recorded.MARGINS`).
MARGIN_COLOURS = {"disagreement": UNDER_COLOUR, "paper": Q_COLOUR, "agreement": OVER_COLOUR}
LOOKS = (("solid", "circle"), ("dash", "diamond"), ("dot", "square"))


@dataclass(frozen=True)
class Course:
    """One run's line: its name, colour, and a value at each of some iterations."""

    name: str
    colour: str
    points: Sequence[tuple[int, float]]


def h_prime_course(courses: Sequence[Course], warmup: int) -> go.Figure:
    """Mean H' of up to three runs' samples; Q starts to learn after `warmup` iterations."""
    return go.Figure(
        [_line(place, course, "%{y:.2f}") for place, course in enumerate(courses)],
        layout(
            "iteration",
            "mean H' (1: agree)",
            xaxis=_iterations(courses),
            yaxis={"range": [-0.03, 1.03]},
            shapes=[_learning_begins(warmup)],
        ),
    )


def accuracy_course(courses: Sequence[Course], top1_p: float, warmup: int) -> go.Figure:
    """Top-1 of Q in percent of up to three runs from the end of the warm-up on, and P's."""
    axis = _iterations(courses)
    lines = [
        _line(place, course, "%{y:.2f} %", markers=True) for place, course in enumerate(courses)
    ]
    p_line = {
        "type": "scatter",
        "x": axis["range"],
        "y": [top1_p, top1_p],
        "mode": "lines",
        "name": "P",
        "line": {"color": P_COLOUR, "width": 1},
        "hovertemplate": "P: %{y:.2f} %<extra></extra>",
    }
    return go.Figure(
        [*lines, p_line],
        layout(
            "iteration",
            "top-1 of Q (%)",
            xaxis=axis,
            shapes=[_learning_begins(warmup)],
        ),
    )


def _iterations(courses: Sequence[Course]) -> Part:
    """From 0, with room for the last mark: one moment stands at one place in both charts."""
    last = max(iteration for course in courses for iteration, _ in course.points)
    return {"range": [0, last * 1.02]}


def _learning_begins(warmup: int) -> Part:
    return {
        "type": "line",
        "x0": warmup,
        "x1": warmup,
        "yref": "paper",
        "y0": 0,
        "y1": 1,
        "line": {"width": 1, "dash": "dot", "color": P_COLOUR},
        "label": {
            "text": "Q starts to learn ",
            "textposition": "start",
            "textangle": 0,
            "xanchor": "right",
        },
    }


def _line(place: int, course: Course, value: str, *, markers: bool = False) -> Part:
    dash, symbol = LOOKS[place]
    x, y = zip(*course.points, strict=True)
    return {
        "type": "scatter",
        "x": x,
        "y": y,
        "mode": "lines+markers" if markers else "lines",
        "name": course.name,
        "line": {"color": course.colour, "dash": dash, "width": 2.5},
        "marker": {"symbol": symbol, "size": 8},
        "hovertemplate": f"{course.name}, iteration %{{x}}: {value}<extra></extra>",
    }
