"""The value of the game over the run, with the half moves that pull at it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go

from app.charts.style import (
    G_COLOUR,
    H_PRIME_COLOUR,
    P_COLOUR,
    Q_COLOUR,
    Part,
    change_marks,
    h_prime_ends,
    layout,
    say_empty,
)
from app.charts.thinning import thin

# A chart is at most some hundred pixels wide.
POINTS = 800
# How long before an iteration's end G's half move is drawn; Q's ends it.
HALF = 0.5
MARK_SIZE = 9
# Marks for a value that a move lowered, left as it was, raised.
LOWERED, SAME, RAISED = "triangle-down", "circle", "triangle-up"

Move = tuple[float, float, float]
"""Where on the iteration axis a half move is drawn, and the value before and after it."""


def half_moves(
    values: Sequence[tuple[int, Mapping[str, float]]],
) -> tuple[list[Move], list[Move]]:
    """G's moves and Q's among measured iterations, each with the value that it found.

    Args:
        values: iterations with their records of kind `value`: "before", and "after_g" and
            "after_q" unless that player had no move.
    """
    moves_g: list[Move] = []
    moves_q: list[Move] = []
    for iteration, value in values:
        found = value["before"]
        if "after_g" in value:
            moves_g.append((iteration - HALF, found, value["after_g"]))
            found = value["after_g"]
        if "after_q" in value:
            moves_q.append((iteration, found, value["after_q"]))
    return moves_g, moves_q


def game_value_figure(
    steps_iterations: Sequence[int] | np.ndarray,
    h_prime_mean: Sequence[float] | np.ndarray,
    values: Sequence[tuple[int, Mapping[str, float]]],
    total: int,
    changes: list[tuple[int, str]],
) -> go.Figure:
    """`H(theta_g, theta_q)`, the mean H' of what G makes, over `total` iterations.

    The faint line is what both players see before they move in each iteration, so it stands where
    the iteration begins. From there a measured iteration i goes on to the value after G's move, at
    i - 0.5, and after Q's, at i; a triangle points to where its player pulled.

    In theory Q, which minimises `L_Q` (Qian et al., CVPR 2023), pulls to 1, agreement, and G pulls
    into the margin. Of single moves that is true only in tendency: with the interactive preset Q
    lowered `L_Q` on the same images by three of four moves, but raised H' by little more than
    half of them, for where the batch's lowest entropy, from which H' is measured, rises with the
    others, H' falls.

    Args:
        steps_iterations, h_prime_mean: `(n,)`, every iteration played, and its mean H' within
            [0, 1].
        values: see `half_moves`.
        changes: iterations and texts of changed settings.
    """
    if not len(steps_iterations):
        figure = go.Figure(layout=layout("iteration", "mean H'"))
        say_empty(figure, "drawn from the first iteration on")
        return figure
    moves_g, moves_q = half_moves(values)
    marks = change_marks(changes)
    return go.Figure(
        [
            _line(*thin(steps_iterations, h_prime_mean, POINTS)),
            _segments([*moves_g, *moves_q]),
            _marks("G", moves_g, G_COLOUR),
            _marks("Q", moves_q, Q_COLOUR),
        ],
        layout(
            "iteration",
            "mean H'",
            xaxis={"range": [0, total]},
            yaxis={"range": [0, 1]},
            hovermode="closest",
            shapes=marks["shapes"],
            annotations=[*h_prime_ends((1, "top"), (0, "bottom")), *marks["annotations"]],
        ),
    )


def _line(iterations: np.ndarray, means: np.ndarray) -> Part:
    return {
        "type": "scatter",
        "x": iterations - 1,
        "y": means,
        "customdata": iterations,
        "mode": "lines",
        "name": "what both players see",
        "opacity": 0.35,
        "line": {"color": H_PRIME_COLOUR, "width": 1.5},
        "hovertemplate": "before iteration %{customdata}: %{y:.3f}<extra></extra>",
    }


def _segments(moves: Sequence[Move]) -> Part:
    # A gap after each segment keeps measured iterations apart.
    return {
        "type": "scatter",
        "x": [x for at, _, _ in moves for x in (at - HALF, at, None)],
        "y": [y for _, before, after in moves for y in (before, after, None)],
        "mode": "lines",
        "line": {"color": P_COLOUR, "width": 1},
        "showlegend": False,
        "hoverinfo": "skip",
    }


def _marks(player: str, moves: Sequence[Move], colour: str) -> Part:
    return {
        "type": "scatter",
        "x": [at for at, _, _ in moves],
        "y": [after for _, _, after in moves],
        "mode": "markers",
        "name": f"{player}'s move",
        "marker": {
            "color": colour,
            "size": MARK_SIZE,
            "symbol": [_symbol(before, after) for _, before, after in moves],
        },
        "text": [_told(player, move) for move in moves],
        "hovertemplate": "%{text}<extra></extra>",
    }


def _symbol(before: float, after: float) -> str:
    if after == before:
        return SAME
    return RAISED if after > before else LOWERED


def _told(player: str, move: Move) -> str:
    at, before, after = move
    return (
        f"{player}'s move in iteration {math.ceil(at)}: "
        f"{before:.3f} → {after:.3f} ({after - before:+.3f})"
    )
