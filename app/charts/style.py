"""Colours and layout that all charts share: one colour a player, on light and dark alike."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go

P_COLOUR = "#7c8696"
G_COLOUR = "#d97706"
Q_COLOUR = "#0d9488"
BESIDE_COLOUR = "#a21caf"
Q_FAINT_COLOUR = "#99d5cf"
UNDER_COLOUR = "#dc2626"
OVER_COLOUR = "#2563eb"
MARGIN_FILL = "rgba(13, 148, 136, 0.14)"
H_PRIME_COLOUR = "#c026d3"
BNS_COLOUR = "#7c3aed"

# Which end of the H' axis is which, in the words that every chart of it uses.
DISAGREEMENT_END = "0: strong disagreement"
UNDER_FITTING = "under-fitting side"
AGREEMENT_END = "1: agreement"
OVER_FITTING = "over-fitting side"

# Ten colours that readers with a colour-vision deficiency can tell apart (Petroff,
# "Accessible color sequences for data visualization", arXiv 2107.02270).
CLASS_PALETTE = (
    "#3f90da",
    "#ffa90e",
    "#bd1f01",
    "#94a4a2",
    "#832db6",
    "#a96b59",
    "#e76300",
    "#b9ac70",
    "#717581",
    "#92dadd",
)


def class_colours(count: int) -> list[str]:
    """A colour for each of `count` classes; beyond ten they go once round the circle of hues."""
    if count <= len(CLASS_PALETTE):
        return list(CLASS_PALETTE[:count])
    return [f"hsl({360 * index / count:.1f}, 65%, 55%)" for index in range(count)]


def tinted(mark: str, colour: str, text: str) -> str:
    """`text` in the theme's colour after a `mark` in `colour`: legible on light and dark alike."""
    # The theme's colour may be a faint one, whose opacity the mark would inherit.
    return f"<span style='color:{colour};fill-opacity:1'>{mark}</span> {text}"


def layout(x_title: str, y_title: str, **extra: Any) -> dict[str, Any]:
    """Layout of a small chart with titled axes and a legend above the plot."""
    return {
        "margin": {"l": 56, "r": 12, "t": 28, "b": 44},
        "xaxis": {"title": {"text": x_title}},
        "yaxis": {"title": {"text": y_title}},
        "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        "showlegend": True,
        **extra,
    }


def mark_changes(figure: go.Figure, changes: list[tuple[int, str]]) -> None:
    """Mark on the iteration axis when settings changed; what changed stands in the hover text."""
    for iteration, text in changes:
        figure.add_vline(x=iteration, line={"width": 1, "dash": "dot", "color": P_COLOUR})
        figure.add_annotation(
            x=iteration,
            y=1,
            yref="paper",
            text="▾",
            showarrow=False,
            yanchor="bottom",
            hovertext=f"iteration {iteration}: {text}",
        )


def mark_moment(figure: go.Figure, iteration: int | None) -> None:
    """Mark the moment that the page looks at on the iteration axis; nothing for `None`."""
    if iteration is not None:
        figure.add_vline(x=iteration, line={"width": 2, "color": G_COLOUR})


def say_empty(figure: go.Figure, text: str) -> None:
    """Show `text` where data is still missing, instead of axes with made-up ticks."""
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False)
    figure.add_annotation(
        x=0.5, y=0.5, xref="paper", yref="paper", text=text, showarrow=False, opacity=0.7
    )
