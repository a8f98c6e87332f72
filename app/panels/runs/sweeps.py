"""The list of sweeps, and the way to the page that shows one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

import pandas as pd
import streamlit as st

from adadfq_core import runs
from adadfq_core.ablation import control
from adadfq_core.ablation.names import plain_symbol
from adadfq_core.ablation.states import SETTLED, SweepInfo, SweepStatus
from app import access
from app.panels.ablation.state import SWEEP, show_next
from app.panels.runs.frame import local_times, reader_zone
from app.panels.runs.told import attempt

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
    infos = control.list_sweeps(root)
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
    chosen = next((infos[place] for place in state.selection.rows), None)
    _buttons(root, chosen)
    if chosen is None:
        st.caption("Choose a sweep at the left edge of the table to open or delete it.")


def _buttons(root: Path, chosen: SweepInfo | None) -> None:
    running = chosen is not None and chosen.status is SweepStatus.RUNNING
    with st.container(horizontal=True, key="sweeps_actions"):
        st.button(
            "Open in Ablation",
            icon=":material/grid_on:",
            disabled=chosen is None,
            on_click=_open,
            args=(chosen,),
        )
        deleted = st.button(
            "Delete …",
            icon=":material/delete:",
            disabled=chosen is None or running,
            help="A sweep that is running has to be stopped first." if running else "Asks first.",
        )
    if deleted and chosen is not None:
        _confirm_deletion(root, chosen)


def _open(chosen: SweepInfo) -> None:
    show_next(chosen.sweep_id)
    st.switch_page("views/ablation.py")


@st.dialog("Delete the sweep for good?")
def _confirm_deletion(root: Path, chosen: SweepInfo) -> None:
    run_ids = control.run_ids(root, chosen.sweep_id)
    size = sum(runs.disk_use(root, run_ids).values())
    st.text(f"{chosen.name or chosen.sweep_id}, {len(run_ids)} runs")
    with_runs = st.checkbox(
        f"its runs as well, which frees {size / 1e6:.1f} MB of disk",
        help="Without them the runs stay in the list of all runs. It cannot be undone.",
    )
    delete, keep = st.columns(2)
    if delete.button("Delete", type="primary", width="stretch"):
        with st.spinner("deleting …"):
            attempt(partial(_delete, root, chosen, with_runs))
        st.rerun()
    if keep.button("Keep", width="stretch"):
        st.rerun()


def _delete(root: Path, chosen: SweepInfo, with_runs: bool) -> str:
    freed = access.delete_sweep(root, chosen.sweep_id, with_runs=with_runs)
    if st.session_state.get(SWEEP) == chosen.sweep_id:
        del st.session_state[SWEEP]
    return f"The sweep {chosen.name or chosen.sweep_id} is deleted, {freed / 1e6:.1f} MB freed."
