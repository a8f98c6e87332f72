"""What tells the settings of several runs apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from adadfq_core.settings import RunSettings


class Difference(NamedTuple):
    """A setting that is not the same in all of the runs, and its value in each of them."""

    name: str
    values: tuple[Any, ...]


def differences(settings: Sequence[RunSettings]) -> list[Difference]:
    """The settings that differ, in the order of the settings' model."""
    rows = (
        Difference(name, tuple(getattr(each, name) for each in settings))
        for name in RunSettings.model_fields
    )
    return [row for row in rows if any(value != row.values[0] for value in row.values)]
