"""The sweep's results as tables: by two axes, to take away, and cell by cell."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from adadfq_core.ablation.names import MEASURES, axes_of, plain_symbol, words
from adadfq_core.ablation.tables import (
    TOP1,
    over_seeds,
    pivot,
    results_csv,
    to_csv,
    to_latex,
    to_markdown,
)
from app.markdown import plain
from app.panels.ablation.choices import (
    choice_row,
    choose_axis,
    choose_fixed,
    choose_measure,
    varied_axes,
)
from app.panels.ablation.state import Sweep, choose_runs

CELLS_HEIGHT = 600
SHOWN_FIRST = (TOP1, *(name for name in MEASURES if name != TOP1))


def table_panel(sweep: Sweep) -> None:
    """A result by two axes with mean and standard deviation, the best in bold."""
    frame, sweep_id = sweep.frame, sweep.sweep_id
    axes = varied_axes(frame)
    choices = choice_row()
    value = choose_measure(choices, sweep_id)
    if len(axes) < 2:
        st.dataframe(one_axis_table(frame, axes or axes_of(frame)[:1], value), hide_index=True)
        _download("All results as CSV", results_csv(frame), f"{sweep_id}.csv", "text/csv")
        return
    rows = choose_axis(choices, sweep_id, "Rows", axes, "rows")
    others = [axis for axis in axes if axis != rows]
    columns = choose_axis(choices, sweep_id, "Columns", others, "columns")
    fixed = choose_fixed(choices, frame, sweep_id, (rows, columns))
    shown = pivot(frame, rows, columns, value, fixed)
    with st.container(key="sweep-table"):
        st.markdown(to_markdown(shown, plain))
    row = st.container(horizontal=True)
    stem = f"{sweep_id}-{value}"
    with row:
        _download("CSV", to_csv(shown), f"{stem}.csv", "text/csv")
        _download("Markdown", to_markdown(shown), f"{stem}.md", "text/markdown")
        _download("LaTeX", to_latex(shown), f"{stem}.tex", "application/x-tex")
        _download("All results as CSV", results_csv(frame), f"{sweep_id}.csv", "text/csv")


def one_axis_table(frame: pd.DataFrame, axes: list[str], value: str) -> pd.DataFrame:
    """Mean and standard deviation of a result over seeds, a row for each value of the one axis."""
    found = over_seeds(frame, axes, value).drop(columns="run_ids")
    titles = {"mean": MEASURES[value].title, "sd": "sd", "n": "seeds"}
    return found.rename(columns={axis: plain_symbol(axis) or words(axis) for axis in axes} | titles)


def _download(label: str, content: str | bytes, name: str, kind: str) -> None:
    # Without a run of the script: the page need not be drawn again for it.
    st.download_button(
        label, content, name, kind, icon=":material/download:", on_click="ignore", key=f"get_{name}"
    )


def cells_panel(sweep: Sweep) -> None:
    """Every cell with its state and results; one that is selected can be opened."""
    frame = sweep.frame
    picked = st.dataframe(
        frame,
        height=CELLS_HEIGHT,
        hide_index=True,
        key=f"cells_of_{sweep.sweep_id}",
        on_select="rerun",
        selection_mode="single-row",
        placeholder="–",
        column_order=("cell", *axes_of(frame), "seed", "status", *SHOWN_FIRST, "reason", "run_id"),
        column_config={
            **{
                name: st.column_config.NumberColumn(about.title, format=f"%.{about.decimals}f")
                for name, about in MEASURES.items()
            },
            **{
                axis: st.column_config.Column(plain_symbol(axis) or words(axis))
                for axis in axes_of(frame)
            },
            "run_id": "run",
        },
    )
    for place in picked.selection.rows:
        run_id = frame["run_id"].iloc[place]
        choose_runs(sweep.sweep_id, [] if pd.isna(run_id) else [run_id])
