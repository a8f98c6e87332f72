"""The axes of a new sweep as rows to fill in: which setting, and which values."""

from __future__ import annotations

from typing import Any, get_args

import streamlit as st

from adadfq_core.ablation.axes import Axis, parse_axis
from adadfq_core.ablation.names import latex_symbol, value_text, words
from adadfq_core.ablation.plan import BITS, COMPOUND_AXES, PRESET, WHAT_IF
from adadfq_core.errors import InputError
from adadfq_core.presets import PRESETS, WHAT_IFS
from adadfq_core.settings import LIVE_SETTINGS, RunSettings, bounds, field, metadata
from app.glossary import glossary_link
from app.markdown import code, plain

ROWS = "ablation_axes"
MOST_AXES = 8
MOST_VALUES_SHOWN = 12
PAPERS_FIGURE = {"lambda_l": "0:0.4:5", "lambda_u": "0.5:0.9:5"}

# Files and pictures of a run, how it is watched, and what the sweep itself sets: nothing to vary.
_NOT_VARIED = frozenset(
    (
        *("seed", "threads", "slow_motion", "weights", "data", "code_folder"),
        *("image_shape", "image_mean", "image_std", "value_every", "snapshot_every"),
        *("embed_every", "checkpoint_every", "evaluate_every", "evaluation_images"),
    )
)
VARIED = tuple(
    dict.fromkeys(
        name
        for name in (*LIVE_SETTINGS, *COMPOUND_AXES, "method", *RunSettings.model_fields)
        if name not in _NOT_VARIED
    )
)
"""What a row offers, the paper's hyper-parameters first."""

_SUGGESTED = {
    **PAPERS_FIGURE,
    BITS: "3,4,5",
    PRESET: ",".join(PRESETS),
    WHAT_IF: ",".join(WHAT_IFS),
    "network": str(field("network").default),
    "bit_overrides": "first=8",
    "temperature": "5,10,20",
}


def suggested(name: str) -> str:
    """Values to begin with for the axis `name`: all that a choice has, or some about the default.

    Numbers are the default, half of it and its double, as far as they are allowed.
    """
    if name in _SUGGESTED:
        return _SUGGESTED[name]
    info = field(name)
    if info.annotation is bool:
        return "false,true"
    if choices := get_args(info.annotation):
        return ",".join(map(str, choices))
    default = info.default
    if not default:
        return f"{default:g}"
    if metadata(name).get("log"):
        return f"{default / 10:g}:{default * 10:g}:3:log"
    low, high = bounds(name)
    tried: list[Any] = [default / 2, default, default * 2]
    if isinstance(default, int):
        tried = [int(value) for value in tried]
    allowed = [value for value in tried if (low or 0) <= value and (high is None or value < high)]
    return ",".join(f"{value:g}" for value in dict.fromkeys(allowed))


def explained(axis: Axis) -> str:
    """An axis in a line, as Markdown: its symbol, what it is and its values."""
    symbol = latex_symbol(axis.name)
    name = f"{f'${symbol}$ ' if symbol else ''}{words(axis.name)}"
    if not axis.values:
        return f"{name}, from {axis.low:g} to {axis.high:g}"
    shown = ", ".join(code(value_text(value)) for value in axis.values[:MOST_VALUES_SHOWN])
    more = ", …" * (len(axis.values) > MOST_VALUES_SHOWN)
    count = f"{len(axis.values)} value{'s' * (len(axis.values) != 1)}"
    return f"{name}, {count}: {shown}{more}"


def _option(name: str) -> str:
    about = words(name)
    return name if about == name.replace("_", " ") else f"{name} · {about}"


def _name_key(row: int) -> str:
    return f"sweep_axis_{row}_name"


def _values_key(row: int) -> str:
    return f"sweep_axis_{row}_values"


def _suggest(row: int) -> None:
    st.session_state[_values_key(row)] = suggested(st.session_state[_name_key(row)])


def _add() -> None:
    rows = st.session_state[ROWS]
    row = max(rows, default=-1) + 1
    taken = {st.session_state[_name_key(other)] for other in rows}
    name = next(name for name in VARIED if name not in taken)
    _put(row, name, suggested(name))
    st.session_state[ROWS] = [*rows, row]


def _put(row: int, name: str, values: str) -> None:
    st.session_state[_name_key(row)] = name
    st.session_state[_values_key(row)] = values


def _remove(row: int) -> None:
    st.session_state[ROWS] = [other for other in st.session_state[ROWS] if other != row]


def axes_panel() -> list[Axis] | None:
    """Draw the rows; the axes that they name, or `None` while one of them is not right."""
    if ROWS not in st.session_state:
        st.session_state[ROWS] = list(range(len(PAPERS_FIGURE)))
        for row, (name, values) in enumerate(PAPERS_FIGURE.items()):
            _put(row, name, values)
    axes: list[Axis | None] = [_row(row) for row in st.session_state[ROWS]]
    st.button(
        "Add an axis",
        icon=":material/add:",
        on_click=_add,
        disabled=len(axes) >= MOST_AXES,
    )
    return [axis for axis in axes if axis is not None] if None not in axes else None


def _row(row: int) -> Axis | None:
    setting, values, remove = st.columns([5, 5, 2], vertical_alignment="bottom")
    name: str = setting.selectbox(
        "Setting",
        VARIED,
        format_func=_option,
        key=_name_key(row),
        on_change=_suggest,
        args=(row,),
        help="What is varied; below it stands what it means.",
    )
    written: str = values.text_input(
        "Values",
        key=_values_key(row),
        help="As for the shell: `0:0.4:5` is five values from 0 to 0.4, `1e-5:1e-3:3:log` goes by "
        "factors, `3,4,5` is a list.",
    )
    remove.button(
        "Remove",
        icon=":material/close:",
        key=f"press_axis_{row}",
        type="tertiary",
        on_click=_remove,
        args=(row,),
        help=f"Do not vary {name}.",
    )
    try:
        axis = parse_axis(f"{name}={written}")
    except InputError as error:
        st.error(plain(str(error)))
        return None
    about = COMPOUND_AXES.get(name) or field(name).description or ""
    # Whatever has a symbol has an entry in the glossary.
    link = f" {glossary_link(name)}" if latex_symbol(name) else ""
    st.caption(explained(axis), help=about + link)
    return axis
