"""What the Results page shows of a table: figures, numbers, and what of the paper holds here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import streamlit as st

from adadfq_core.results.rankings import Verdict, rankings
from adadfq_core.results.rows import Row
from app.charts.results import loss_figure
from app.components.live_chart import live_chart
from app.markdown import plain

FOLDER = Path(__file__).parents[2] / "benchmarks" / "results"
"""Where the tables lie that were made for this version of the program."""

VERDICT_ICONS = {
    Verdict.AGREES: ":material/check_circle:",
    Verdict.DISAGREES: ":material/cancel:",
    Verdict.OPEN: ":material/help:",
}
_NUMBERS = ["top-1", "deviation", "P", "loss", "paper's loss"]
_MEANING = (
    "Top-1 of Q in percent at the end of each run: the mean over the seeds and their sample "
    "standard deviation; P's on the same images. The loss is what Q is behind P, in points, beside "
    "what the paper's Q is behind the paper's P on the network named."
)


def file_of(table: str) -> Path:
    """The CSV file of a table, be it there or not."""
    return FOLDER / f"{table}.csv"


def figures_panel(table: str, rows: Sequence[Row]) -> None:
    """A figure for each network, two in a row."""
    networks = list(dict.fromkeys(row.network for row in rows))
    for start in range(0, len(networks), 2):
        for column, network in zip(st.columns(2), networks[start : start + 2], strict=False):
            own = [row for row in rows if row.network == network]
            with column:
                live_chart(
                    loss_figure(own),
                    key=f"results_{table}_{network}",
                    revision=table,
                    title=network,
                    height=380,
                    alt=f"What each method loses against P on {network}, by bits",
                )


def results_frame(rows: Sequence[Row]) -> pd.DataFrame:
    """A line for each row, as the page shows it; NaN where nothing is known."""
    return pd.DataFrame(
        {
            "network": [row.network for row in rows],
            "bits": [row.kind for row in rows],
            "method": [row.method for row in rows],
            "seeds": [f"{len(row.measured)} of {row.planned}" for row in rows],
            "top-1": [row.mean for row in rows],
            "deviation": [row.deviation for row in rows],
            "P": [row.top1_p for row in rows],
            "loss": [row.loss for row in rows],
            "paper's loss": [row.paper.loss if row.paper else float("nan") for row in rows],
            "paper's network": [row.paper.network if row.paper else "–" for row in rows],
        }
    )


def table_panel(table: str, rows: Sequence[Row]) -> None:
    """All numbers, to be taken away as the files that the command wrote."""
    frame = results_frame(rows)
    texts = frame.columns.difference(_NUMBERS)
    frame[texts] = frame[texts].map(plain)
    # Not a grid: that one leaves cells without a number empty for a screen reader.
    with st.container(key="results_numbers"):
        st.table(frame.style.format("{:.2f}", subset=_NUMBERS, na_rep="–"), hide_index=True)
    st.caption(_MEANING)
    versions = dict.fromkeys(each for row in rows for each in row.versions)
    with st.container(horizontal=True, vertical_alignment="center"):
        for kind, mime in ((".csv", "text/csv"), (".md", "text/markdown")):
            file = file_of(table).with_suffix(kind)
            if file.is_file():
                st.download_button(
                    kind[1:].upper(),
                    file.read_bytes(),
                    file_name=file.name,
                    mime=mime,
                    icon=":material/download:",
                    on_click="ignore",
                )
        st.caption(
            f"Real runs by {plain(', '.join(versions)) or 'no version yet'}. `python -m "
            f"adadfq_core results --table {table}` plays what is missing and writes it anew."
        )


def rankings_panel(table: str, rows: Sequence[Row]) -> None:
    """Whether the paper's rankings show here."""
    found = rankings(table, rows)
    if not found:
        return
    st.markdown("## What of the paper shows here")
    for each in found:
        st.markdown(f"{VERDICT_ICONS[each.verdict]} {plain(each.sentence)}")
    st.caption(
        "Differences of the same seeds with the 95 % interval of their mean. It agrees, or does "
        "not, where the whole interval is on one side of zero; otherwise these seeds cannot tell."
    )
