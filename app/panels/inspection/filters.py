"""The sidebar's choice of samples: which, and in what order."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from adadfq_core.inspection.sample_table import REGIONS
from adadfq_core.inspection.selection import SampleFilter, select
from app.panels.inspection.state import Inspected, keys

ORDERS = {
    "iteration": "iteration",
    "adaptability": "adaptability",
    "class": "class_index",
    "P's confidence": "p_confidence",
    "Q's confidence": "q_confidence",
    "L_ds": "loss_ds",
    "L_as": "loss_as",
    "L_Q": "loss_q",
}
_FLAGS: dict[str, bool | None] = {"any": None, "yes": True, "no": False}


def _range(label: str, key: str, about: str) -> tuple[float, float] | None:
    """A range within [0, 1]; `None` for all of it, which also takes what is NaN."""
    # Not the widget's own default: another page may have set the range.
    st.session_state.setdefault(key, (0.0, 1.0))
    low, high = st.slider(label, 0.0, 1.0, step=0.01, key=key, help=about)
    return None if (low, high) == (0.0, 1.0) else (low, high)


def _flag(label: str, key: str, about: str) -> bool | None:
    chosen = st.segmented_control(
        label, list(_FLAGS), default="any", key=key, help=about, required=True
    )
    return _FLAGS[chosen]


def filters_panel(held: Inspected) -> tuple[SampleFilter, str, bool]:
    """Draw the filters; returns what is wanted, the column to sort by and whether downwards."""
    table = held.samples.table
    names = held.classes
    classes = st.multiselect(
        "Classes asked of G",
        range(len(names)),
        format_func=lambda index: names[index],
        key="filter_classes",
        placeholder="all",
        help="Which class the generator was asked for; none chosen means all.",
    )
    first, last = int(table["iteration"].min()), int(table["iteration"].max())
    iterations = None
    if first < last:
        iterations = st.slider(
            "Iterations",
            first,
            last,
            (first, last),
            key=f"filter_iterations_{held.info.run_id}",
            help="When the images were made.",
        )
        if iterations == (first, last):
            iterations = None
    regions = st.pills(
        "Region of H'",
        REGIONS,
        selection_mode="multi",
        key="filter_regions",
        help="Under, inside or over the margin that was in force; none chosen means all.",
    )
    h_prime = _range("H'", "filter_h_prime", "0: P and Q disagree sharply; 1: they agree.")
    adaptability = _range("Adaptability", "filter_adaptability", "1 − H'.")
    confidence = _range(
        "P's confidence", "filter_confidence", "Softmax share of the class that P finds likeliest."
    )
    right = _flag("P right", "filter_right", "Whether P's answer is the class asked of G.")
    agree = _flag("P and Q agree", "filter_agree", "Whether both give the same answer.")
    order = st.selectbox("Sort by", list(ORDERS), key="filter_order", help="Order of the gallery.")
    descending = st.toggle("from the largest down", value=True, key="filter_descending")
    wanted = SampleFilter(
        iterations=iterations,
        classes=tuple(classes) or None,
        h_prime=h_prime,
        adaptability=adaptability,
        regions=tuple(regions) or None,
        p_confidence=confidence,
        p_right=right,
        agree=agree,
    )
    return wanted, ORDERS[order], descending


def chosen_rows(
    held: Inspected,
    wanted: SampleFilter,
    sort_by: str,
    descending: bool,
    *,
    within_lasso: bool = True,
) -> pd.DataFrame:
    """The samples that the filters and the lasso leave, in order."""
    rows = select(held.samples.table, wanted, sort_by, descending)
    if held.lasso is None or not within_lasso:
        return rows
    return rows[[key in held.lasso for key in keys(rows)]]
