"""The link that opens a lesson with its widgets set, for everyone in a class.

A link comes from anyone. It holds the number of a lesson and values that the lesson's widgets could
be given by hand, nothing else, and what is bad about it is told and left out, never raised.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.lessons.widgets import Widgets, spelled

LESSON = "lesson"
WIDGET = "w."
"""Precedes a widget's name: `w.bits=4`."""

_MOST_SHOWN = 20
_MOST_UNKNOWN = 5


def _name(key: str) -> str:
    """What a link calls a widget: `bits` for `learn_1_bits`."""
    return key.split("_", 2)[2]


def to_query(lesson: int, widgets: Widgets, values: Mapping[str, Any]) -> dict[str, str]:
    """The parameters of a link to `lesson` with its widgets at `values`, by their keys.

    Those at their start are left out.
    """
    query = {LESSON: str(lesson)}
    for key, widget in widgets.items():
        if (value := values[key]) != widget.start:
            query[WIDGET + _name(key)] = spelled(value)
    return query


def asked_lesson(params: Mapping[str, str], count: int) -> tuple[int, tuple[str, ...]]:
    """The lesson that a link asks for, from 1 to `count`, and a sentence where there is no such."""
    asked = params.get(LESSON, "1")
    if asked in map(str, range(1, count + 1)):
        return int(asked), ()
    return 1, (
        f"The link's lesson is '{_short(asked)}', and there are lessons 1 to {count}; lesson 1 is "
        "shown, choose another above.",
    )


def from_query(params: Mapping[str, str], widgets: Widgets) -> tuple[dict[str, Any], list[str]]:
    """The widgets' values in a link's parameters, by key, and a sentence on each that is bad.

    Parameters of other programs are ignored.
    """
    keys = {WIDGET + _name(key): key for key in widgets}
    values: dict[str, Any] = {}
    problems: list[str] = []
    unknown: list[str] = []
    for parameter, written in params.items():
        if parameter in keys:
            key = keys[parameter]
            try:
                values[key] = widgets[key].read(written)
            except ValueError:
                problems.append(
                    f"The link's '{_name(key)}' is '{_short(written)}', not {widgets[key]}, and "
                    "was left out; set it on this page or ask for a new link."
                )
        elif parameter.startswith(WIDGET):
            unknown.append(f"'{_short(parameter.removeprefix(WIDGET))}'")
    if unknown:
        problems.append(
            f"The link sets what this lesson does not have ({', '.join(unknown[:_MOST_UNKNOWN])}); "
            "that was left out, ask for a new link."
        )
    return values, problems


def _short(written: str) -> str:
    return written if len(written) <= _MOST_SHOWN else f"{written[:_MOST_SHOWN]}…"
