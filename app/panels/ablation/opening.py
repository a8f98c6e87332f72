"""What the sweep has found so far, and the way to the runs behind what was clicked on."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd
import streamlit as st

from adadfq_core.ablation.names import axes_of, measure
from adadfq_core.ablation.plan import Point
from adadfq_core.ablation.states import CellInfo
from adadfq_core.ablation.tables import TOP1, PlaceState, over_seeds
from app.navigation import open_game
from app.panels.ablation.progress import place_text
from app.panels.ablation.state import Sweep, choose_runs, chosen_cells
from app.panels.inspection.state import open_inspection


class Best(NamedTuple):
    """The place with the highest mean top-1 over seeds, in percent, and its runs.

    `sd` is NaN for one seed; `p` and `calibrated` are means over all cells, NaN where unknown.
    """

    point: Point
    mean: float
    sd: float
    run_ids: list[str]
    p: float
    calibrated: float


def best_so_far(frame: pd.DataFrame) -> Best | None:
    """The best place of a sweep's table; `None` before a run has come to its end."""
    axes = axes_of(frame)
    places = over_seeds(frame, axes, TOP1)
    known = places[places["state"] == PlaceState.MEASURED]
    if known.empty:
        return None
    best = known.loc[known["mean"].idxmax()]
    return Best(
        {axis: best[axis] for axis in axes},
        best["mean"],
        best["sd"],
        best["run_ids"],
        frame["top1_p"].mean(),
        frame["top1_q_calibrated"].mean(),
    )


def best_panel(sweep: Sweep) -> None:
    """The best place so far, against P and the calibrated Q."""
    best = best_so_far(sweep.frame)
    if best is None:
        st.caption("The first results come when the first run has ended.")
        return
    decimals = measure(TOP1).decimals
    spread = f" ± {best.sd:.{decimals}f}" if np.isfinite(best.sd) else ""
    with st.container(border=True):
        st.metric("Best top-1 of Q so far", f"{best.mean:.{decimals}f}{spread} %")
        st.text(place_text(best.point))
        st.caption(
            f"P {best.p:.{decimals}f} %, calibrated Q {best.calibrated:.{decimals}f} %, means over "
            "the runs."
        )
        st.button(
            "Choose its runs",
            icon=":material/star:",
            width="stretch",
            on_click=choose_runs,
            args=(sweep.sweep_id, best.run_ids),
            help="To open its runs on the other pages.",
        )


def opening_panel(sweep: Sweep) -> None:
    """Tell of the chosen cell, and offer to open its run on the other pages."""
    cells = chosen_cells(sweep)
    if not cells:
        st.caption(
            "Click on a cell or a point of a picture, or select one of all runs, to open it in "
            "Play or Inspect."
        )
        return
    top1 = dict(zip(sweep.frame["cell"], sweep.frame[TOP1], strict=True))
    with st.container(border=True, key="sweep-chosen"):
        st.markdown("## Chosen")
        st.text(place_text(cells[0].point))
        box = f"chosen_run_{cells[0].run_id}"
        if len(cells) > 1:
            st.selectbox(
                "Run",
                cells,
                format_func=lambda cell: _in_words(cell, top1[cell.index]),
                key=box,
            )
        else:
            st.text(_in_words(cells[0], top1[cells[0].index]))

        def open_with(go: Callable[[str], None]) -> None:
            # What the box says at the press, which this drawing of the page may be older than.
            cell: CellInfo = st.session_state.get(box, cells[0])
            assert cell.run_id is not None  # cells are chosen by their runs
            go(cell.run_id)

        for label, icon, go in (
            ("Open in Play", ":material/sports_esports:", open_game),
            ("Open in Inspect", ":material/image_search:", open_inspection),
        ):
            st.button(label, icon=icon, width="stretch", on_click=open_with, args=(go,))


def _in_words(cell: CellInfo, top1: float) -> str:
    reached = "" if np.isnan(top1) else f", {top1:.{measure(TOP1).decimals}f} %"
    return f"seed {cell.seed}: {cell.status}{reached}"
