"""The strip of the three players: what each is, and what it minimises right now."""

from __future__ import annotations

import streamlit as st

from adadfq_core.settings import RunSettings
from app.formulas import game_value, generator_loss, quantized_loss
from app.run_view import RunView


def players_strip(view: RunView, settings: RunSettings) -> None:
    """P, G and Q side by side, with the numbers of the latest iteration."""
    step = {name: values[-1] for name, values in view.steps.items()}
    warming_up = view.info.iteration < settings.warmup_iterations
    p, g, q = st.columns([2, 5, 4])
    with p.container(border=True):
        st.markdown("**P** · full precision, frozen")
        st.latex(game_value(step))
    with g.container(border=True):
        st.markdown("**G** · the generator minimises")
        for formula in generator_loss(step, settings):
            st.latex(formula)
    with q.container(border=True):
        waits = " · waits: warm-up" if warming_up else ""
        st.markdown(
            f"**Q** · {settings.weight_bits}-bit weights, {settings.activation_bits}-bit "
            f"activations, minimises{waits}"
        )
        for formula in quantized_loss(step, settings):
            st.latex(formula)
