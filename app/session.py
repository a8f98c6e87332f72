"""What a reader has set stays set while another page is looked at."""

from __future__ import annotations

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

# Keys of widgets; none of a button or an upload, which cannot be set.
_PREFIXES = (
    "setting_",
    "filter_",
    "map_",
    "grid_",
    "walk_",
    "numbers_",
    "gallery_",
    "sweep_",
    "learn_",
)
_KEYS = ("preset", "panels", "terms_weighted", "inspect_section", "ablation_view", "lesson")


def reads_address(chosen: str) -> bool:
    """Whether the page is to do as its address says: at a session's first run, and on going back.

    Args:
        chosen: what the session knows from its first run on.
    """
    context = get_script_run_ctx()
    back = context is not None and context.is_history_navigation
    return back or chosen not in st.session_state


def session_id() -> str:
    """What tells this reader's session from all others of the server."""
    context = get_script_run_ctx()
    return "" if context is None else context.session_id


def keep_over_pages() -> None:
    """Write the values of all pages' widgets back; call it before any widget is drawn.

    Streamlit drops the value of a widget that a run of the script did not draw.
    """
    for key in list(st.session_state):
        name = str(key)
        if name in _KEYS or name.startswith(_PREFIXES):
            st.session_state[key] = st.session_state[key]
