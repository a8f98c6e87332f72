"""Words, numbers and colours that the charts of a sweep share."""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from adadfq_core.ablation.names import html_symbol, measure, value_text, words
from adadfq_core.ablation.plan import COMPOUND_AXES
from adadfq_core.ablation.states import CellStatus
from adadfq_core.ablation.tables import LOWER, UPPER, Pivot
from adadfq_core.settings import metadata
from app.charts.style import Part, literal

# Perceptually uniform, and read without telling hues apart.
SEQUENCE = "Viridis"
NOT_MEASURED = "not measured yet"
STOPPED_EARLY = "stopped early"
NOT_ALLOWED = "not allowed"

# Those of `style.CLASS_PALETTE` that no one takes for P's grey.
_GROUP_COLOURS = ("#3f90da", "#e76300", "#832db6", "#ffa90e", "#bd1f01", "#b9ac70", "#a96b59")
_GROUP_SYMBOLS = ("circle", "diamond", "square", "triangle-up", "cross", "star", "hexagon")


def group_look(index: int) -> tuple[str, str]:
    """Colour and symbol of the group at `index`; they come again from the eighth on."""
    place = index % len(_GROUP_COLOURS)
    return _GROUP_COLOURS[place], _GROUP_SYMBOLS[place]


def short_name(axis: str) -> str:
    """The paper's symbol of `axis`, or words where it has none."""
    return html_symbol(axis) or words(axis)


def axis_title(axis: str) -> str:
    """The paper's symbol of `axis` and a few words."""
    symbol = html_symbol(axis)
    return f"{symbol} ({words(axis)})" if symbol else words(axis)


def value_name(value: Any) -> str:
    """A value of an axis, safe within a figure's text."""
    return literal(value_text(value))


def is_log(axis: str) -> bool:
    """Whether values of `axis` are chosen on a logarithmic scale."""
    return axis not in COMPOUND_AXES and bool(metadata(axis).get("log"))


def colour_bar(value: str) -> Part:
    """A bar that tells the colours of the result `value`."""
    return {
        "title": {"text": measure(value).title, "side": "right"},
        "thickness": 12,
        "outlinewidth": 0,
    }


def place_name(place: Mapping[str, Any]) -> str:
    """Values of axes in bold, "λ_l = 0.1 · λ_u = 0.8"."""
    values = (f"{short_name(axis)} = {value_name(value)}" for axis, value in place.items())
    return f"<b>{' · '.join(values)}</b>"


def refusal(table: Pivot) -> str:
    """What the places of `table` that are not allowed are called."""
    rule = f": {html_symbol(LOWER)} must be below {html_symbol(UPPER)}"
    return NOT_ALLOWED + (rule if table.is_margin else "")


def number(value: float, digits: int) -> str:
    """`value` with `digits` decimals and a true minus."""
    return f"{value:.{digits}f}".replace("-", "−")


def mean_text(mean: float, sd: float, digits: int) -> str:
    """`mean` with `sd`, if there is one."""
    spread = f" ± {number(sd, digits)}" if np.isfinite(sd) else ""
    return number(mean, digits) + spread


def seed_text(cell: Mapping[str, Any], value: str) -> str:
    """One cell's result, or why there is none, after its seed."""
    result, status = cell[value], cell["status"]
    known = np.isfinite(result)
    if status == CellStatus.FAILED:
        told = f"failed: {html.escape(cell['reason'], quote=False)}"
    elif known and status == CellStatus.FINISHED:
        told = number(result, measure(value).decimals)
    elif known and status == CellStatus.HALVED:
        told = f"{number(result, measure(value).decimals)}, {STOPPED_EARLY}"
    else:
        told = f"{NOT_MEASURED} ({status})"
    return f"seed {cell['seed']}: {told}"


def seed_texts(cells: pd.DataFrame, value: str) -> list[str]:
    """`seed_text` of each of `cells`."""
    return [seed_text(cell, value) for cell in cells.to_dict("records")]
