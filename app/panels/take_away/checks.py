"""What was checked of Q: its size, its arithmetic with integers alone, and its speed."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from adadfq_core.export.latency import remark
from adadfq_core.export.preparation import Preparation
from adadfq_core.export.preparing import FLOAT_NAME
from app.charts.take_away import latency_figure, size_figure
from app.components.live_chart import live_chart
from app.export.words import SITE_HEADS, SITES_NOTE, integer_text, site_rows
from app.markdown import plain

_HEIGHT = 300


def checks_panel(found: Preparation, revision: str) -> None:
    """Draw what is there; `revision` names the run and its checkpoint."""
    left, right = st.columns([2, 3], gap="medium")
    with left:
        if found.cost is not None:
            live_chart(
                size_figure(found.cost),
                key="take_size",
                revision=revision,
                title="Size of the weights",
                height=_HEIGHT,
                alt="Bytes of the weights in float, at a byte each and packed",
            )
    with right:
        if found.latency:
            live_chart(
                latency_figure(found.latency),
                key="take_latency",
                revision=revision,
                title="Time for a batch in onnxruntime on this machine's CPU",
                height=_HEIGHT,
                alt="Milliseconds a batch of each ONNX file",
            )
            st.caption(plain(remark(found.latency, FLOAT_NAME)))
    _integers(found)


def _integers(found: Preparation) -> None:
    if found.integer is None:
        if found.no_integer:
            st.markdown("## With integers alone")
            st.caption(f"This was not checked: {plain(found.no_integer)}")
        return
    st.markdown("## With integers alone")
    st.markdown(plain(integer_text(found.integer)))
    with st.expander("Activation by activation"):
        table = pd.DataFrame(site_rows(found.integer), columns=SITE_HEADS)
        st.dataframe(table, hide_index=True, key="take_sites")
        st.caption(SITES_NOTE)
