"""The buttons that start, hold, step and end a run, or start one to compare it with."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import streamlit as st

from adadfq_core import runs
from adadfq_core.errors import InputError, RunFailed
from adadfq_core.presets import DEFAULT_PRESET, WHAT_IFS
from adadfq_core.runs import RecordKind, RunInfo, RunStatus
from adadfq_core.runs.divergence import offered_rates
from adadfq_core.server_options import max_active
from adadfq_core.settings import make_settings
from app import access
from app.pace import EAGER_FOR
from app.panels import controls

# The run that is looked at and one to compare it with.
MOST_RUNS = 2
NO_RUN = ""
"""Where the shown run's id stands: the reader wants none, not even the newest."""
_PRESSED = "pressed_at"
_RESUMABLE = (RunStatus.STOPPED, RunStatus.LOST, RunStatus.FAILED)


def lately_pressed() -> bool:
    """Whether a button has asked something of a run that may not be done yet."""
    return time.monotonic() - st.session_state.get(_PRESSED, -math.inf) < EAGER_FOR


def attempt(action: Callable[[], object]) -> None:
    """Do `action`; a failure becomes the page's one-sentence message."""
    try:
        action()
        st.session_state.pop("error", None)
        st.session_state[_PRESSED] = time.monotonic()
    except (InputError, RunFailed) as error:
        st.session_state["error"] = str(error)


def _start(root: Path, **changes: Any) -> None:
    settings = make_settings(changes, controls.start_settings())
    preset = st.session_state.get("preset", DEFAULT_PRESET)
    st.session_state["run_id"] = access.start(root, settings, preset)
    st.session_state.pop("beside", None)


def _look_away() -> None:
    """Show no run, so that another can be chosen and started."""
    st.session_state["run_id"] = NO_RUN
    for name in ("beside", "shown_run"):
        st.session_state.pop(name, None)


def _new_seed(root: Path, info: RunInfo | None) -> None:
    seed = 0 if info is None else info.settings.seed
    _start(root, seed=seed + 1)
    # The seed has no widget: without this the next Start would play another game.
    st.session_state["base"] = {**st.session_state.get("base", {}), "seed": seed + 1}


def _compare(root: Path, info: RunInfo) -> None:
    name = st.session_state["what_if"]
    # As the run is now, sliders moved since its start included.
    settings = make_settings(WHAT_IFS[name], runs.current_settings(root, info.run_id))
    room = max(MOST_RUNS, max_active())
    st.session_state["beside"] = access.start(root, settings, name, room)


def buttons(root: Path, info: RunInfo | None) -> None:
    """All of them, each enabled where it makes sense."""
    run_id = info.run_id if info else ""
    unended = info is not None and not info.ended
    mine = info is None or access.may_steer(info)
    guest = access.visitor() is None
    active = mine and info is not None and info.active
    paused = mine and info is not None and info.status == RunStatus.PAUSED
    row = st.container(horizontal=True, gap="small", key="transport")

    def button(label: str, enabled: bool, action: Callable[[], object], about: str) -> None:
        row.button(
            label,
            type="primary" if label == "Start" else "secondary",
            width="stretch",
            disabled=not enabled,
            help=about,
            on_click=lambda: attempt(action),
        )

    if unended:
        button(
            "New run",
            not guest,
            _look_away,
            "Choose settings for another run. This one goes on, and the new one waits for its turn "
            "where there is no room.",
        )
    else:
        button(
            "Start",
            not guest,
            lambda: _start(root),
            "Start with the settings at the left; the same seed gives the same initial weights.",
        )
    button(
        "New seed",
        not (unended or guest),
        lambda: _new_seed(root, info),
        "Start with the next seed.",
    )
    if paused or (info is not None and info.status in _RESUMABLE):
        button("Resume", mine, lambda: access.resume(root, run_id), "Go on.")
    else:
        button("Pause", active, lambda: access.pause(root, run_id), "Hold before the next step.")
    button(
        "Next move",
        paused,
        lambda: access.step_half(root, run_id),
        "Let the next player of a paused run move: first G, then Q.",
    )
    button("Step", paused, lambda: access.step(root, run_id), "Play one whole iteration.")
    if info is not None and info.queued:
        about = "Take the run out of the queue; it does not start then."
        button("Leave queue", mine, lambda: access.stop(root, run_id), about)
    else:
        about = "End the run; it can be resumed."
        button("Stop", active, lambda: access.stop(root, run_id), about)
    about = "Start the same run with one thing changed, to be drawn into the same charts."
    with row.popover("Compare …", width="stretch", disabled=info is None, help=about):
        _comparison(root, info)


def way_back(root: Path, info: RunInfo) -> None:
    """After a divergence, the button that does what its sentence offers."""
    rates = offered_rates(info.reason) if info.status == RunStatus.FAILED else {}
    if rates and runs.latest(root, info.run_id, RecordKind.CHECKPOINT) is not None:
        values = " and ".join(f"{name} = {rate:g}" for name, rate in rates.items())
        st.button(
            f"Resume with {values}",
            icon=":material/restart_alt:",
            disabled=not access.may_steer(info),
            on_click=lambda: attempt(lambda: access.resume(root, info.run_id, changes=rates)),
            help="Go back to the last checkpoint; what was played after it is played anew. Resume "
            "alone plays the same numbers again.",
        )


def _comparison(root: Path, info: RunInfo | None) -> None:
    if info is None:
        return
    st.selectbox(
        "What if",
        list(WHAT_IFS),
        key="what_if",
        help="The same seed and settings but for this; both runs share the cores, so both slow "
        "down.",
    )
    st.button(
        "Start beside",
        width="stretch",
        disabled=access.visitor() is None,
        on_click=lambda: attempt(lambda: _compare(root, info)),
        help="Both runs are drawn into the same charts.",
    )
    if "beside" in st.session_state:
        st.button(
            "Show this run alone",
            width="stretch",
            on_click=lambda: st.session_state.pop("beside"),
            help="Take the other run out of the charts; it goes on.",
        )
