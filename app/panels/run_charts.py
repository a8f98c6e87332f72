"""The charts of a run, each with its heading."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from app.charts.accuracy import accuracy_figure
from app.charts.embedding import embedding_figure
from app.charts.game_value import game_value_figure
from app.charts.h_prime_bands import HPrimeBins, bands_columns, h_prime_bands_figure
from app.charts.margin import bar_ends, margin_figure
from app.charts.margin_picture import margin_picture
from app.charts.style import mark_moment
from app.charts.terms import (
    WEIGHTS,
    Beside,
    gradient_norms_figure,
    learning_rates_figure,
    loss_q_figure,
    terms_figure,
)
from app.components.live_chart import Download, live_chart
from app.markdown import plain
from app.run_figures import (
    accuracy_title,
    h_prime_bins,
    in_force,
    plays_gdfq,
    pushes,
    terms_of,
)
from app.run_view import Frame, RunView
from app.sample_ids import sample_id

Columns = Mapping[str, Any]
"""Columns of one length, by their names."""


def _taken_away(view: RunView, what: str, columns: Callable[[], Columns]) -> Download:
    """The files of a chart; its `columns` are made only when the CSV is asked for."""
    return Download(
        f"{view.run_id}-{what}", lambda: pd.DataFrame(dict(columns())).to_csv(index=False)
    )


def accuracy_panel(view: RunView, frame: Frame, beside: RunView | None) -> None:
    """Q's accuracy against P's, and that of the run to compare with."""
    title = accuracy_title(view.network["data"])
    if view.network["data"] is None:
        st.markdown(f"## {title}")
        return
    iterations, top1_q = view.top1_q()
    figure = accuracy_figure(
        iterations,
        top1_q,
        view.summary().top1_p,
        view.info.settings.iterations,
        view.changes,
        beside and (beside.info.preset, *beside.top1_q()),
    )
    download = _taken_away(view, "accuracy", lambda: {"iteration": iterations, "top1_q": top1_q})
    _over_iterations(view, frame, figure, "accuracy", title, 408, "Top-1 of Q against P", download)


def _over_iterations(
    view: RunView,
    frame: Frame,
    figure: go.Figure,
    key: str,
    title: str,
    height: int,
    alt: str,
    download: Download,
) -> None:
    """A chart over the run's iterations, with the moment marked that is looked at."""
    mark_moment(figure, frame.past)
    live_chart(
        figure,
        key=key,
        revision=view.run_id,
        title=title,
        height=height,
        alt=alt,
        download=download,
    )


def margin_panel(
    view: RunView, frame: Frame, classes: Sequence[str], on_click: Callable[[int], object]
) -> None:
    """The samples of the moment's sheet on the H' axis, within the margin in force.

    `on_click` takes the number (`sample_ids`) of one that was clicked.
    """
    if frame.images is None:
        return
    settings = frame.settings
    samples = {**frame.images, "push": pushes(frame.images, settings)}
    first = sample_id(frame.images_iteration, 0)
    figure = margin_picture(samples, settings.lambda_l, settings.lambda_u, classes, first)
    live_chart(
        figure,
        key="margin_picture",
        revision=view.run_id,
        title=f"The margin: samples of iteration {frame.images_iteration}, click one to inspect it",
        height=408,
        alt="Samples on the H' axis between the boundaries of the margin",
        on_click=lambda point: on_click(point["customdata"]),
        download=_taken_away(
            view, "margin", lambda: {name: samples[name] for name in ("labels", "h_prime", "push")}
        ),
    )


def value_panel(view: RunView, frame: Frame) -> None:
    """The game's value over the run with the half moves that were measured."""
    figure = game_value_figure(
        view.steps["iteration"],
        view.steps["h_prime_mean"],
        view.values,
        view.info.settings.iterations,
        view.changes,
    )
    title = "The game's value and who pulls it where"
    download = _taken_away(view, "value", lambda: _measured_values(view))
    alt = "The game's value over the run"
    _over_iterations(view, frame, figure, "game_value", title, 388, alt, download)


def _measured_values(view: RunView) -> Columns:
    """The game's value around the half moves that were measured; NaN where one was not made."""
    columns = {"iteration": [iteration for iteration, _ in view.values]}
    for name in ("before", "after_g", "after_q"):
        columns[name] = [value.get(name, np.nan) for _, value in view.values]
    return columns


def histogram_panel(
    view: RunView,
    frame: Frame,
    beside: RunView | None,
    on_click: Callable[[tuple[float, float]], object],
) -> None:
    """Distribution of H' of the moment's latest samples, and of the run to compare with.

    `on_click` takes the ends of a bar that was clicked.
    """
    figure = margin_figure(
        frame.h_prime,
        frame.settings.lambda_l,
        frame.settings.lambda_u,
        beside and (beside.info.preset, beside.recent_h_prime(frame.past)),
    )
    live_chart(
        figure,
        key="margin",
        revision=view.run_id,
        title=f"H' of the latest {len(frame.h_prime)} samples",
        height=348,
        alt="Histogram of H' with margin",
        on_click=lambda bar: on_click(bar_ends(bar["x"])),
        download=_taken_away(view, "h-prime", lambda: {"h_prime": frame.h_prime}),
    )


def bands_panel(view: RunView, frame: Frame, beside: RunView | None) -> None:
    """Mean and quantiles of H' over the run, and the share of samples inside the margin."""
    bins = _bins(view)
    figure = h_prime_bands_figure(
        bins,
        view.info.settings.iterations,
        view.changes,
        beside and (beside.info.preset, _bins(beside)),
    )
    download = _taken_away(view, "bands", lambda: bands_columns(bins))
    _over_iterations(view, frame, figure, "bands", "H' over the run", 388, "Bands of H'", download)


def _bins(view: RunView) -> HPrimeBins:
    """H' of the run so far in bins; the view keeps them for the next time."""
    view.bins = h_prime_bins(view, view.bins)
    return view.bins


def terms_panel(view: RunView, beside: RunView | None) -> None:
    """The terms of G's loss, with their weights or without, and of the run to compare with."""
    st.markdown("## The generator's loss and its terms")
    if not view.info.settings.has_generator:
        st.caption("This run has no generator: real images are in its place.")
        return
    weighted = st.toggle(
        "with their weights",
        key="terms_weighted",
        help="Each term as it counts in L_G, times β, α and γ; else as it is.",
    )
    other = beside and Beside(beside.info.preset, terms_of(beside), _weights(beside, weighted))
    figure = terms_figure(terms_of(view), view.changes, _weights(view, weighted), other)
    live_chart(
        figure,
        key="losses",
        revision=view.run_id,
        alt="Losses over iterations",
        download=_taken_away(view, "losses", lambda: terms_of(view)),
    )
    _tell_of_other_losses(view, beside)


def _weights(view: RunView, weighted: bool) -> dict[str, np.ndarray] | None:
    return in_force(view, WEIGHTS) if weighted else None


def _tell_of_other_losses(view: RunView, beside: RunView | None) -> None:
    """Say so where the compared runs minimise different functions."""
    if beside is not None and plays_gdfq(beside) != plays_gdfq(view):
        st.caption(
            f"{plain(beside.info.preset)} minimises other losses: compare how they run, not how "
            "high."
        )


def players_panel(view: RunView, beside: RunView | None) -> None:
    """Q's loss, both players' gradients and learning rates, and of the run to compare with."""
    other = beside and Beside(beside.info.preset, beside.steps)
    left, middle, right = st.columns(3)
    loss_of_q = partial(loss_q_figure, test=view.test_loss())
    for column, title, make, key in (
        (left, "Q's loss", loss_of_q, "loss_q"),
        (middle, "Gradient norms", gradient_norms_figure, "gradients"),
        (right, "Learning rates", learning_rates_figure, "learning_rates"),
    ):
        with column:
            figure = make(view.steps, view.changes, other)
            live_chart(
                figure,
                key=key,
                revision=view.run_id,
                title=title,
                height=288,
                alt=title,
                download=_taken_away(view, "steps", lambda: view.steps),
            )
    _tell_of_other_losses(view, beside)


def map_panel(view: RunView, frame: Frame, classes: Sequence[str]) -> None:
    """Synthetic features among real ones."""
    # A new map comes once in a hundred iterations or so, and its thousands of colours are slow.
    if view.map_figure is None or not _same_map(view.map_figure[0], frame):
        drawn = embedding_figure(
            frame.real,
            frame.synthetic,
            classes,
            expected=view.info.settings.embed_every > 0,
        )
        view.map_figure = (frame, drawn)
    figure = view.map_figure[1]
    live_chart(
        figure,
        key="embedding",
        revision=view.run_id,
        title="UMAP of P's features: synthetic against real",
        height=388,
        alt="UMAP of features",
        download=_taken_away(view, "map", lambda: _map_columns(frame, classes)),
    )


def _map_columns(frame: Frame, classes: Sequence[str]) -> Columns:
    """Every point of the map, real ones first."""
    parts = [
        (name, part)
        for name, part in (("real", frame.real), ("synthetic", frame.synthetic))
        if part is not None
    ]
    positions = [part["positions"] for _, part in parts] or [np.zeros((0, 2))]
    labels = [part["labels"] for _, part in parts] or [np.zeros(0, dtype=np.int64)]
    x, y = np.concatenate(positions).T
    return {
        "source": [name for name, part in parts for _ in part["labels"]],
        "class": np.array(classes)[np.concatenate(labels)],
        "x": x,
        "y": y,
    }


def _same_map(one: Frame, other: Frame) -> bool:
    return one.real is other.real and one.synthetic is other.synthetic
