"""Settings as a file: to keep them, to send them, to start with them again."""

from __future__ import annotations

import streamlit as st

from adadfq_core.errors import InputError
from adadfq_core.settings import make_settings
from adadfq_core.settings_file import from_yaml, to_yaml
from app.markdown import plain
from app.panels import controls


def settings_file_panel(active: bool) -> None:
    """Offer the chosen settings as YAML, and take such a file."""
    with st.expander("Settings as a file"):
        try:
            text = to_yaml(controls.start_settings(), st.session_state["preset"])
        except InputError as error:
            st.caption(plain(str(error)))
        else:
            st.download_button(
                "Download",
                text,
                file_name="adadfq.yaml",
                mime="application/yaml",
                width="stretch",
                help="What Start would use now, as a YAML file.",
            )
        uploaded = st.file_uploader(
            "Load",
            type=["yaml", "yml"],
            disabled=active,
            key="settings_file",
            max_upload_size=1,
            help="Puts the settings of such a file into the sliders, for the next run.",
        )
        if uploaded is None or uploaded.file_id == st.session_state.get("settings_file_read"):
            return
        st.session_state["settings_file_read"] = uploaded.file_id
        try:
            changes = from_yaml(uploaded.getvalue())
            if make_settings(changes).names_own_code:
                raise InputError(
                    f"The file's network {changes['network']} would run code, which only a shell "
                    "may start: use 'python -m adadfq_core train --config'."
                )
        except InputError as error:
            st.error(plain(str(error)))
            return
        # Widgets of this run are drawn already: their new values are for the next.
        st.session_state["settings_to_load"] = changes
        st.rerun()


def load_pending_settings() -> None:
    """Put the settings of a file that was just read into the widgets; before they are drawn."""
    changes = st.session_state.pop("settings_to_load", None)
    if changes is not None:
        controls.use_base(make_settings(changes), changes)
