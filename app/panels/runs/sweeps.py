"""The list of sweeps, and the way to the page that shows one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from zoneinfo import ZoneInfo

import pandas as pd
import streamlit as st

from adadfq_core import runs
from adadfq_core.ablation.control import list_sweeps
from adadfq_core.ablation.names import plain_symbol
from adadfq_core.ablation.states import SETTLED, SweepInfo
from app.panels.ablation.state import RESULTS, SWEEP, VIEW
from app.panels.runs.frame import local_times, reader_zone

COLUMNS = {
    "name": st.column_config.TextColumn("sweep", width="large"),
    "design": st.column_config.TextColumn("design"),
    "created": st.column_config.DatetimeColumn(
        "created", format="YYYY-MM-DD HH:mm", help="In your time zone."
    ),
    "status": st.column_config.TextColumn("status"),
    "done": st.column_config.ProgressColumn(
        "cells done", format="percent", help="Cells with which the sweep has nothing more to do."
    ),
    "settled": st.column_config.NumberColumn("done", format="%d"),
    "cells": st.column_config.NumberColumn("of", format="%d"),
    "workers": st.column_config.NumberColumn("runs at once", format="%d"),
    "reason": st.column_config.TextColumn("remark"),
}


def sweeps_frame(
    infos: Sequence[SweepInfo], counts: Mapping[str, Mapping[str, int]], zone: ZoneInfo
) -> pd.DataFrame:
    """A row for each of `infos`, of which there is at least one, in their order.

    Args:
        counts: number of cells in each state, by the sweep's id.
    """
    rows = []
    for info in infos:
        states = counts.get(info.sweep_id, {})
        settled = sum(states.get(status, 0) for status in SETTLED)
        cells = sum(states.values())
        axes = info.plan.axes
        rows.append(
            {
                "name": info.name or " × ".join(plain_symbol(name) or name for name in axes),
                "design": info.plan.design,
                "created": info.created,
                "status": str(info.status),
                "done": settled / cells if cells else 0.0,
                "settled": settled,
                "cells": cells,
                "workers": info.workers,
                "reason": info.reason,
            }
        )
    frame = pd.DataFrame(rows)
    frame["created"] = local_times(frame["created"], zone)
    return frame


def sweeps_panel(root: Path) -> None:
    """Draw the list; a chosen sweep opens on the Ablation page."""
    infos = list_sweeps(root)
    if not infos:
        st.info(
            "There is no sweep yet: plan one on the Ablation page, and its runs are listed here "
            "with all others.",
            icon=":material/grid_on:",
        )
        return
    zone = reader_zone(st.context.timezone)
    state = st.dataframe(
        sweeps_frame(infos, runs.cell_counts(root), zone),
        key=f"runs_sweeps_{len(infos)}",
        hide_index=True,
        column_config=COLUMNS,
        on_select="rerun",
        selection_mode="single-row",
    )
    chosen = [infos[place] for place in state.selection.rows]
    if st.button("Open in Ablation", icon=":material/grid_on:", disabled=not chosen):
        st.session_state[SWEEP] = chosen[0].sweep_id
        st.session_state[VIEW] = RESULTS
        st.switch_page("views/ablation.py")
    if not chosen:
        st.caption("Choose a sweep at the left edge of the table to open it.")
