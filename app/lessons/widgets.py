"""What each widget of a lesson may be set to, said once for the page and for a link."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import streamlit as st

_NUMBER = re.compile(r"-?[0-9]{1,4}(\.[0-9]{1,4})?")
# Steps such as 0.05 are no whole numbers of bits.
_DIGITS = 6


@dataclass(frozen=True)
class Span:
    """The values of a slider: from `low` to `high` in steps, whole numbers where `step` is one."""

    low: float
    high: float
    start: float
    step: float

    def read(self, written: str) -> float:
        """The value that `written` spells.

        Raises:
            ValueError: there is no such value on the slider.
        """
        if not _NUMBER.fullmatch(written):
            raise ValueError(written)
        steps = (float(written) - self.low) / self.step
        if not math.isclose(steps, round(steps), abs_tol=1e-3):
            raise ValueError(written)
        value = round(self.low + round(steps) * self.step, _DIGITS)
        if not self.low <= value <= self.high:
            raise ValueError(written)
        return value

    def __str__(self) -> str:
        return f"a number from {self.low:g} to {self.high:g} in steps of {self.step:g}"


@dataclass(frozen=True)
class Choice:
    """The values of which one, or with a `start` of `None` none, is chosen."""

    options: tuple[Any, ...]
    start: Any

    def read(self, written: str) -> Any:
        """The option that `written` spells.

        Raises:
            ValueError: there is no such option.
        """
        return self.options[[spelled(option) for option in self.options].index(written)]

    def __str__(self) -> str:
        return f"one of {', '.join(map(spelled, self.options))}"


Widgets: TypeAlias = Mapping[str, Span | Choice]
"""A lesson's widgets by their keys, `learn_<number>_<name>`: what its `widgets()` returns."""


def spelled(value: object) -> str:
    """How a link writes the value of a widget."""
    if isinstance(value, float):
        return f"{round(value, _DIGITS):g}"
    return str(value).lower()


def begin(widgets: Widgets) -> None:
    """Set those widgets that nothing has set to their start; call it before they are drawn."""
    for key, widget in widgets.items():
        st.session_state.setdefault(key, widget.start)


def slider(label: str, key: str, span: Span, **how: Any) -> Any:
    """Draw the slider `key` of `span`, once `begin` has set it; its value."""
    return st.slider(label, span.low, span.high, step=span.step, key=key, **how)
