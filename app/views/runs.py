"""The Runs page: all runs and sweeps, to be found, compared, labelled, moved and deleted."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from adadfq_core.errors import InputError, RunFailed
from adadfq_core.home import runs_folder
from app.markdown import plain
from app.panels.runs.chosen import chosen_panel
from app.panels.runs.importing import import_panel
from app.panels.runs.known import known_runs
from app.panels.runs.sweeps import sweeps_panel
from app.panels.runs.table import filters_row, table_panel
from app.panels.runs.told import tell


def page() -> None:
    """Draw the page."""
    root = runs_folder()
    tell()
    try:
        all_runs, sweeps = st.tabs(["Runs", "Sweeps"], key="runs_tab", on_change="rerun")
        if sweeps.open:
            with sweeps:
                sweeps_panel(root)
        else:
            with all_runs:
                runs_panel(root)
    except (InputError, RunFailed) as error:
        st.error(plain(str(error)))


def runs_panel(root: Path) -> None:
    """The runs, and what can be done with those that are chosen."""
    infos, frame = known_runs(root)
    if not infos:
        st.info(
            "There is no run yet: start one on the Play page, or import one that was exported "
            "elsewhere.",
            icon=":material/play_arrow:",
        )
        import_panel(root)
        return
    wanted, rest = filters_row(frame)
    with rest:
        import_panel(root)
    by_id = {info.run_id: info for info in infos}
    chosen = [by_id[run_id] for run_id in table_panel(frame, wanted)]
    if chosen:
        tags = sorted({tag for info in infos for tag in info.tags})
        chosen_panel(root, chosen, tags)
    else:
        st.caption(
            "Choose runs at the left edge of the table to open, compare, label, export or delete "
            "them."
        )


page()
