"""Which run's Q is taken away, and of which checkpoint; the address keeps the run."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

import streamlit as st

from adadfq_core import runs
from adadfq_core.runs import RecordKind, RunInfo
from app.links import RUN, from_query
from app.navigation import TAKEN_RUN
from app.panels.run_box import run_box

_WRITTEN = "take_address"


def chosen_checkpoint(root: Path, known: Sequence[RunInfo]) -> tuple[RunInfo, int | None]:
    """Let the reader choose one of `known` and one of its checkpoints, at first the newest.

    Returns the run, and the checkpoint's iteration, `None` while it has none.
    """
    _restore_from_address({info.run_id for info in known})
    run, checkpoint = st.columns([5, 1], vertical_alignment="bottom")
    info = run_box(run, known, TAKEN_RUN, "Whose quantized network is taken away.")
    _write_address(info.run_id)
    stored = runs.read(root, info.run_id, kinds=[RecordKind.CHECKPOINT]).records
    iterations = sorted({record.iteration for record in stored}, reverse=True)
    if not iterations:
        return info, None
    key = f"take_checkpoint_{info.run_id}"
    if st.session_state.get(key) not in iterations:
        # A run that goes on drops earlier checkpoints.
        st.session_state[key] = iterations[0]
    iteration: int = checkpoint.selectbox(
        "Checkpoint",
        iterations,
        format_func=lambda iteration: f"iteration {iteration:,}",
        key=key,
        help="Q as it was at that iteration. A run keeps its newest checkpoints and some of the "
        "earlier ones.",
    )
    return info, iteration


def _restore_from_address(known: Collection[str]) -> None:
    """Choose the run that the address names, if that is not what this page wrote itself."""
    wanted = st.query_params.get(RUN)
    written = st.session_state.get(_WRITTEN)
    if wanted is None or (wanted == written and TAKEN_RUN in st.session_state):
        return
    view = from_query({RUN: wanted})
    if view.run_id in known:
        st.session_state[TAKEN_RUN] = view.run_id
    elif view.problems:
        st.warning(view.problems[0])
    else:
        st.warning("The run of this link is not on this machine; another is shown.")


def _write_address(run_id: str) -> None:
    st.session_state[_WRITTEN] = run_id
    # Every assignment is an entry of the browser's history, even of what was there.
    if st.query_params.to_dict() != {RUN: run_id}:
        st.query_params.from_dict({RUN: run_id})
