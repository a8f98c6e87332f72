"""What both players minimise over the run, how hard they are pulled and how far they step."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import plotly.graph_objects as go

from app.charts.style import (
    BESIDE_COLOUR,
    BNS_COLOUR,
    G_COLOUR,
    OVER_COLOUR,
    P_COLOUR,
    Q_COLOUR,
    UNDER_COLOUR,
    Part,
    beside_lines,
    change_marks,
    layout,
)
from app.charts.thinning import thin

Steps: TypeAlias = Mapping[str, Sequence[float] | np.ndarray]
"""Of all iterations of a run, "iteration" and one value an iteration under each other name."""

Changes: TypeAlias = list[tuple[int, str]]

# A chart is at most some hundred pixels wide.
POINTS = 800

# Name of each term: its symbol, colour, factors and their symbol.
TERMS: dict[str, tuple[str, str, tuple[str, ...], str]] = {
    "loss_g": ("L<sub>G</sub>", G_COLOUR, (), ""),
    "loss_margin": ("L<sub>margin</sub>", Q_COLOUR, (), ""),
    "loss_ds": ("L<sub>ds</sub>", UNDER_COLOUR, ("beta", "alpha_ds"), "β·α<sub>ds</sub>·"),
    "loss_as": ("L<sub>as</sub>", OVER_COLOUR, ("beta", "alpha_as"), "β·α<sub>as</sub>·"),
    "loss_bns": ("L<sub>BNS</sub>", BNS_COLOUR, ("gamma",), "γ·"),
}

WEIGHTS = tuple(sorted({name for *_, factors, _ in TERMS.values() for name in factors}))
"""The settings that weigh the terms of `L_G`."""

Weights: TypeAlias = Mapping[str, np.ndarray]
"""`WEIGHTS` at all iterations of a run (see `in_force_over_run`)."""


@dataclass(frozen=True)
class Beside:
    """A run to compare with: its name, its steps and the weights that were in force in it."""

    name: str
    steps: Steps
    weights: Weights | None = None


def in_force_over_run(
    names: Iterable[str],
    iterations: Sequence[int] | np.ndarray,
    at_start: Mapping[str, float],
    changes: Iterable[tuple[int, Mapping[str, float]]],
) -> dict[str, np.ndarray]:
    """The values of the settings `names` that were in force at each of `iterations` `(n,)`.

    Args:
        at_start: the run's settings at its start.
        changes: in order, after how many iterations which settings got which values; other
            settings are passed over.

    Returns:
        `(n,)` for each name.
    """
    moments = np.asarray(iterations)
    values = {name: np.full(len(moments), float(at_start[name])) for name in names}
    for after, changed in changes:
        for name in values.keys() & changed.keys():
            values[name][moments > after] = changed[name]
    return values


def terms_figure(
    steps: Steps,
    changes: Changes,
    weights: Weights | None = None,
    beside: Beside | None = None,
) -> go.Figure:
    """The terms of `L_G` and their sum on a logarithmic axis; zero and NaN are gaps.

    `steps` has "iteration" and those of `TERMS` that are to be drawn; of `beside` the same ones are
    drawn, as far as it has them. With `weights` each term is multiplied by its own, and `L_G` is
    the sum of the others; without, terms are drawn as they are.
    """
    drawn = [name for name in TERMS if name in steps]
    lines = _term_lines(steps, drawn, weights)
    if beside is not None:
        others = _term_lines(beside.steps, drawn, beside.weights)
        lines += beside_lines(beside.name, others, P_COLOUR)
    return _over_iterations(lines, "loss (nats, log scale)", changes, log=True)


def loss_q_figure(
    steps: Steps,
    changes: Changes,
    beside: Beside | None = None,
    test: tuple[Sequence[int], Sequence[float]] = ((), ()),
) -> go.Figure:
    """`L_Q`, which has a figure of its own: it is negative, of the order of `-T^2 log C`.

    Args:
        test: iterations at which Q was measured, and its loss on real images.
    """
    name = "L<sub>Q</sub>"
    lines = [_line(steps["iteration"], steps["loss_q"], name, Q_COLOUR)]
    if len(test[0]):
        line = _line(*test, f"{name} of real images", Q_COLOUR)
        lines.append(line | {"mode": "lines+markers", "line": {"color": Q_COLOUR, "dash": "dot"}})
    if beside is not None:
        other = _line(beside.steps["iteration"], beside.steps["loss_q"], name, BESIDE_COLOUR)
        lines += beside_lines(beside.name, [other])
    return _over_iterations(lines, f"{name} (nats)", changes, log=False)


def gradient_norms_figure(
    steps: Steps, changes: Changes, beside: Beside | None = None
) -> go.Figure:
    """Norms of both players' gradients, "grad_norm_g" and "grad_norm_q", on a logarithmic axis.

    Q has none during the warm-up: 0 or NaN there is a gap.
    """
    return _players_figure(
        steps, changes, beside, ("grad_norm_g", "grad_norm_q"), "gradient norm (log scale)"
    )


def learning_rates_figure(
    steps: Steps, changes: Changes, beside: Beside | None = None
) -> go.Figure:
    """Both players' learning rates, "lr_g" and "lr_q", on a logarithmic axis; 0 is a gap."""
    title = "learning rate (per iteration, log scale)"
    # A rate holds until the next one; of a jump thinning keeps the first point after it.
    return _players_figure(steps, changes, beside, ("lr_g", "lr_q"), title, shape="hv")


def _players_figure(
    steps: Steps,
    changes: Changes,
    beside: Beside | None,
    names: tuple[str, str],
    title: str,
    shape: str = "linear",
) -> go.Figure:
    lines = _player_lines(steps, names, shape)
    if beside is not None:
        lines += beside_lines(beside.name, _player_lines(beside.steps, names, shape), P_COLOUR)
    return _over_iterations(lines, title, changes, log=True)


def _player_lines(steps: Steps, names: tuple[str, str], shape: str) -> list[Part]:
    return [
        _line(steps["iteration"], _positive(steps[name]), player, colour, shape=shape)
        for name, player, colour in zip(names, "GQ", (G_COLOUR, Q_COLOUR), strict=True)
    ]


def _term_lines(steps: Steps, names: Iterable[str], weights: Weights | None) -> list[Part]:
    lines = []
    for name in names:
        if name not in steps:
            continue
        symbol, colour, factors, factor_symbol = TERMS[name]
        values = np.asarray(steps[name], dtype=np.float64)
        if weights is not None:
            symbol = factor_symbol + symbol
            for factor in factors:
                values = values * weights[factor]
        # Drawn first and wider, the sum stays in sight behind a term that makes up all of it.
        width = 2.5 if name == "loss_g" else 1.5
        lines.append(_line(steps["iteration"], _positive(values), symbol, colour, width=width))
    return lines


def _positive(values: Sequence[float] | np.ndarray) -> np.ndarray:
    """`values` with gaps where a logarithm has no place for them."""
    numbers = np.asarray(values, dtype=np.float64)
    return np.where(numbers > 0, numbers, np.nan)


def _line(
    iterations: Sequence[float] | np.ndarray,
    values: Sequence[float] | np.ndarray,
    name: str,
    colour: str,
    *,
    width: float = 1.5,
    shape: str = "linear",
) -> Part:
    x, y = thin(iterations, values, POINTS)
    return {
        "type": "scatter",
        "x": x,
        "y": y,
        "mode": "lines",
        "name": name,
        "line": {"color": colour, "width": width, "shape": shape},
        "hovertemplate": "%{y:.4g}",
    }


def _over_iterations(lines: list[Part], title: str, changes: Changes, *, log: bool) -> go.Figure:
    yaxis = {"type": "log", "dtick": 1, "exponentformat": "power"} if log else {}
    return go.Figure(
        lines,
        layout("iteration", title, yaxis=yaxis, hovermode="x unified", **change_marks(changes)),
    )
