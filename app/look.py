"""The app's look: its mark and its style sheet, beside the theme in `.streamlit/config.toml`."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

_ASSETS = Path(__file__).resolve().parents[1] / "assets"


def apply_look() -> None:
    """Put the mark and the style sheet on the page that is being drawn."""
    st.logo(str(_ASSETS / "logo.svg"), size="large")
    st.html(_ASSETS / "style.css")


def page_name(title: str) -> None:
    """Name the page in a heading for readers that speak; others see it in the row of the pages."""
    with st.container(key="page_name"):
        st.html(f"<h1>{title}</h1>")
