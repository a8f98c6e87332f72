"""A run's history as a file that plays elsewhere."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from adadfq_core.errors import InputError, RunFailed
from app.export.animation import animation
from app.markdown import plain

_KINDS = {"GIF (plays everywhere)": "gif", "WebP (half the size)": "webp"}


def animation_panel(root: Path, run_id: str) -> None:
    """Offer to make the animation and, once made, to download it."""
    with st.expander("Export the run as an animation"):
        chosen = st.radio("Format", list(_KINDS), horizontal=True, key="animation_kind")
        kind = _KINDS[chosen]
        if st.button("Make it", help="Up to 200 frames, evenly spread over what is stored."):
            bar = st.progress(0.0, text="drawing")
            try:
                made = animation(root, run_id, kind, progress=bar.progress)
            except (InputError, RunFailed) as error:
                st.error(plain(str(error)))
                return
            bar.empty()
            st.session_state["animation"] = (run_id, kind, made)
        stored = st.session_state.get("animation")
        if stored is not None and stored[:2] == (run_id, kind):
            st.download_button(
                f"Download {len(stored[2]) / 1e6:.1f} MB",
                stored[2],
                file_name=f"{run_id}.{kind}",
                mime=f"image/{kind}",
            )
