"""The game at a glance: a batch on the H' axis, the margin, and where G's loss pushes each sample.

The paper's figure 2 with the samples of the moment.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go

from app.charts.style import (
    AGREEMENT_END,
    CLASS_PALETTE,
    DISAGREEMENT_END,
    G_COLOUR,
    OVER_COLOUR,
    OVER_FITTING,
    P_COLOUR,
    Q_COLOUR,
    UNDER_COLOUR,
    UNDER_FITTING,
    Part,
    class_colours,
    layout,
    literal,
    margin_marks,
    tinted,
)

# Lengths of arrows in units of H'. The shortest still shows beside its mark; a push of 1, the
# margin's own, lies half-way between.
SHORTEST_ARROW = 0.022
LONGEST_ARROW = 0.086
# Room for the arrows of the samples at the two ends.
AXIS = (-0.1, 1.1)
WEAKEST_DRAWN = 0.02
# Arrows of a crowd would cover it: there only the strong pushes are drawn.
CROWD = 256
WEAKEST_DRAWN_IN_CROWD = 0.5
# The nearest to the axis' ends that the count inside stands, clear of the two other counts.
COUNT_INSIDE_RANGE = (0.22, 0.78)
# Share of a class's row that its marks' centres take.
LANES_HEIGHT = 0.44
GOLDEN = (5**0.5 - 1) / 2


def margin_picture(
    samples: Mapping[str, np.ndarray],
    lower: float,
    upper: float,
    classes: Sequence[str],
    first: int = 0,
) -> go.Figure:
    """Every sample of a batch on the H' axis with the margin [`lower`, `upper`] and G's push.

    Rows are classes up to ten of them; of more, samples are only spread so that marks stay apart. A
    cross is a disagreement sample (P and Q answer differently), a disc an agreement sample. An
    arrow's length grows with the push and saturates; the hover text has its value.

    Args:
        samples: "labels" and "h_prime" and "push" `(n,)` (`game.pushes`), "p_logits" and "q_logits"
            `(n, C)`; n from 2 to 1024.
        classes: C names.
        first: a number for the first sample; those of the others follow.

    Returns:
        A figure whose points carry `first` and their index in the batch as `customdata`.
    """
    h_prime, push = samples["h_prime"], samples["push"]
    count = len(h_prime)
    named_rows = len(classes) <= len(CLASS_PALETTE)
    rows = _class_rows(samples["labels"], h_prime, len(classes)) if named_rows else _spread(h_prime)
    marks = margin_marks(lower, upper, AXIS)
    marks["shapes"] += _regions(lower, upper)
    marks["annotations"] += [*_counts(h_prime, lower, upper), *_names_of_ends()]
    return go.Figure(
        [
            *_arrows(h_prime, rows, push),
            *_sample_marks(samples, rows, classes, _mark_size(count), first),
        ],
        layout(
            "H'",
            "class asked of G" if named_rows else "",
            xaxis={"range": AXIS, "tickvals": [0, 0.2, 0.4, 0.6, 0.8, 1], "zeroline": False},
            yaxis=_rows_axis(classes) if named_rows else {"range": [0, 1.12], "visible": False},
            margin={"l": 56, "r": 12, "t": 52, "b": 52},
            legend={
                "orientation": "h",
                "x": 0,
                "y": 1,
                "yref": "container",
                "yanchor": "top",
                "itemsizing": "constant",
            },
            hovermode="closest",
            **marks,
        ),
    )


def _rows_axis(classes: Sequence[str]) -> Part:
    """Classes from top to bottom, below one empty row for the boundaries' names."""
    return {
        "range": [len(classes) - 0.3, -1.4],
        "tickvals": list(range(len(classes))),
        "ticktext": [literal(name) for name in classes],
        "showgrid": False,
        "zeroline": False,
    }


def _class_rows(labels: np.ndarray, h_prime: np.ndarray, classes: int) -> np.ndarray:
    """A row a class; neighbours on the axis go to different lanes of their row."""
    lanes = 3 if len(labels) <= CROWD else 7
    rows = labels.astype(np.float64)
    for label in range(classes):
        members = np.flatnonzero(labels == label)
        ranks = np.argsort(np.argsort(h_prime[members], kind="stable"))
        lane = ranks % min(lanes, max(1, len(members)))
        rows[members] += (lane - lane.max(initial=0) / 2) * LANES_HEIGHT / (lanes - 1)
    return rows


def _spread(h_prime: np.ndarray) -> np.ndarray:
    """Heights from 0 to 1 that put neighbours on the axis far apart."""
    ranks = np.argsort(np.argsort(h_prime, kind="stable"))
    return 0.04 + 0.92 * ((ranks + 0.5) * GOLDEN % 1)


def _mark_size(count: int) -> int:
    for most, size in ((32, 12), (128, 9), (CROWD, 7)):
        if count <= most:
            return size
    return 5


def _regions(lower: float, upper: float) -> list[Part]:
    """Under, inside and over as coloured stretches of the axis."""
    return [
        {
            "type": "rect",
            "x0": start,
            "x1": end,
            "y0": 0,
            "y1": 0.014,
            "yref": "paper",
            "fillcolor": colour,
            "line": {"width": 0},
        }
        for start, end, colour in (
            (AXIS[0], lower, UNDER_COLOUR),
            (lower, upper, Q_COLOUR),
            (upper, AXIS[1], OVER_COLOUR),
        )
    ]


def _counts(h_prime: np.ndarray, lower: float, upper: float) -> list[Part]:
    under, over = int((h_prime < lower).sum()), int((h_prime > upper).sum())
    middle = float(np.clip((lower + upper) / 2, *COUNT_INSIDE_RANGE))
    return [
        {
            "x": x,
            "y": 1,
            "yref": "paper",
            "text": tinted("■", colour, f"{name}: <b>{number}</b>"),
            "showarrow": False,
            "xanchor": anchor,
            "yanchor": "bottom",
        }
        for name, number, x, anchor, colour in (
            ("under", under, AXIS[0], "left", UNDER_COLOUR),
            ("inside", len(h_prime) - under - over, middle, "center", Q_COLOUR),
            ("over", over, AXIS[1], "right", OVER_COLOUR),
        )
    ]


def _names_of_ends() -> list[Part]:
    return [
        {
            "x": x,
            "y": 0,
            "xref": "paper",
            "yref": "paper",
            "yshift": -18,
            "text": text,
            "align": anchor,
            "showarrow": False,
            "xanchor": anchor,
            "yanchor": "top",
            "font": {"size": 11},
        }
        for x, anchor, text in (
            (0, "left", tinted("◀", UNDER_COLOUR, f"{DISAGREEMENT_END},<br>{UNDER_FITTING}")),
            (1, "right", tinted("▶", OVER_COLOUR, f"{AGREEMENT_END},<br>{OVER_FITTING}")),
        )
    ]


def _arrows(h_prime: np.ndarray, rows: np.ndarray, push: np.ndarray) -> list[Part]:
    crowded = len(h_prime) > CROWD
    drawn = np.abs(push) >= (WEAKEST_DRAWN_IN_CROWD if crowded else WEAKEST_DRAWN)
    starts, heights, strength = h_prime[drawn], rows[drawn], push[drawn]
    share = np.abs(strength) / (1 + np.abs(strength))
    lengths = SHORTEST_ARROW + (LONGEST_ARROW - SHORTEST_ARROW) * share
    tips = starts + np.sign(strength) * lengths
    gaps = np.full_like(tips, np.nan)
    line = {
        "type": "scatter",
        "x": np.stack([starts, tips, gaps], axis=1).ravel(),
        "y": np.stack([heights, heights, gaps], axis=1).ravel(),
        "mode": "lines",
        "line": {"color": G_COLOUR, "width": 1 if crowded else 2},
        "opacity": 0.5 if crowded else 1,
        "name": "push of L<sub>G</sub>",
        "legendgroup": "push",
        "legendrank": 1003,
        "hoverinfo": "skip",
    }
    heads = {
        "type": "scatter",
        "x": tips,
        "y": heights,
        "mode": "markers",
        "marker": {
            "symbol": ["triangle-right" if value > 0 else "triangle-left" for value in strength],
            "size": 5 if crowded else 7,
            "color": G_COLOUR,
        },
        "legendgroup": "push",
        "showlegend": False,
        "hoverinfo": "skip",
    }
    return [line, heads]


def _sample_marks(
    samples: Mapping[str, np.ndarray],
    rows: np.ndarray,
    classes: Sequence[str],
    size: int,
    first: int,
) -> list[Part]:
    agree = samples["p_logits"].argmax(1) == samples["q_logits"].argmax(1)
    colours = np.array(class_colours(len(classes)))[samples["labels"]]
    texts = np.array(_hover_texts(samples, classes))
    traces: list[Part] = []
    for chosen, name, symbol, rank in (
        (agree, "agreement sample", "circle", 1001),
        (~agree, "disagreement sample", "x", 1002),
    ):
        marker = {"symbol": symbol, "line": {"width": 1, "color": P_COLOUR}}
        points = {
            "type": "scatter",
            "x": samples["h_prime"][chosen],
            "y": rows[chosen],
            "mode": "markers",
            "marker": {**marker, "size": size, "color": colours[chosen].tolist()},
            "customdata": (first + np.flatnonzero(chosen)).tolist(),
            "text": texts[chosen].tolist(),
            "hovertemplate": "%{text}<extra></extra>",
            "legendgroup": symbol,
            "showlegend": False,
        }
        # The legend's mark has no class, so it is a trace of its own without points.
        entry = {
            "type": "scatter",
            "x": [None],
            "y": [None],
            "mode": "markers",
            "marker": {**marker, "size": 10, "color": P_COLOUR},
            "name": f"{name}: {int(chosen.sum())}",
            "legendgroup": symbol,
            "legendrank": rank,
            "hoverinfo": "skip",
        }
        traces += [points, entry]
    return traces


def _hover_texts(samples: Mapping[str, np.ndarray], classes: Sequence[str]) -> list[str]:
    names = [literal(name) for name in classes]
    answers = [_answers(samples[name], names) for name in ("p_logits", "q_logits")]
    return [
        f"asked of G: <b>{names[label]}</b><br>P: {p} · Q: {q}"
        f"<br>H' {h:.3f} · adaptability {1 - h:.3f}<br>{_push_text(push)}"
        for label, p, q, h, push in zip(
            samples["labels"], *answers, samples["h_prime"], samples["push"], strict=True
        )
    ]


def _answers(logits: np.ndarray, classes: Sequence[str]) -> list[str]:
    shifted = np.exp(logits - logits.max(1, keepdims=True))
    shares = shifted.max(1) / shifted.sum(1)
    return [
        f"{classes[answer]} {100 * share:.0f} %"
        for answer, share in zip(logits.argmax(1), shares, strict=True)
    ]


def _push_text(push: float) -> str:
    if push == 0:
        return "push 0"
    whither = "agreement" if push > 0 else "disagreement"
    return f"push {push:+.3g} towards {whither}".replace("-", "−")
