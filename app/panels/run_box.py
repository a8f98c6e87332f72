"""The box in which a page lets its reader choose a run."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from adadfq_core.runs import RunInfo, state
from app.run_view import newest


def run_name(info: RunInfo) -> str:
    """A run in a list of runs."""
    settings = info.settings
    bits = f"{settings.weight_bits}w{settings.activation_bits}a"
    return f"{info.run_id} · {settings.network} {bits} · {state(info)}, iteration {info.iteration}"


def run_box(place: DeltaGenerator, known: Sequence[RunInfo], key: str, about: str) -> RunInfo:
    """Let the reader choose one of `known`, at first the one that the Play page shows.

    Args:
        key: of the box; other pages set it to open a run.
    """
    by_id = {info.run_id: info for info in known}
    if st.session_state.get(key) not in by_id:
        looked_at = st.session_state.get("run_id")
        st.session_state[key] = looked_at if looked_at in by_id else newest(known)
    run_id = place.selectbox(
        "Run",
        list(by_id),
        format_func=lambda run_id: run_name(by_id[run_id]),
        key=key,
        help=about,
    )
    return by_id[run_id]
