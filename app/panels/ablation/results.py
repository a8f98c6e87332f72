"""The results of a sweep: one picture or table at a time, and the runs behind it."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from app.panels.ablation.figures import FIGURES, offered
from app.panels.ablation.opening import best_panel, opening_panel
from app.panels.ablation.state import Sweep
from app.panels.ablation.table import cells_panel, table_panel

TABLE, CELLS = "Table", "All runs"


def results_panel(root: Path, sweep: Sweep) -> None:
    """Draw what the reader chose to see of the sweep."""
    names = [*offered(sweep.frame), TABLE, CELLS]
    key = f"sweep_section_{sweep.sweep_id}"
    section = st.segmented_control(
        "Show", names, default=names[0], required=True, key=key, label_visibility="collapsed"
    )
    shown, beside = st.columns([5, 2], gap="medium")
    with shown:
        if section == TABLE:
            table_panel(sweep)
        elif section == CELLS:
            cells_panel(sweep)
        else:
            FIGURES[section].draw(root, sweep)
    with beside:
        best_panel(sweep)
        opening_panel(sweep)
