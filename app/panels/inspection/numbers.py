"""Numbers under the picture: how like real images the samples are, for P and for Q."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from adadfq_core.inspection.fidelity import Fidelity
from adadfq_core.inspection.replies import FidelityReply, LayersReply
from adadfq_core.inspection.requests import FidelityRequest, LayersRequest, SampleRange
from app.charts.layers import mismatch_figure, ranges_figure
from app.components.live_chart import live_chart
from app.glossary import glossary_link
from app.markdown import plain
from app.panels.inspection.service import when_answered
from app.panels.inspection.state import Inspected, chosen_network

MOST_SAMPLES = 1000
# Entries of the glossary on the numbers of the table.
EXPLAINED = ("frechet", "density", "coverage", "precision", "recall")
# In pixels: of a chart without a row, and of a title.
EMPTY_HEIGHT = 400
TITLE_HEIGHT = 28


def numbers_panel(held: Inspected, first: int, last: int) -> None:
    """Draw all numbers for the samples of iterations `first` to `last`."""
    about = "Whose penultimate layer tells how alike two images are."
    moment = chosen_network(st.container(), held, "numbers_network", about)
    samples = SampleRange(first, last, MOST_SAMPLES)
    st.caption(
        f"Up to {MOST_SAMPLES:,} samples of iterations {first} to {last}, evenly spread; the "
        "sidebar's range of iterations chooses them, its other filters do not."
    )
    when_answered(
        FidelityRequest(held.root, held.info.run_id, samples, moment),
        "fidelity",
        FidelityReply,
        lambda reply: _fidelity_view(reply, held.classes),
    )
    when_answered(
        LayersRequest(held.root, held.info.run_id, samples, held.newest_checkpoint),
        "layers",
        LayersReply,
        lambda reply: _layers_view(reply, held.info.run_id),
    )


def summary_table(found: Fidelity) -> pd.DataFrame:
    """The numbers over all classes, each with what it says."""
    near = found.neighbourhoods
    expected = near.expected_coverage
    aim = "" if expected is None else f"; {expected:.2f} expected of equal distributions"
    rows = (
        ("Fréchet distance of features", found.frechet, "0 for equal means and covariances"),
        ("density", near.density, "around 1 for equal distributions"),
        ("coverage", near.coverage, f"share of real neighbourhoods that are reached{aim}"),
        ("precision", near.precision, "share of samples near a real image"),
        ("recall", near.recall, "share of real images near a sample"),
    )
    return pd.DataFrame(
        [(name, "–" if value is None else f"{value:.3f}", about) for name, value, about in rows],
        columns=["number", "value", "what it says"],
    )


def classes_table(found: Fidelity, classes: Sequence[str]) -> pd.DataFrame:
    """Mean and spread of each class' features, synthetic against real."""
    return pd.DataFrame(
        {
            "class": [classes[row.label] for row in found.classes],
            "synthetic": [row.synthetic for row in found.classes],
            "real": [row.real for row in found.classes],
            "shift (real spreads)": [row.shift for row in found.classes],
            "spread ÷ real": [row.spread_ratio for row in found.classes],
            "note": [row.reason for row in found.classes],
        }
    )


def _fidelity_view(reply: FidelityReply, classes: Sequence[str]) -> None:
    found = reply.fidelity
    st.markdown(f"## {found.synthetic:,} samples against {found.real:,} real images")
    left, right = st.columns([4, 5])
    left.dataframe(summary_table(found), hide_index=True, width="stretch")
    right.dataframe(
        classes_table(found, classes),
        hide_index=True,
        width="stretch",
        column_config={
            name: st.column_config.NumberColumn(format="%.2f")
            for name in ("shift (real spreads)", "spread ÷ real")
        },
    )
    st.caption(" · ".join(map(glossary_link, EXPLAINED)))
    for note in (*found.notes, *reply.notices):
        st.caption(plain(note))


def _layers_view(reply: LayersReply, run_id: str) -> None:
    for notice in reply.notices:
        st.caption(plain(notice))
    left, right = st.columns(2)
    if reply.synthetic is not None:
        with left:
            _tall_chart(
                mismatch_figure(reply.synthetic, reply.real),
                "mismatch",
                run_id,
                "BatchNorm statistics: which layer the generator fails",
                "L_BNS layer by layer",
            )
    if reply.sites is not None:
        with right:
            _tall_chart(
                ranges_figure(reply.sites),
                "ranges",
                run_id,
                f"Activation ranges, in Q of iteration {reply.checkpoint}",
                "Activation ranges layer by layer",
            )


def _tall_chart(figure: go.Figure, key: str, run_id: str, title: str, alt: str) -> None:
    """A chart that is as high as its rows, which the figure knows, need."""
    height = int(figure.layout.height or EMPTY_HEIGHT) + TITLE_HEIGHT
    live_chart(figure, key=key, revision=run_id, title=title, height=height, alt=alt)
