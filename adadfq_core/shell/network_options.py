"""The options with which a shell names a network, its weights and its data."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from adadfq_core.errors import InputError
from adadfq_core.files import expanded
from adadfq_core.settings import RunSettings, make_settings, parse_assignment

Network = Annotated[
    str | None,
    typer.Option(help="A name of the zoo, or module:function of your own (its code runs)."),
]
Weights = Annotated[Path | None, typer.Option(help="P's weights: .safetensors, .pth, .th or .pt.")]
Data = Annotated[
    str | None, typer.Option(help="Labelled real images that measure accuracy, or none.")
]
Assignments = Annotated[list[str] | None, typer.Option("--set", help="key=value, repeatable.")]


def assigned(assignments: list[str] | None, **named: Any) -> dict[str, Any]:
    """Settings by name: those of `--set` and, over them, the options that were given.

    Raises:
        InputError: not of the form key=value, or an unknown key.
    """
    changes: dict[str, Any] = dict(parse_assignment(text) for text in assignments or [])
    changes |= {name: value for name, value in named.items() if value is not None}
    if "weights" in changes:
        changes["weights"] = str(expanded(changes["weights"]).absolute())
    return changes


def checked(settings: RunSettings) -> RunSettings:
    """`settings` with places made absolute, after what can be told at once was looked at.

    Raises:
        InputError: unknown network, or no such weights file.
    """
    from adadfq_core.zoo.registry import find

    changes: dict[str, Any] = {}
    if settings.names_own_code:
        changes["code_folder"] = settings.code_folder or str(Path.cwd())
    else:
        find(settings.network)
    if settings.weights and not os.path.isfile(settings.weights):
        raise InputError(f"There is no weights file {settings.weights}; check its path.")
    place = expanded(settings.data)
    if settings.data and os.path.exists(place):
        changes["data"] = str(place.absolute())
    return make_settings(changes, settings)
