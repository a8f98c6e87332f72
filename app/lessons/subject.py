"""The network that lessons look at, loaded once a server."""

from __future__ import annotations

import streamlit as st

from adadfq_core.lessons.subject import Subject, load_subject


@st.cache_resource(show_spinner=False)
def subject() -> Subject:
    """The bundled network with its real images."""
    return load_subject()


@st.cache_data(show_spinner=False)
def quantized_top1(bits: int) -> float:
    """Its accuracy in percent at `bits` bits; about a second when asked for the first time."""
    return subject().quantized_top1(bits)
