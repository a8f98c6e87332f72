"""The Ablation page: from a choice of settings to the figure and the table for the paper."""

from __future__ import annotations

import streamlit as st

from adadfq_core.ablation import control
from adadfq_core.errors import InputError, RunFailed
from adadfq_core.home import runs_folder
from app.markdown import plain
from app.panels import results
from app.panels.ablation.new_sweep import new_sweep_panel
from app.panels.ablation.progress import chooser_row, progress_panel
from app.panels.ablation.results import results_panel
from app.panels.ablation.state import (
    NEW,
    PAPER,
    RESULTS,
    SWEEP,
    VIEW,
    read_sweep,
    restore_from_address,
    restore_next,
    tell_failure,
)
from app.panels.paper_figures import paper_figures_panel


def page() -> None:
    """Draw the page."""
    root = runs_folder()
    restore_next()
    if problem := restore_from_address():
        st.warning(plain(problem))
    try:
        known = control.list_sweeps(root)
        st.session_state.setdefault(VIEW, RESULTS if known else NEW)
        view = st.segmented_control(
            "View",
            (RESULTS, NEW, PAPER),
            required=True,
            key=VIEW,
            label_visibility="collapsed",
        )
        tell_failure()
        if view == NEW:
            new_sweep_panel(root)
        elif view == PAPER:
            paper_figures_panel(results.FOLDER / "figures")
        elif not known:
            st.info(
                "There is no sweep yet: press **New sweep**, choose what is varied and start it; "
                "its figures and tables grow here while its runs end.",
                icon=":material/grid_on:",
            )
        else:
            sweep = read_sweep(root, chooser_row(root, known, SWEEP))
            progress_panel(root, sweep)
            results_panel(root, sweep)
    except (InputError, RunFailed) as error:
        st.error(plain(str(error)))


page()
