"""A page with live charts, for the browser test; `streamlit run` shows it to a person too."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st

sys.path.insert(0, str(Path(__file__).parents[3]))

from app.components.live_chart import Download, live_chart

SECONDS_PER_POINT = 0.4


@st.cache_resource
def started_at() -> float:
    return time.time()


def loss_figure(points: int) -> go.Figure:
    steps = np.arange(points)
    figure = go.Figure()
    for name, decay in (("Generator", 0.01), ("Low-bit network", 0.02), ("Full precision", 0.04)):
        losses = np.exp(-decay * steps) + 0.05 * np.sin(steps * decay * 20)
        losses[steps % 37 == 36] = np.nan
        ids = [[f"{name}-{step}", int(step)] for step in steps]
        figure.add_scatter(x=steps, y=losses, name=name, customdata=ids, mode="lines+markers")
    figure.update_traces(marker_size=4)
    figure.update_layout(title="Losses", xaxis_title="Iteration", yaxis_title="Loss")
    figure.add_vline(x=10, line_dash="dot", annotation_text="end of warm-up")
    return figure


def heat_figure() -> go.Figure:
    cells = np.outer(np.sin(np.linspace(0, 3, 30)), np.cos(np.linspace(0, 6, 60)))
    cells[3:5, 10:14] = np.nan
    return go.Figure(go.Heatmap(z=cells))


@st.fragment(run_every=SECONDS_PER_POINT)
def live_panel() -> None:
    points = 120 + int((time.time() - started_at()) / SECONDS_PER_POINT)
    run = st.session_state.setdefault("run", 1)
    st.session_state["refreshes"] = st.session_state.get("refreshes", 0) + 1
    live_chart(
        loss_figure(points),
        key="losses",
        revision=f"run-{run}",
        alt="Losses of three networks over the iterations",
        on_click=st.session_state.setdefault("clicks", []).append,
    )
    left, right = st.columns(2)
    with left:
        live_chart(heat_figure(), key="still", revision=f"run-{run}", height=240, alt="A map")
    with right:
        live_chart(go.Figure(), key="empty", revision=f"run-{run}", height=240)
    st.json(
        {
            "points": points,
            "refreshes": st.session_state["refreshes"],
            "clicks": st.session_state["clicks"],
        }
    )


def charts() -> None:
    if st.button("Next run"):
        st.session_state["run"] += 1
    live_panel()


def cloud_figure(refreshes: int) -> go.Figure:
    """Ids 10 i + j at (i, j), and points without ids that grow in number beside them."""
    ids = [10 * i + j for i in range(5) for j in range(5)]
    x, y = np.divmod(np.array(ids), 10)
    figure = go.Figure()
    figure.add_scatter(x=x, y=y, customdata=ids, name="numbers", mode="markers")
    names = [f"name {number}" for number in ids]
    figure.add_scatter(x=x + 0.2, y=y, customdata=names, name="names", mode="markers")
    heights = np.arange(refreshes) / 1000
    figure.add_scatter(x=np.full(refreshes, 0.1), y=heights, name="growing", mode="markers")
    figure.update_traces(marker_size=10)
    figure.update_layout(xaxis_range=[-0.5, 4.5], yaxis_range=[-0.5, 4.5])
    return figure


def space_figure(refreshes: int) -> go.Figure:
    """A large point in the middle, and small ones that grow in number behind it."""
    figure = go.Figure()
    figure.add_scatter3d(x=[0], y=[0], z=[0], customdata=["middle"], mode="markers", marker_size=40)
    corner = np.full(refreshes, -1.0)
    figure.add_scatter3d(x=corner, y=corner, z=np.linspace(-1, 1, refreshes), mode="markers")
    axis = {"range": [-1, 1]}
    figure.update_layout(scene={"xaxis": axis, "yaxis": axis, "zaxis": axis}, showlegend=False)
    return figure


@st.fragment(run_every=SECONDS_PER_POINT)
def selection_panel() -> None:
    state = st.session_state
    state["refreshes"] = state.get("refreshes", 0) + 1
    revision = f"run-{state.get('run', 1)}"
    reports = state.setdefault("reports", {"selected": [], "clicked": [], "in_space": []})

    def note(name: str) -> Callable[[dict[str, Any]], None]:
        return lambda point: reports[name].append(point["customdata"])

    live_chart(
        cloud_figure(state["refreshes"]),
        key="cloud",
        revision=revision,
        title=f"Cloud of x<sub>1</sub> & <b>x</b>, run {state.get('run', 1)}",
        height=400,
        on_click=note("clicked"),
        on_select=reports["selected"].append,
    )
    live_chart(
        space_figure(state["refreshes"]),
        key="space",
        revision=revision,
        height=400,
        on_click=note("in_space"),
    )
    st.code(json.dumps(reports), language=None)


def selection() -> None:
    if st.button("Next run"):
        st.session_state["run"] = st.session_state.get("run", 1) + 1
    selection_panel()


@st.fragment(run_every=SECONDS_PER_POINT)
def far_panel() -> None:
    points = 120 + int((time.time() - started_at()) / SECONDS_PER_POINT)
    st.code(points, language=None)
    live_chart(loss_figure(points), key="near", revision="run-1")
    st.html("<div style='height: 2000px'></div>")
    live_chart(loss_figure(points), key="far", revision="run-1")


def far() -> None:
    far_panel()


def file_frame(points: int) -> pd.DataFrame:
    """Names with all that a CSV file has to quote."""
    steps = np.arange(points)
    names = [f'"run", part {step}\nλ' for step in steps]
    return pd.DataFrame({"step": steps, "top-1": 90 + steps / 7, "name": names})


@st.fragment(run_every=SECONDS_PER_POINT)
def files_panel() -> None:
    state = st.session_state
    state["refreshes"] = state.get("refreshes", 0) + 1

    def written() -> str:
        state["written"] = state.get("written", 0) + 1
        return file_frame(300).to_csv(index=False)

    figure = go.Figure(go.Scatter(x=np.arange(50), y=np.arange(50) ** 2, name="squares"))
    figure.update_layout(xaxis_title="Iteration", yaxis_title="Top-1, %", showlegend=True)
    for key, title, download in (
        ("asked", "A < B & λ<sub>l</sub>", Download("sweep-1", written)),
        ("ready", "", Download("sweep-2", file_frame(5).to_csv(index=False))),
        ("pictures", "", None),
    ):
        live_chart(figure, key=key, revision="run-1", title=title, height=260, download=download)
    st.code(f"{state['refreshes']} {state.get('written', 0)}", language=None)


def files() -> None:
    files_panel()


def elsewhere() -> None:
    st.write("Nothing here.")


st.set_page_config(layout="wide")
st.navigation(
    [
        st.Page(charts, title="Charts", default=True),
        st.Page(selection, title="Selection"),
        st.Page(far, title="Far"),
        st.Page(files, title="Files"),
        st.Page(elsewhere, title="Elsewhere"),
    ]
).run()
