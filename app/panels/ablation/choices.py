"""What the reader chooses to see of a sweep: its axes, a result, values of the other axes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd
import streamlit as st
from pandas.api.types import is_bool_dtype, is_numeric_dtype
from streamlit.delta_generator import DeltaGenerator

from adadfq_core.ablation.names import MEASURES, axes_of, plain_symbol, value_text, words
from adadfq_core.ablation.tables import ordered
from adadfq_core.settings import RunSettings


def varied_axes(frame: pd.DataFrame) -> list[str]:
    """The axes of a sweep's table that take more than one value."""
    return [name for name in axes_of(frame) if len(ordered(frame[name])) > 1]


def numeric_axes(frame: pd.DataFrame) -> list[str]:
    """Those of `varied_axes` whose values are numbers."""
    return [
        name
        for name in varied_axes(frame)
        if is_numeric_dtype(frame[name]) and not is_bool_dtype(frame[name])
    ]


def is_crossed(frame: pd.DataFrame) -> bool:
    """Whether at least half of what the axes' values could be combined to was asked for.

    Else, as with random points, there is little to see with all axes but two held.
    """
    axes = axes_of(frame)
    combinations = math.prod(len(ordered(frame[name])) for name in axes)
    return 2 * len(frame[axes].drop_duplicates()) >= combinations


def axis_label(name: str) -> str:
    """An axis in a list of axes."""
    symbol = plain_symbol(name)
    return f"{symbol} · {words(name)}" if symbol else words(name)


def choose_measure(place: DeltaGenerator, sweep_id: str) -> str:
    """Draw the choice of a result; its column."""
    value: str = place.selectbox(
        "Result",
        list(MEASURES),
        format_func=lambda name: MEASURES[name].title,
        key=f"sweep_measure_{sweep_id}",
        help="Of the end of each run, if nothing else is said; means are over seeds.",
    )
    return value


def choose_axis(
    place: DeltaGenerator, sweep_id: str, label: str, axes: Sequence[str], slot: str
) -> str:
    """Draw the choice of one of `axes`, remembered by `slot` as long as these are offered."""
    axis: str = place.selectbox(
        label, axes, format_func=axis_label, key=f"sweep_{slot}_{sweep_id}_{'_'.join(axes)}"
    )
    return axis


def choose_fixed(
    place: DeltaGenerator, frame: pd.DataFrame, sweep_id: str, free: Sequence[str]
) -> dict[str, Any]:
    """Draw a choice of one value for each varied axis that is not `free`."""
    fixed = {}
    for name in varied_axes(frame):
        if name not in free:
            values = ordered(frame[name])
            fixed[name] = place.selectbox(
                axis_label(name),
                values,
                index=usual_place(name, values),
                format_func=value_text,
                key=f"sweep_fixed_{sweep_id}_{name}",
                help="Values of an axis are never averaged over: look at one at a time.",
            )
    return fixed


def usual_place(name: str, values: Sequence[Any]) -> int:
    """Where the paper's value of the axis `name` is among `values`, or else the middle."""
    known = RunSettings.model_fields.get(name)
    if known is not None and known.default in values:
        return values.index(known.default)
    return len(values) // 2


def choice_row() -> DeltaGenerator:
    """A place for choices side by side; those that find no room go on below."""
    return st.container(horizontal=True, vertical_alignment="bottom")
