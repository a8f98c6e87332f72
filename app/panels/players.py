"""The strip of the three players: what each is, and what it minimises right now."""

from __future__ import annotations

import streamlit as st

from app.formulas import game_value, generator_loss, quantized_loss
from app.run_view import Frame, RunView


def players_strip(view: RunView, frame: Frame) -> None:
    """P, G and Q side by side, with the numbers of the moment."""
    settings = frame.settings
    step = view.step_at(frame.past)
    warming_up = step["iteration"] <= settings.warmup_iterations
    p, g, q = st.container(key="players").columns([4, 7, 6])
    value = game_value(step, settings)
    with p.container(border=True, height="stretch"):
        st.markdown(_card("**P** · full precision, frozen", "the value of the game:", f"${value}$"))
    with g.container(border=True, height="stretch"):
        if settings.has_generator:
            title, note = "**G** · the generator minimises", ""
        else:
            title = "**G** · has no part in this game"
            note = "Half of the run's real images teach Q, the other half measures accuracy."
        formulas = [f"${formula}$" for formula in generator_loss(step, settings)]
        st.markdown(_card(title, note, *formulas))
    with q.container(border=True, height="stretch"):
        waits = " · waits: warm-up" if warming_up else ""
        title = (
            f"**Q** · {settings.weight_bits}-bit weights, {settings.activation_bits}-bit "
            f"activations, minimises{waits}"
        )
        st.markdown(_card(title, *(f"${formula}$" for formula in quantized_loss(step, settings))))


def _card(*lines: str) -> str:
    """Markdown of `lines`, one below the other, empty ones left out."""
    return "  \n".join(line for line in lines if line)
