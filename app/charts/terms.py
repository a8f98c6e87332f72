"""What both players minimise over the run, how hard they are pulled and how far they step."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

import numpy as np
import plotly.graph_objects as go

from app.charts.style import (
    BNS_COLOUR,
    G_COLOUR,
    OVER_COLOUR,
    Q_COLOUR,
    UNDER_COLOUR,
    layout,
    mark_changes,
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
    steps: Steps, changes: Changes, weights: Mapping[str, np.ndarray] | None = None
) -> go.Figure:
    """The terms of `L_G` and their sum on a logarithmic axis; zero and NaN are gaps.

    `steps` has "iteration" and those of `TERMS` that are to be drawn. With `weights` (of
    `weights_over_run`) each term is multiplied by its own, and `L_G` is the sum of the others;
    without, terms are drawn as they are.
    """
    figure = _over_iterations("loss (nats, log scale)", log=True)
    for name, (symbol, colour, factors, factor_symbol) in TERMS.items():
        if name not in steps:
            continue
        values = np.asarray(steps[name], dtype=np.float64)
        if weights is not None:
            symbol = factor_symbol + symbol
            for factor in factors:
                values = values * weights[factor]
        _add_line(figure, steps["iteration"], values, symbol, colour, log=True)
    # Drawn first and wider, the sum stays in sight behind a term that makes up all of it.
    figure.update_traces(line_width=2.5, selector={"name": TERMS["loss_g"][0]})
    mark_changes(figure, changes)
    return figure


def loss_q_figure(steps: Steps, changes: Changes) -> go.Figure:
    """`L_Q`, which has a figure of its own: it is negative, of the order of `-T^2 log C`."""
    figure = _over_iterations("L<sub>Q</sub> (nats)", log=False)
    _add_line(figure, steps["iteration"], steps["loss_q"], "L<sub>Q</sub>", Q_COLOUR, log=False)
    mark_changes(figure, changes)
    return figure


def gradient_norms_figure(steps: Steps, changes: Changes) -> go.Figure:
    """Norms of both players' gradients, "grad_norm_g" and "grad_norm_q", on a logarithmic axis.

    Q has none during the warm-up: 0 or NaN there is a gap.
    """
    return _players_figure(
        steps, changes, ("grad_norm_g", "grad_norm_q"), "gradient norm (log scale)"
    )


def learning_rates_figure(steps: Steps, changes: Changes) -> go.Figure:
    """Both players' learning rates, "lr_g" and "lr_q", on a logarithmic axis; 0 is a gap."""
    figure = _players_figure(
        steps, changes, ("lr_g", "lr_q"), "learning rate (per iteration, log scale)"
    )
    # A rate holds until the next one; of a jump thinning keeps the first point after it.
    figure.update_traces(line_shape="hv")
    return figure


def _players_figure(
    steps: Steps, changes: Changes, names: tuple[str, str], title: str
) -> go.Figure:
    figure = _over_iterations(title, log=True)
    for name, player, colour in zip(names, ("G", "Q"), (G_COLOUR, Q_COLOUR), strict=True):
        _add_line(figure, steps["iteration"], steps[name], player, colour, log=True)
    mark_changes(figure, changes)
    return figure


def _over_iterations(title: str, *, log: bool) -> go.Figure:
    figure = go.Figure(layout=layout("iteration", title, hovermode="x unified"))
    if log:
        figure.update_yaxes(type="log", dtick=1, exponentformat="power")
    return figure


def _add_line(
    figure: go.Figure,
    iterations: Sequence[float] | np.ndarray,
    values: Sequence[float] | np.ndarray,
    name: str,
    colour: str,
    *,
    log: bool,
) -> None:
    drawn = np.asarray(values, dtype=np.float64)
    if log:
        # A logarithm has no place for 0: such points are gaps.
        drawn = np.where(drawn > 0, drawn, np.nan)
    x, y = thin(iterations, drawn, POINTS)
    figure.add_scatter(
        x=x,
        y=y,
        mode="lines",
        name=name,
        line={"color": colour, "width": 1.5},
        hovertemplate="%{y:.4g}",
    )
