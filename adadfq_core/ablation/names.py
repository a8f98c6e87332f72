"""What the axes and the results of a sweep are called: the paper's symbols, words and units."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import pandas as pd

from adadfq_core.ablation.plan import COMPOUND_AXES
from adadfq_core.errors import InputError
from adadfq_core.settings import field, metadata


class Measure(NamedTuple):
    """A result of a cell. `decimals` are the most that its resolution gives reason to write."""

    title: str
    decimals: int
    lower_is_better: bool = False


MEASURES = {
    "top1_q_last": Measure("top-1 of Q (%)", 2),
    "top1_q_best": Measure("best top-1 of Q (%)", 2),
    "top1_q_calibrated": Measure("top-1 of calibrated Q (%)", 2),
    "top1_p": Measure("top-1 of P (%)", 2),
    "recovered": Measure("share of the gap to P regained", 3),
    "ms_per_iteration": Measure("ms per iteration", 1, lower_is_better=True),
    "seconds": Measure("wall time (s)", 0, lower_is_better=True),
}
"""The results among the columns of a sweep's table, by column."""

_NO_AXES = {"cell", "status", "reason", "run_id", "seed", *MEASURES}

_GREEK = {"lambda": "λ", "alpha": "α", "beta": "β", "gamma": "γ", "eta": "η"}


def axes_of(frame: pd.DataFrame) -> list[str]:
    """The axes among the columns of a sweep's table, in its order."""
    return [name for name in frame.columns if name not in _NO_AXES]


def measure(name: str) -> Measure:
    """The result in column `name`.

    Raises:
        InputError: there is no such result.
    """
    if name not in MEASURES:
        raise InputError(f"'{name}' is no result of a sweep; choose one of {', '.join(MEASURES)}.")
    return MEASURES[name]


def latex_symbol(axis: str) -> str:
    """The paper's symbol of `axis` as LaTeX spells it in mathematics; empty where it has none."""
    return "" if axis in COMPOUND_AXES else str(metadata(axis).get("symbol", ""))


def plain_symbol(axis: str) -> str:
    """As `latex_symbol` in letters, `λ_l`."""
    letters = re.sub(r"\\([a-z]+)", lambda found: _GREEK[found[1]], latex_symbol(axis))
    return re.sub(r"[{}]", "", letters)


def html_symbol(axis: str) -> str:
    """As `latex_symbol` in HTML, `λ<sub>l</sub>`."""
    return re.sub(r"_(\w+)", r"<sub>\1</sub>", plain_symbol(axis))


def words(axis: str) -> str:
    """A few words for `axis`, such as "lower boundary"."""
    if axis in COMPOUND_AXES:
        return axis.replace("_", "-")
    return field(axis).title or axis.replace("_", " ")


def value_text(value: Any) -> str:
    """A value of an axis as a reader writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return value or "empty"
    return re.sub(r"e\+?(-?)0*", r"e\1", f"{value:g}")
