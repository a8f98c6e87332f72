"""The charts of a report, drawn from a run as it was read, each with words for who cannot see it.

Where a run has nothing to draw, a sentence stands in place of the chart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from app.charts.accuracy import accuracy_figure
from app.charts.embedding import embedding_figure
from app.charts.game_value import game_value_figure
from app.charts.h_prime_bands import h_prime_bands_figure
from app.charts.margin_picture import margin_picture
from app.charts.style import Part
from app.charts.terms import gradient_norms_figure, loss_q_figure, terms_figure
from app.run_figures import accuracy_title, h_prime_bins, pushes, terms_of
from app.run_view import Frame, RunView

_GREY = "rgba(128, 140, 148, 0.28)"
_AXIS: Part = {
    "automargin": True,
    "gridcolor": _GREY,
    "linecolor": _GREY,
    "tickcolor": _GREY,
    "title": {"standoff": 10},
    "zeroline": False,
}
# Both light and dark show through; the page's style sheet colours the texts.
_TEMPLATE: Part = {
    "layout": {
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": "system-ui, sans-serif", "size": 12},
        "xaxis": {**_AXIS, "showgrid": False, "showline": True, "ticks": "outside", "ticklen": 4},
        "yaxis": _AXIS,
        "legend": {"bgcolor": "rgba(0,0,0,0)"},
    }
}


@dataclass(frozen=True)
class Chart:
    """A figure with its heading, its height in pixels and what it shows in words."""

    key: str
    title: str
    figure: go.Figure
    height: int
    alt: str

    def json(self) -> str:
        """The figure in the report's look, as JSON that may stand inside a `<script>`."""
        figure = go.Figure(self.figure)
        figure.update_layout(template=_TEMPLATE, height=self.height)
        text: str = figure.to_json()
        return text


Drawn = Chart | str
"""A chart, or the sentence that stands in its place."""


def accuracy_chart(view: RunView) -> Drawn:
    """Q's accuracy against P's."""
    title = accuracy_title(view.network["data"])
    iterations, top1_q = view.top1_q()
    if view.network["data"] is None:
        return f"{title}."
    if not top1_q:
        return "Top-1 of Q was not measured yet: that is done first at the end of the warm-up."
    top1_p = view.summary().top1_p
    total = view.info.settings.iterations
    alt = f"Top-1 of Q: {top1_q[0]:.2f} % at first, {top1_q[-1]:.2f} % at the end"
    alt += "." if top1_p is None else f"; of P: {top1_p:.2f} %."
    figure = accuracy_figure(iterations, top1_q, top1_p, total, view.changes)
    return Chart("accuracy", title, figure, 340, alt)


def curves(view: RunView) -> list[Drawn]:
    """What the players did over the run's iterations."""
    if not view.has_points:
        return ["No iteration was played yet, so there are no curves."]
    return [
        _value_chart(view),
        _bands_chart(view),
        _terms_chart(view),
        Chart(
            "loss-q",
            "Q's loss",
            loss_q_figure(view.steps, view.changes, test=view.test_loss()),
            320,
            f"Q's loss over the run, {view.steps['loss_q'][-1]:.4g} nats at the end.",
        ),
        Chart(
            "gradients",
            "Gradient norms",
            gradient_norms_figure(view.steps, view.changes),
            320,
            "The norms of G's and Q's gradients over the run.",
        ),
    ]


def _value_chart(view: RunView) -> Chart:
    means = view.steps["h_prime_mean"]
    total = view.info.settings.iterations
    figure = game_value_figure(view.steps["iteration"], means, view.values, total, view.changes)
    alt = f"The mean H' over the run, from {means[0]:.2f} to {means[-1]:.2f}, with single moves."
    return Chart("value", "The game's value and who pulls it where", figure, 380, alt)


def _bands_chart(view: RunView) -> Chart:
    bins = h_prime_bins(view)
    figure = h_prime_bands_figure(bins, view.info.settings.iterations, view.changes)
    alt = "Mean and quantiles of H' over the run; inside the margin at the end: "
    alt += f"{100 * bins.inside[-1]:.0f} % of the samples."
    return Chart("bands", "H' over the run", figure, 400, alt)


def _terms_chart(view: RunView) -> Drawn:
    if not view.info.settings.has_generator:
        return "This run has no generator, and so no loss of one: real images are in its place."
    figure = terms_figure(terms_of(view), view.changes)
    alt = f"The generator's loss, {view.steps['loss_g'][-1]:.4g} nats at the end, and its terms."
    return Chart("terms", "The generator's loss and its terms", figure, 380, alt)


def margin_chart(frame: Frame, classes: Sequence[str]) -> Drawn:
    """The samples of the newest sheet on the H' axis."""
    if frame.images is None:
        return "No batch was stored, so there is no picture of the margin."
    low, high = frame.settings.lambda_l, frame.settings.lambda_u
    samples = {**frame.images, "push": pushes(frame.images, frame.settings)}
    figure = margin_picture(samples, low, high, classes)
    h_prime = frame.images["h_prime"]
    inside = int(((h_prime >= low) & (h_prime <= high)).sum())
    title = f"Samples of iteration {frame.images_iteration} on the H' axis"
    alt = f"{inside} of {len(h_prime)} samples lie inside the margin from {low:g} to {high:g}."
    return Chart("margin-picture", title, figure, 460, alt)


def map_chart(frame: Frame, classes: Sequence[str]) -> Drawn:
    """Synthetic features among real ones."""
    parts = [part for part in (frame.real, frame.synthetic) if part is not None]
    if not parts:
        return "This run made no map of features."
    figure = embedding_figure(frame.real, frame.synthetic, classes)
    # As SVG it needs no WebGL, which is missing on paper and on some machines.
    whole = figure.to_plotly_json()
    whole["data"] = [{**trace, "type": "scatter"} for trace in whole["data"]]
    # Marks of real features are too small to be seen in the legend.
    whole["layout"]["legend"]["itemsizing"] = "constant"
    count = sum(len(part["labels"]) for part in parts)
    title = "UMAP of P's features: synthetic against real"
    alt = f"{count} images as points, near each other where P sees them alike."
    return Chart("map", title, go.Figure(whole), 460, alt)
