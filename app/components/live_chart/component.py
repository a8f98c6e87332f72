"""The Streamlit side of the live chart."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from functools import partial
from typing import Any

import plotly.graph_objects as go
import streamlit as st

from . import assets
from .delta import Channel, plan_update
from .snapshot import take_snapshot

# Without isolation: Plotly puts its style sheet into the page's head, which a shadow root cuts off.
_mount = st.components.v2.component(
    "adadfq_live_chart",
    js=assets.read_frontend("loader.js"),
    css=assets.read_frontend("live_chart.css"),
    isolate_styles=False,
)


@dataclass(frozen=True)
class LiveChartResult:
    """What the reader did to the chart.

    `clicked` is set in the one run that a click causes and None in all others; keep it elsewhere
    to remember a selection. Its keys: `curve_number`, `point_index` (a number, or [row, column]
    for pictures and heat maps), `customdata`, `x`, `y`.
    """

    clicked: dict[str, Any] | None = None


def live_chart(
    figure: go.Figure,
    *,
    key: str,
    revision: str,
    height: int = 320,
    alt: str = "",
    selectable: bool = False,
) -> LiveChartResult:
    """Draw `figure`, or bring the chart drawn under `key` up to date with it.

    Call it with the complete figure in every run, usually from a function under
    `st.fragment(run_every=...)`, at any place of the page but not inside `st.form` (forms hold
    back the message by which the browser asks for a repair).

    Args:
        figure: The complete figure. Colours that it leaves open, fonts and background come from
            Streamlit's theme and follow its changes; its template and its size are not used.
        key: Names the chart. One chart a key and session; like any widget key.
        revision: What the reader looks at, usually the run's id. While it stays, zoom, pan, traces
            hidden through the legend and an open hover survive every refresh. When it changes they
            start afresh.
        height: In pixels. The width is the container's.
        alt: What the chart shows, for readers who do not see it.
        selectable: Report clicks on points. A click costs one run, of the fragment if the chart is
            in one.
    """
    slot = f"_live_chart:{key}"
    # Streamlit forgets a component that was left out of a run; its node is gone by then as well,
    # so the complete figure goes out at once instead of after a question from the browser.
    sent: Channel | None = st.session_state.get(slot) if key in st.session_state else None
    channel, update = plan_update(
        sent, take_snapshot(figure, revision), new_base=secrets.token_hex(4)
    )
    answer = _mount(
        key=key,
        height=height,
        data={
            "update": update,
            "alt": alt,
            "name": key,
            "selectable": selectable,
            "assets": assets.publish(),
        },
        on_resync_change=partial(_forget, slot),
        on_clicked_change=_ignore,
    )
    # Stored after sending: a run stopped in between then repeats data instead of skipping it.
    st.session_state[slot] = channel
    return LiveChartResult(clicked=answer.clicked if selectable else None)


def _forget(slot: str) -> None:
    st.session_state[slot] = None


def _ignore() -> None:
    """Streamlit reports only those events that have a callback."""
