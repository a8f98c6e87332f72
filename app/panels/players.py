"""The strip of the three players: what each is, and what it minimises right now."""

from __future__ import annotations

import html

import streamlit as st

from app.formulas import game_value, generator_loss, quantized_loss
from app.run_view import Frame, RunView


def players_strip(view: RunView, frame: Frame) -> None:
    """P, G and Q side by side, with the numbers of the moment."""
    settings = frame.settings
    step = view.step_at(frame.past)
    warming_up = step["iteration"] <= settings.warmup_iterations
    p, g, q = st.container(key="players").columns([4, 7, 6])
    with p.container(border=True, height="stretch"):
        _card(
            "**P** · full precision, frozen", "the value of the game:", game_value(step, settings)
        )
    with g.container(border=True, height="stretch"):
        if settings.has_generator:
            _card("**G** · the generator minimises", "", generator_loss(step, settings))
        else:
            note = "Half of the run's real images teach Q, the other half measures accuracy."
            _card("**G** · has no part in this game", note, ())
    with q.container(border=True, height="stretch"):
        waits = " · waits: warm-up" if warming_up else ""
        title = (
            f"**Q** · {settings.weight_bits}-bit weights, {settings.activation_bits}-bit "
            f"activations, minimises{waits}"
        )
        _card(title, "", quantized_loss(step, settings))


def _card(title: str, note: str, formula: tuple[str, ...]) -> None:
    """A player's title and formula, which stay, and below them the numbers, which change."""
    symbols, numbers = formula or ("", "")
    lines = [title, note, f"${symbols}$" if symbols else ""]
    st.markdown("  \n".join(line for line in lines if line))
    if numbers:
        st.html(f'<div class="numbers">= {html.escape(numbers)}</div>')
