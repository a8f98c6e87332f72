"""What the Runs page says after a button has done its work."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from adadfq_core.errors import InputError, RunFailed
from app.markdown import plain

_DONE, _FAILED = "runs_done", "runs_failed"


def attempt(action: Callable[[], str]) -> None:
    """Do `action`; at the next drawing the page tells the sentence that it returns or raises."""
    try:
        st.session_state[_DONE] = action()
    except (InputError, RunFailed) as error:
        st.session_state[_FAILED] = str(error)


def tell() -> None:
    """Say once what the last action did, or why it did nothing."""
    if _DONE in st.session_state:
        st.success(plain(st.session_state.pop(_DONE)), icon=":material/check:")
    if _FAILED in st.session_state:
        st.error(plain(st.session_state.pop(_FAILED)), icon=":material/error:")
