"""One player's move, as step mode shows it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import streamlit as st

from app.charts.logits import logits_figure
from app.components.live_chart import live_chart
from app.panels.pictures import enlarged, grid, picture

SHOWN = 8


def move_title(data: dict[str, Any], iteration: int) -> str:
    """Who moved, and what that did to the game's value."""
    player = "G" if data["player"] == "g" else "Q"
    return (
        f"{player}'s move in iteration {iteration}: the game's value, the mean H' of its images, "
        f"went from {data['value_before']:.4f} to {data['value_after']:.4f}"
    )


def generator_move_html(arrays: dict[str, np.ndarray], classes: Sequence[str]) -> str:
    """The same noise before (above) and after G's move, with H' of both."""
    tiles = []
    for index in range(min(SHOWN, len(arrays["labels"]))):
        name = classes[int(arrays["labels"][index])]
        before, after = (
            picture(arrays[f"pixels_{when}"][index], f"{when} the move: {name}")
            for when in ("before", "after")
        )
        change = f"{arrays['h_prime_before'][index]:.3f} → {arrays['h_prime_after'][index]:.3f}"
        tiles.append(f"<figure>{before}{after}<figcaption>H' {change}</figcaption></figure>")
    return grid(tiles)


def half_move_panel(
    data: dict[str, Any], iteration: int, arrays: dict[str, np.ndarray], classes: Sequence[str]
) -> None:
    """Draw the latest half move."""
    st.markdown(f"## {move_title(data, iteration)}")
    if data["player"] == "g":
        st.caption("Above: before the move; below: after it, from the same noise.")
        st.html(generator_move_html(arrays, classes))
        return
    labels = arrays["labels"]
    chosen = st.selectbox(
        "Sample",
        range(len(labels)),
        key="half_move_sample",
        format_func=lambda index: (
            f"{index + 1}: {classes[int(labels[index])]}, "
            f"H' {arrays['h_prime_before'][index]:.3f} → {arrays['h_prime_after'][index]:.3f}"
        ),
        help="The image whose logits are shown.",
    )
    image, chart = st.columns([1, 5])
    image.html(enlarged(arrays["pixels_before"][chosen], "the chosen sample"))
    with chart:
        figure = logits_figure(
            arrays["p_logits_before"][chosen],
            arrays["q_logits_before"][chosen],
            arrays["q_logits_after"][chosen],
            classes,
        )
        live_chart(figure, key="half_move", revision=f"{iteration}-{chosen}", alt="Logits")
