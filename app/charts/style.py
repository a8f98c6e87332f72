"""Colours and layout that all charts share: one colour a player, on light and dark alike.

Charts hand Plotly all traces and the whole layout as plain dicts in one call: it then checks each
part once, while every `add_...` or `update_...` checks anew what is there already (measured: one
`add_vline` takes as long as a whole figure).
"""

from __future__ import annotations

import html
from collections.abc import Iterable
from typing import Any, TypeAlias

import plotly.graph_objects as go

Part: TypeAlias = dict[str, Any]
"""A trace, an axis, a shape or an annotation as Plotly spells it."""

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

# Nearer to an end of the axis than this, in units of H', a boundary's name stands on the inner side
# of its line.
ROOM_FOR_NAME = 0.2
ROOM_BETWEEN_NAMES = 0.3
# In pixels: from the line to its name, and from one name down to the next.
NAME_GAP = 3
NAME_DROP = 15
# Of a user's words, in characters: names of classes and runs may have thousands.
LONGEST_TEXT = 80

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


def class_scale(count: int) -> Part:
    """Marker colours of `count` classes as a scale of steps: labels are sent, no colour names."""
    steps = [
        [place / count, colour]
        for index, colour in enumerate(class_colours(count))
        for place in (index, index + 1)
    ]
    return {"colorscale": steps, "cmin": -0.5, "cmax": count - 0.5, "showscale": False}


def tinted(mark: str, colour: str, text: str) -> str:
    """`text` in the theme's colour after a `mark` in `colour`: legible on light and dark alike."""
    # The theme's colour may be a faint one, whose opacity the mark would inherit.
    return f"<span style='color:{colour};fill-opacity:1'>{mark}</span> {text}"


def layout(
    x_title: str,
    y_title: str,
    *,
    xaxis: Part | None = None,
    yaxis: Part | None = None,
    **extra: Any,
) -> Part:
    """Layout of a small chart with titled axes and a legend above the plot."""
    return {
        "margin": {"l": 56, "r": 12, "t": 28, "b": 44},
        "xaxis": {"title": {"text": x_title}, **(xaxis or {})},
        "yaxis": {"title": {"text": y_title}, **(yaxis or {})},
        "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        "showlegend": True,
        # Streamlit's theme takes its place; Plotly's own is large and copied into every figure.
        "template": "none",
        **extra,
    }


def literal(text: str) -> str:
    """`text` as Plotly, which reads texts as HTML, shows it: as it is, a very long one cut."""
    if len(text) > LONGEST_TEXT:
        text = f"{text[: LONGEST_TEXT // 2]}…{text[-LONGEST_TEXT // 2 :]}"
    return html.escape(text, quote=False)


def change_marks(changes: Iterable[tuple[int, str]]) -> dict[str, list[Part]]:
    """Shapes and annotations that mark on the iteration axis when settings changed.

    What changed stands in the hover text.
    """
    shapes, annotations = [], []
    for iteration, text in changes:
        shapes.append(_upright_line(iteration, {"width": 1, "dash": "dot", "color": P_COLOUR}))
        annotations.append(
            {
                "x": iteration,
                "y": 1,
                "yref": "paper",
                "text": "▾",
                "showarrow": False,
                "yanchor": "bottom",
                "hovertext": f"iteration {iteration}: {literal(text)}",
            }
        )
    return {"shapes": shapes, "annotations": annotations}


def margin_marks(lower: float, upper: float, axis: tuple[float, float]) -> dict[str, list[Part]]:
    """Shapes and annotations of the margin [`lower`, `upper`] on a horizontal H' axis.

    The margin is shaded, its boundaries are dashed lines with their names at the top: outside the
    margin where `axis`, the ends of what is drawn, leaves room for them.
    """
    lower_outside = lower >= axis[0] + ROOM_FOR_NAME
    upper_outside = upper <= axis[1] - ROOM_FOR_NAME
    crowded = upper - lower < ROOM_BETWEEN_NAMES and not (lower_outside and upper_outside)
    shapes: list[Part] = [
        {
            "type": "rect",
            "x0": lower,
            "x1": upper,
            "y0": 0,
            "y1": 1,
            "yref": "paper",
            "fillcolor": MARGIN_FILL,
            "line": {"width": 0},
            "layer": "below",
        }
    ]
    annotations = []
    for value, symbol, anchor, drop in (
        (lower, "λ<sub>l</sub>", "right" if lower_outside else "left", 0),
        (upper, "λ<sub>u</sub>", "left" if upper_outside else "right", NAME_DROP * crowded),
    ):
        shapes.append(_upright_line(value, {"width": 1.5, "dash": "dash", "color": Q_COLOUR}))
        annotations.append(
            {
                "x": value,
                "y": 1,
                "yref": "paper",
                "text": f"{symbol} = {value:g}",
                "showarrow": False,
                "xanchor": anchor,
                "yanchor": "top",
                "xshift": -NAME_GAP if anchor == "right" else NAME_GAP,
                "yshift": -drop,
            }
        )
    return {"shapes": shapes, "annotations": annotations}


def h_prime_ends(top: tuple[float, str], bottom: tuple[float, str]) -> list[Part]:
    """Annotations: which end of an upright H' axis is which.

    Args:
        top, bottom: height of each text as a share of the drawing's, and which edge of the text
            lies there, "top" or "bottom".
    """
    return [
        {
            "x": 1,
            "y": y,
            "xref": "paper",
            "yref": "paper",
            "text": text,
            "showarrow": False,
            "xanchor": "right",
            "yanchor": anchor,
            "font": {"size": 11},
        }
        for (y, anchor), text in (
            (top, tinted("▲", OVER_COLOUR, f"{AGREEMENT_END}, {OVER_FITTING}")),
            (bottom, tinted("▼", UNDER_COLOUR, f"{DISAGREEMENT_END}, {UNDER_FITTING}")),
        )
    ]


def beside_lines(name: str, lines: Iterable[Part], colour: str = BESIDE_COLOUR) -> list[Part]:
    """`lines` of the run `name` dotted and thin, to be drawn after those of the shown run.

    One entry in the legend, in `colour`, stands for all of them and shows or hides them together.
    """
    style = {"width": 1.2, "dash": "dot"}
    name = literal(name)
    entry = {
        "type": "scatter",
        "x": [None],
        "y": [None],
        "mode": "lines",
        "name": name,
        "line": {"color": colour, **style},
        "legendgroup": "beside",
        "hoverinfo": "skip",
    }
    return [
        entry,
        *(
            line
            | {
                "name": f"{name}: {line['name']}",
                "line": line["line"] | style,
                "legendgroup": "beside",
                "showlegend": False,
            }
            for line in lines
        ),
    ]


def mark_moment(figure: go.Figure, iteration: int | None) -> None:
    """Mark the moment that the page looks at on the iteration axis; nothing for `None`."""
    if iteration is not None:
        figure.add_shape(_upright_line(iteration, {"width": 2, "color": G_COLOUR}))


def _upright_line(x: float, line: Part) -> Part:
    """A line over the whole height at `x`."""
    return {"type": "line", "x0": x, "x1": x, "y0": 0, "y1": 1, "yref": "paper", "line": line}


def say_empty(figure: go.Figure, text: str) -> None:
    """Show `text` where data is still missing, instead of axes with made-up ticks."""
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False)
    figure.add_annotation(
        x=0.5, y=0.5, xref="paper", yref="paper", text=text, showarrow=False, opacity=0.7
    )
