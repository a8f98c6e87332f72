"""Going from one page to another."""

from __future__ import annotations

from typing import NoReturn

import streamlit as st

TAKEN_RUN = "take_run"
"""Key of the box that chooses the run on the Take away page."""


def open_game(run_id: str) -> NoReturn:
    """Go to the Play page, to run `run_id` alone."""
    st.session_state["run_id"] = run_id
    st.session_state.pop("beside", None)
    # A session that has not seen the Play page takes the run from the address.
    st.switch_page("views/play.py", query_params={"run": run_id})


def open_take_away(run_id: str) -> NoReturn:
    """Go to the Take away page, to run `run_id`."""
    st.session_state[TAKEN_RUN] = run_id
    st.switch_page("views/take_away.py", query_params={"run": run_id})
