"""The page's address: it holds what is looked at, and opening it elsewhere restores that."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from adadfq_core import runs
from adadfq_core.errors import InputError
from adadfq_core.presets import DEFAULT_PRESET
from app.links import ViewState, changes_from, from_query, to_query
from app.panels import controls
from app.panels.history import moment_of, show_moment
from app.panels.transport import NO_RUN
from app.session import reads_address


def history_key(run_id: str) -> str:
    """Name of the history bar of a run: each keeps its own place."""
    return f"history_{run_id}"


def restore_from_address(root: Path) -> None:
    """At a session's first run, and when the reader goes back, do as the address says."""
    if not reads_address("preset"):
        return
    view = from_query(st.query_params.to_dict())
    problems = list(view.problems)
    st.session_state["preset"] = view.preset
    controls.use_base(view.settings(), view.changes)
    for name, run_id in (("run_id", view.run_id), ("beside", view.beside)):
        st.session_state.pop(name, None)
        if run_id is None:
            continue
        try:
            runs.info(root, run_id)
        except InputError as error:
            problems.append(str(error))
        else:
            st.session_state[name] = run_id
    if "run_id" in st.session_state and view.moment is not None:
        show_moment(history_key(st.session_state["run_id"]), view.moment)
    if view.run_id is None and (view.changes or view.preset != DEFAULT_PRESET):
        # A link to settings alone: no run that somebody else has started is to be shown with them.
        st.session_state["run_id"] = NO_RUN
    if view.changes:
        # The address names settings: those of a run must not take their place.
        st.session_state["shown_run"] = st.session_state.get("run_id")
    st.session_state["address_problems"] = problems


def write_address(run_id: str | None) -> None:
    """Let the address say what is looked at now, unless that is being replayed or cannot be."""
    preset = st.session_state.get("preset", DEFAULT_PRESET)
    try:
        changes = changes_from(controls.start_settings(), preset)
    except InputError:
        return  # lambda_l above lambda_u while a slider is moved: the address keeps what was
    moment = None if run_id is None else moment_of(history_key(run_id))
    wanted = to_query(ViewState(run_id, st.session_state.get("beside"), moment, preset, changes))
    # Every assignment is an entry of the browser's history, even of what was there.
    if st.query_params.to_dict() != wanted:
        st.query_params.from_dict(wanted)
