"""Taking a run from a file."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import BinaryIO

import streamlit as st

from adadfq_core import runs
from app import access
from app.panels.runs.told import attempt

MOST_MEGABYTES = 500
_ROUND = "runs_import_round"


def import_panel(root: Path) -> None:
    """Offer to upload an archive; once it is taken in, the place is free for the next."""
    with st.popover("Import", icon=":material/upload:", width="stretch"):
        number = st.session_state.setdefault(_ROUND, 0)
        uploaded = st.file_uploader(
            "A file that Export wrote",
            type=["zip"],
            key=f"runs_import_{number}",
            max_upload_size=MOST_MEGABYTES,
            help="Larger ones: python -m adadfq_core runs import FILE.",
        )
        if uploaded is None:
            return
        attempt(partial(_import, root, uploaded))
        # A new key is an empty uploader: the same file would be taken at every drawing.
        st.session_state[_ROUND] = number + 1
        st.rerun()


def _import(root: Path, uploaded: BinaryIO) -> str:
    known = {info.run_id for info in runs.list_runs(root)}
    run_id = access.import_run(root, uploaded)
    if run_id in known:
        return f"That run is here already, as {run_id}."
    return f"The run was imported as {run_id}."
