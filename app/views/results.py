"""The Results page: how this program stands to the paper, by runs that were played."""

from __future__ import annotations

import streamlit as st

from adadfq_core.errors import InputError
from adadfq_core.results.cells import TABLES, find_table
from adadfq_core.results.reading import read_rows
from app.markdown import plain
from app.panels import results
from app.panels.paper_figures import paper_figures_panel


def page() -> None:
    """Draw the page."""
    there = [name for name in TABLES if results.file_of(name).is_file()]
    if not there:
        st.info(
            "No table of results is here yet: `python -m adadfq_core results --table main --out "
            "benchmarks/results` makes it.",
            icon=":material/table_chart:",
        )
        return
    st.markdown(
        "How far quantized networks stay behind P here, and what the paper says of its own."
    )
    chosen = st.segmented_control(
        "Table",
        there,
        default=there[0],
        required=True,
        key="results_table",
        format_func=lambda name: find_table(name).title,
        label_visibility="collapsed",
    )
    try:
        rows = read_rows(results.file_of(chosen))
    except InputError as error:
        st.error(plain(str(error)))
        return
    results.figures_panel(chosen, rows)
    results.table_panel(chosen, rows)
    results.rankings_panel(chosen, rows)
    paper_figures_panel(results.FOLDER / "figures")


page()
