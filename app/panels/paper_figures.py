"""The paper's figures as they come out here, each with what it says of the paper."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from adadfq_core.results.claims import CLAIMS, PAPERS_MARGIN
from app.charts.ablation.epochs import epochs_figure
from app.charts.ablation.losses import losses_figure
from app.charts.ablation.mirrored import mirrored_figure
from app.charts.ablation.panels import Group
from app.charts.ablation.surface import surface_figure
from app.components.live_chart import Download, live_chart
from app.markdown import plain
from app.panels.results import VERDICT_ICONS

HEIGHT = 440


def _losses(frame: pd.DataFrame) -> go.Figure:
    return losses_figure(
        [
            (Group(f"{method}, {bits} bits", 0, 1, ()), table)
            for (method, bits), table in frame.groupby(["method", "bits"], sort=False)
        ]
    )


def _h_prime(frame: pd.DataFrame) -> go.Figure:
    return epochs_figure(
        [
            (Group(str(name), table["lambda_l"].iloc[0], table["lambda_u"].iloc[0], ()), table)
            for name, table in frame.groupby("group", sort=False)
        ]
    )


def _histograms(frame: pd.DataFrame) -> go.Figure:
    return mirrored_figure(
        [
            (Group(str(name), *PAPERS_MARGIN, ()), table["h_prime"].to_numpy())
            for name, table in frame.groupby("group", sort=False)
        ]
    )


def _surface(frame: pd.DataFrame) -> go.Figure:
    return surface_figure(frame, "lambda_l", "lambda_u")


_TITLES: dict[str, tuple[str, Callable[[pd.DataFrame], go.Figure] | None]] = {
    "losses": ("Training and test loss at low and high bits", _losses),
    "h-prime": ("H' over the epochs for three margins", _h_prime),
    "surface": ("Accuracy over the margin", _surface),
    "histograms": ("H' of samples with and without a look at Q", _histograms),
    "samples": ("G's images at 3, 4 and 5 bits", None),
}


def paper_figures_panel(folder: Path) -> None:
    """Draw what there is in `folder`, as `benchmarks/paper_figures.py` writes it."""
    known = [name for name in _TITLES if (folder / f"{name}.csv").is_file()]
    if not known:
        st.info(
            "None of the paper's figures is here yet: `python benchmarks/paper_figures.py` makes "
            "them from the runs of the tables.",
            icon=":material/monitoring:",
        )
        return
    st.markdown("## The paper's figures, remade")
    for name in known:
        title, draw = _TITLES[name]
        try:
            frame = pd.read_csv(folder / f"{name}.csv")
            claim = CLAIMS[name](frame)
            figure = draw(frame) if draw is not None else None
        except (OSError, ValueError, KeyError, IndexError) as error:
            st.error(f"{name}.csv cannot be drawn ({plain(str(error))}); make it anew.")
            continue
        with st.container(border=True):
            if figure is None:
                _sheets(folder, title, frame)
            else:
                live_chart(
                    figure,
                    key=f"paper_figure_{name}",
                    revision=name,
                    title=title,
                    height=HEIGHT,
                    alt=title,
                    download=Download(f"figure-{name}", frame.to_csv(index=False)),
                )
            st.markdown(f"{VERDICT_ICONS[claim.verdict]} {plain(claim.sentence)}")


def _sheets(folder: Path, title: str, frame: pd.DataFrame) -> None:
    st.markdown(f"### {title}")
    st.space("xxsmall")
    for bits in sorted(frame["bits"]):
        sheet = folder / f"samples-{bits}.png"
        if sheet.is_file():
            st.image(sheet.read_bytes(), caption=f"{bits} bits", alt=f"G's images at {bits} bits")
