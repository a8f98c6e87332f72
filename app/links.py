"""The link that holds a view: its run, its moment and its settings as parameters of the address.

A link comes from anyone. So it names no code, no file of the machine that opens it and nothing
that a page could take for markup, and what is bad about it is told, never raised.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from adadfq_core.errors import InputError
from adadfq_core.presets import DEFAULT_PRESET, PRESETS, preset_settings
from adadfq_core.settings import NO_DATA, RunSettings, make_settings
from adadfq_core.zoo.data.named import NAMED
from adadfq_core.zoo.registry import find

RUN, BESIDE, MOMENT, PRESET = "run", "beside", "at", "preset"
SETTING = "s."
"""Precedes a setting's name: `s.lambda_l=0.2`."""

MOST_CHARACTERS = 500
"""Longest text of one setting: a link stays short enough to be sent."""

_FILES = ("weights", "code_folder")
_RUN_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_ITERATION = re.compile(r"[0-9]{1,10}")
# Letters, digits and what names, numbers and patterns of layers need: neither links nor HTML.
_TEXT = re.compile(r"[\w .,=*?!\[\]/+-]*")
_NAME = re.compile(r"\w{1,40}")


@dataclass(frozen=True)
class ViewState:
    """What a page shows.

    `run_id` is the run (`None`: the one that a fresh page shows), `beside` a second one laid over
    it, `moment` the iteration looked at (`None`: live). `changes` are the settings that differ
    from those of `preset`. `problems` are sentences on what a link held and the view does not.
    """

    run_id: str | None = None
    beside: str | None = None
    moment: int | None = None
    preset: str = DEFAULT_PRESET
    changes: dict[str, Any] = field(default_factory=dict)
    problems: tuple[str, ...] = ()

    def settings(self) -> RunSettings:
        """The preset's settings with the changes over them.

        Raises:
            InputError: unknown preset, or values that are not allowed; never after `from_query`.
        """
        return preset_settings(self.preset, self.changes)


def changes_from(settings: RunSettings, preset: str) -> dict[str, Any]:
    """The settings that differ from those of `preset`.

    Raises:
        InputError: unknown preset.
    """
    plain = preset_settings(preset)
    both = ((name, getattr(settings, name)) for name in RunSettings.model_fields)
    return {name: value for name, value in both if value != getattr(plain, name)}


def to_query(view: ViewState) -> dict[str, str]:
    """The parameters of a link to `view`: what is as on a fresh page, or not for links, is absent.

    Raises:
        InputError: the view's preset or settings are not allowed.
    """
    query = {}
    if view.run_id is not None:
        query[RUN] = view.run_id
    if view.beside is not None:
        query[BESIDE] = view.beside
    if view.moment is not None:
        query[MOMENT] = str(view.moment)
    if view.preset != DEFAULT_PRESET:
        query[PRESET] = view.preset
    for name, value in changes_from(view.settings(), view.preset).items():
        text = _written(value)
        if _refusal(name, text) is None:
            query[SETTING + name] = text
    return query


def _written(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        short = f"{value:g}"
        return short if float(short) == value else repr(value)
    if isinstance(value, tuple):
        return ",".join(_written(item) for item in value)
    return str(value)


def from_query(params: Mapping[str, str]) -> ViewState:
    """The view that a link's parameters hold; those of other programs are ignored.

    What is bad is left out and told in `problems`. Whether the runs exist is not looked at.
    """
    problems: list[str] = []
    preset = params.get(PRESET, DEFAULT_PRESET)
    if preset not in PRESETS:
        problems.append(
            f"The link's preset is unknown; {DEFAULT_PRESET} stands in for it, choose one of "
            f"{', '.join(PRESETS)}."
        )
        preset = DEFAULT_PRESET
    run_id = _matched(params, RUN, _RUN_ID, "the name of a run", problems)
    beside = _matched(params, BESIDE, _RUN_ID, "the name of a run", problems)
    if beside is not None and beside == run_id:
        problems.append(f"The link lays run {run_id} over itself; choose another run for that.")
        beside = None
    moment = _matched(params, MOMENT, _ITERATION, "the number of an iteration", problems)
    return ViewState(
        run_id,
        beside,
        None if moment is None else int(moment),
        preset,
        _changes(params, preset, problems),
        tuple(problems),
    )


def _matched(
    params: Mapping[str, str], key: str, allowed: re.Pattern[str], kind: str, problems: list[str]
) -> str | None:
    text = params.get(key)
    if text is None or allowed.fullmatch(text):
        return text
    problems.append(f"The link's '{key}' is not {kind} and was left out; ask for a new link.")
    return None


def _changes(params: Mapping[str, str], preset: str, problems: list[str]) -> dict[str, Any]:
    waiting: dict[str, str] = {}
    unknown: list[str] = []
    for key, text in params.items():
        name = key.removeprefix(SETTING)
        if name == key:
            continue
        if name not in RunSettings.model_fields:
            unknown.append(name if _NAME.fullmatch(name) else "one with an odd name")
            continue
        refusal = _refusal(name, text) or _unknown_network(name, text)
        if refusal is None:
            waiting[name] = text
        else:
            problems.append(refusal)
    if unknown:
        problems.append(
            f"The link names settings that this version does not have ({', '.join(unknown[:5])}); "
            "they were left out."
        )
    # One by one, so that a bad value costs no good one; and again while any was taken, since a
    # value may need another first: lambda_l = 0.9 a higher lambda_u.
    taken: dict[str, str] = {}
    refused: dict[str, str] = {}
    before = -1
    while before != len(taken):
        before = len(taken)
        for name in list(waiting):
            try:
                preset_settings(preset, {**taken, name: waiting[name]})
            except InputError as error:
                refused[name] = f"Left out of the link: {error}"
            else:
                taken[name] = waiting.pop(name)
    problems += [refused[name] for name in waiting]
    return changes_from(preset_settings(preset, taken), preset)


def _refusal(name: str, text: str) -> str | None:
    """Why a link must not set `name` to `text`; `None` if it may."""
    if name in _FILES or (name == "data" and text not in ("", NO_DATA, *NAMED)):
        return (
            f"The link's '{name}' is a file or folder of some machine and was left out; choose it "
            "on this page."
        )
    if name == "network" and make_settings({name: text}).names_own_code:
        return (
            "The link's network is code of someone's own, which a page never runs, and was left "
            "out; choose a network of the zoo."
        )
    if len(text) > MOST_CHARACTERS or not _TEXT.fullmatch(text):
        return (
            f"The link's '{name}' is longer than {MOST_CHARACTERS} characters or has some that no "
            "setting needs, and was left out; set it on this page."
        )
    return None


def _unknown_network(name: str, text: str) -> str | None:
    if name != "network":
        return None
    try:
        find(text)
    except InputError as error:
        return f"Left out of the link: {error}"
    return None
