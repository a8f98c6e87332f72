"""The Glossary page: every symbol and term of the app, each with a link of its own."""

from __future__ import annotations

import streamlit as st

from app.lessons.texts import text
from app.panels.glossary import glossary_panel


def page() -> None:
    """Draw the page."""
    with st.container(key="glossary"):
        st.markdown(text("glossary.about"))
        glossary_panel()


page()
