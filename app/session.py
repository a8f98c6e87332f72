"""What a reader has set stays set while another page is looked at."""

from __future__ import annotations

import streamlit as st

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


def keep_over_pages() -> None:
    """Write the values of all pages' widgets back; call it before any widget is drawn.

    Streamlit drops the value of a widget that a run of the script did not draw.
    """
    for key in list(st.session_state):
        name = str(key)
        if name in _KEYS or name.startswith(_PREFIXES):
            st.session_state[key] = st.session_state[key]
