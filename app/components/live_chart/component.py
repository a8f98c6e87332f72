"""The Streamlit side of the live chart."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
import plotly.offline
import streamlit as st

from app.components import assets

from .delta import Channel, plan_update
from .snapshot import take_snapshot

_FRONTEND = Path(__file__).parent / "frontend"

# Without isolation: Plotly puts its style sheet into the page's head, which a shadow root cuts off.
_mount = st.components.v2.component(
    "adadfq_live_chart",
    js=assets.LOADER,
    css=(_FRONTEND / "live_chart.css").read_text(encoding="utf-8"),
    isolate_styles=False,
)


@dataclass(frozen=True)
class Download:
    """What the reader may take away of a chart beside its picture.

    Attributes:
        name: Of all its files, without an ending.
        csv: The numbers behind the chart, or a function that writes them; it is called only in the
            run in which the reader asks for the file.
    """

    name: str
    csv: str | Callable[[], str]

    def text(self) -> str:
        """The content of the CSV file."""
        return self.csv if isinstance(self.csv, str) else self.csv()


def live_chart(
    figure: go.Figure,
    *,
    key: str,
    revision: str,
    title: str = "",
    height: int = 320,
    alt: str = "",
    on_click: Callable[[dict[str, Any]], object] | None = None,
    on_select: Callable[[list[Any]], object] | None = None,
    download: Download | None = None,
) -> None:
    """Draw `figure`, or bring the chart drawn under `key` up to date with it.

    Call it with the complete figure in every run, usually from a function under
    `st.fragment(run_every=...)`, at any place of the page but not inside `st.form` (forms hold
    back the message by which the browser asks for a repair).

    Args:
        figure: The complete figure. Colours that it leaves open, fonts and background come from
            Streamlit's theme and follow its changes; its template and its size are not used.
        key: Names the chart. One chart a key and session; like any widget key.
        revision: What the reader looks at, usually the run's id. While it stays, zoom, pan, a 3D
            camera, a selection's outline, traces hidden through the legend and an open hover
            survive every refresh. When it changes they start afresh, and no event tells so.
        title: A heading above the plot: plain text, in which `<sub>...</sub>` sets a subscript.
        height: In pixels, with the title. The width is the container's.
        alt: What the chart shows, for readers who do not see it.
        on_click: Called with a point that was clicked, before the run that this causes, of the
            fragment if the chart is in one. The point's keys: `curve_number`, `point_index` (a
            number, or [row, column] for pictures and heat maps), `customdata`, `x`, `y`.
        on_select: Lets the reader draw round points of a flat chart, or a box, and is called like
            `on_click` with the customdata of each point inside, over all traces; points without
            are left out. Empty when the outline was removed or holds no point. Points that a later
            refresh puts into the outline are not reported.
        download: Names the files of the chart's own buttons PNG and SVG (`None` names them after
            `key`), and adds the button CSV. Asking for a CSV file costs one run.
    """
    slot = f"_live_chart:{key}"
    # Streamlit forgets a component that was left out of a run; its node is gone by then as well,
    # so the complete figure goes out at once instead of after a question from the browser.
    sent: Channel | None = st.session_state.get(slot) if key in st.session_state else None
    channel, update = plan_update(
        sent, take_snapshot(figure, revision), new_base=secrets.token_hex(4)
    )
    asked: str | None = st.session_state.pop(_csv_slot(slot), None)
    _mount(
        key=key,
        height=height,
        data={
            "update": update,
            "title": title,
            "alt": alt,
            "name": key if download is None else download.name,
            "offers_csv": download is not None,
            # Sent in the run that was asked for it alone; the browser asks again if it got lost.
            "csv": None if download is None or asked is None else [asked, download.text()],
            "selectable": on_click is not None,
            "lasso": on_select is not None,
            "assets": assets.publish("live_chart", module=_module(), plotly=_plotly()),
        },
        on_resync_change=partial(_forget, slot),
        on_csv_wanted_change=partial(_note_csv, slot),
        on_clicked_change=partial(assets.tell, key, "clicked", on_click),
        on_selected_change=partial(assets.tell, key, "selected", on_select),
    )
    # Stored after sending: a run stopped in between then repeats data instead of skipping it.
    st.session_state[slot] = channel


def _forget(slot: str) -> None:
    st.session_state[slot] = None


def _csv_slot(slot: str) -> str:
    return f"{slot}:csv"


def _note_csv(slot: str) -> None:
    # A fresh name each time: Streamlit hands a message that repeats the last one to no script.
    st.session_state[_csv_slot(slot)] = secrets.token_hex(4)


@cache
def _module() -> assets.File:
    return (_FRONTEND / "live_chart.js").read_bytes(), assets.SCRIPT


@cache
def _plotly() -> assets.File:
    """Plotly's script out of the plotly wheel: it matches the figures that this wheel makes."""
    return plotly.offline.get_plotlyjs().encode(), assets.SCRIPT
