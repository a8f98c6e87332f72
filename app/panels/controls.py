"""The sidebar's settings: built from the settings model, sent to the run as they change."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import streamlit as st

from adadfq_core import runs
from adadfq_core.errors import InputError, RunFailed
from adadfq_core.presets import DEFAULT_PRESET, PRESETS, preset_settings
from adadfq_core.runs import RunInfo
from adadfq_core.settings import RunSettings, bounds, field, metadata
from app import access
from app.glossary import glossary_link
from app.panels.network import CHOICES, network_panel

FIXED = ("weight_bits", "activation_bits")
SECTIONS = {
    "Margin of H'": ("lambda_l", "lambda_u"),
    "Generator's loss": ("alpha_ds", "alpha_as", "beta", "gamma"),
    "Steps of both players": ("temperature", "lr_g", "lr_q"),
    "Speed": ("slow_motion",),
}
LIVE = tuple(name for names in SECTIONS.values() for name in names)
SPEEDS = [2000, 1000, 500, 200, 0]
TEMPERATURES = [0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0]
# Largest value a slider offers where the model allows far more than anyone tries.
SLIDER_TOP = {"alpha_ds": 2.0, "alpha_as": 2.0, "beta": 5.0, "gamma": 20.0}
RATES = [round(10**exponent * digit, 12) for exponent in range(-6, 0) for digit in (1, 2, 3, 5)]
# Stops of the sliders whose values are chosen by their magnitude.
LOGARITHMIC = {"temperature": TEMPERATURES, "lr_g": RATES, "lr_q": RATES}


def _key(name: str) -> str:
    return f"setting_{name}"


def show_settings(settings: RunSettings) -> None:
    """Put `settings` into the widgets; call it before they are drawn."""
    for name in (*FIXED, *LIVE):
        st.session_state[_key(name)] = _offered(name, getattr(settings, name))
    for name in CHOICES:
        st.session_state[_key(name)] = getattr(settings, name)


def _offered(name: str, value: float) -> float:
    if name in LOGARITHMIC:
        return min(
            LOGARITHMIC[name], key=lambda stop: abs(math.log(stop) - math.log(max(value, 1e-9)))
        )
    if name == "slow_motion":
        return min(SPEEDS, key=lambda speed: abs(speed - value))
    return min(value, SLIDER_TOP.get(name, math.inf))


def use_base(settings: RunSettings, changes: dict[str, Any]) -> None:
    """Show `settings`, and start with their `changes` to the preset that no widget offers."""
    show_settings(settings)
    st.session_state["base"] = changes


def _chosen() -> dict[str, Any]:
    """Values of the widgets; one that was not moved from what it shows of `base` keeps that."""
    chosen = {name: st.session_state[_key(name)] for name in (*CHOICES, *FIXED, *LIVE)}
    base = st.session_state.get("base", {})
    kept = {
        name: base[name]
        for name in base.keys() & {*FIXED, *LIVE}
        if chosen[name] == _offered(name, base[name])
    }
    return {**base, **chosen, **kept}


def start_settings() -> RunSettings:
    """Settings that Start uses: the preset with the widgets' values over it.

    Raises:
        InputError: values that do not go together.
    """
    preset = st.session_state.get("preset", DEFAULT_PRESET)
    return preset_settings(preset, _chosen())


def shown_settings(in_force: RunSettings, info: RunInfo) -> RunSettings:
    """`in_force` with the margin as its sliders stand: a run obeys an iteration later."""
    margin = {name: st.session_state[_key(name)] for name in ("lambda_l", "lambda_u")}
    if info.ended or margin["lambda_l"] >= margin["lambda_u"]:
        return in_force
    return in_force.model_copy(update=margin)


def _send(root: Path, run_id: str | None, name: str) -> None:
    if run_id is None:
        return
    try:
        if not runs.info(root, run_id).ended:
            access.set_parameters(root, run_id, {name: st.session_state[_key(name)]})
    except (InputError, RunFailed) as error:
        st.session_state["error"] = str(error)


def _use_preset() -> None:
    kept = {name: st.session_state[_key(name)] for name in CHOICES}
    use_base(preset_settings(st.session_state["preset"], kept), {})


def _speed(milliseconds: int) -> str:
    return f"{milliseconds} ms" if milliseconds else "none"


def label(name: str) -> str:
    """What a slider is called: the paper's symbol, if there is one, and a few words."""
    symbol, title = metadata(name)["symbol"], field(name).title
    return f"${symbol}$ {title}" if symbol else f"{title}"


def _help(name: str, more: str = "") -> str:
    """What a slider's setting does, `more` on it, and the way to its entry in the glossary."""
    return " ".join(filter(None, (field(name).description, more, glossary_link(name))))


def settings_panel(root: Path, run_id: str | None, active: bool) -> None:
    """Draw the sidebar; live settings of an active run are sent when they change."""
    network_panel(active)
    st.selectbox(
        "Preset",
        list(PRESETS),
        key="preset",
        on_change=_use_preset,
        disabled=active,
        format_func=lambda name: name,
        help="\n\n".join(f"**{preset.name}**: {preset.summary}" for preset in PRESETS.values()),
    )
    for name, column in zip(FIXED, st.columns(2), strict=True):
        low, high = bounds(name)
        column.slider(
            label(name),
            low,
            high,
            key=_key(name),
            disabled=active,
            help=_help(
                name, "Fixed while a run is going: its checkpoints belong to one bit width."
            ),
        )
    for title, names in SECTIONS.items():
        st.caption(f"**{title}**")
        for name in names:
            _live_slider(name, (root, run_id, name))


def _live_slider(name: str, recipient: tuple[Path, str | None, str]) -> None:
    common: dict[str, Any] = {
        "key": _key(name),
        "help": _help(name, f"Paper: {field(name).default:g}."),
        "on_change": _send,
        "args": recipient,
    }
    if name == "slow_motion":
        common["help"] = _help(name)
        st.select_slider(label(name), SPEEDS, format_func=_speed, **common)
    elif name in LOGARITHMIC:
        st.select_slider(
            label(name), LOGARITHMIC[name], format_func=lambda value: f"{value:g}", **common
        )
    else:
        st.slider(label(name), 0.0, SLIDER_TOP.get(name, 1.0), step=0.01, **common)
