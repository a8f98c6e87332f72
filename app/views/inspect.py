"""The Inspect page: what the generator invented, and whether it is like the real data."""

from __future__ import annotations

import streamlit as st

from adadfq_core import runs
from adadfq_core.errors import InputError, RunFailed
from adadfq_core.home import runs_folder
from adadfq_core.runs import RunInfo
from app.markdown import plain
from app.panels.inspection.class_grid import class_grid_panel
from app.panels.inspection.close_up import sample_beside
from app.panels.inspection.filters import chosen_rows, filters_panel
from app.panels.inspection.gallery import gallery_panel
from app.panels.inspection.numbers import numbers_panel
from app.panels.inspection.sample_map import map_panel
from app.panels.inspection.state import Inspected, chosen, inspected
from app.panels.inspection.walk import walk_panel
from app.panels.run_box import run_box

GALLERY, MAP, CLASSES, WALK, NUMBERS = "Gallery", "Map", "Classes", "Latent walk", "Numbers"


def chosen_run(known: list[RunInfo]) -> str:
    """Let the reader choose a run; at first it is the one that the Play page shows."""
    run, refresh = st.columns([8, 1], vertical_alignment="bottom")
    info = run_box(run, known, "inspect_run", "Whose images are looked at.")
    refresh.button(
        "Refresh",
        icon=":material/refresh:",
        width="stretch",
        help="Read what the run has stored meanwhile.",
    )
    return info.run_id


def page() -> None:
    """Draw the page."""
    root = runs_folder()
    try:
        known = runs.list_runs(root)
        if not known:
            st.info(
                "There is no run yet: start one on the Play page, and its images can be looked at "
                "here while it goes on.",
                icon=":material/play_arrow:",
            )
            return
        held = inspected(root, chosen_run(known))
        sections(held)
    except (InputError, RunFailed) as error:
        st.error(plain(str(error)))


def sections(held: Inspected) -> None:
    """What is to be seen of the run."""
    if held.samples.notice:
        st.warning(plain(held.samples.notice))
    if held.samples.table.empty:
        st.info(
            "This run has stored no images yet; the first come with its first iteration. Press "
            "Refresh.",
            icon=":material/hourglass_empty:",
        )
        return
    with st.sidebar:
        wanted, sort_by, descending = filters_panel(held)
    section = st.segmented_control(
        "View",
        (GALLERY, MAP, CLASSES, WALK, NUMBERS),
        default=GALLERY,
        required=True,
        key="inspect_section",
        label_visibility="collapsed",
    )
    stored = held.samples.table["iteration"]
    first, last = wanted.iterations or (stored.min(), stored.max())
    if section == CLASSES:
        class_grid_panel(held)
    elif section == WALK:
        walk_panel(held)
    elif section == NUMBERS:
        numbers_panel(held, int(first), int(last))
    else:
        left, right = st.columns([5, 3], gap="medium")
        with left:
            if section == MAP:
                everything = chosen_rows(held, wanted, sort_by, descending, within_lasso=False)
                map_panel(held, everything, int(first), int(last))
            rows = chosen_rows(held, wanted, sort_by, descending)
            if section != MAP or held.lasso is not None:
                gallery_panel(held, rows)
        with right:
            sample_beside(held, chosen(held))


page()
