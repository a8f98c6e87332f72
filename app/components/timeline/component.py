"""The Streamlit side of the timeline."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import streamlit as st

from app.components import assets

_FRONTEND = Path(__file__).parent / "frontend"

# Without isolation: the page's keys leave alone what is pressed in an input that they can see.
_mount = st.components.v2.component(
    "adadfq_timeline",
    js=assets.LOADER,
    css=(_FRONTEND / "timeline.css").read_text(encoding="utf-8"),
    isolate_styles=False,
)


def timeline(
    *,
    key: str,
    label: str,
    name: str,
    help: str,
    position: int,
    total: int,
    disabled: bool,
    on_move: Callable[[int], object],
    on_step: Callable[[int], object],
) -> None:
    """Draw a slider from 0 to `total` that stands at `position` unless its reader holds it.

    Args:
        key: Names the timeline. One timeline a key and session; like any widget key.
        label: Stands above it and tells in words where it stands.
        name: What it is, for readers who do not see it.
        help: Shown while the pointer rests on it.
        on_move: Called with a position between the ends to which the reader moved it, before the
            run that this causes, of the fragment if the timeline is in one.
        on_step: Called like `on_move` with -1 or 1 for an arrow key.
    """
    slot = f"_timeline:{key}"

    def hear(report: dict[str, Any]) -> None:
        st.session_state[slot] = report["number"]
        if "step" in report:
            on_step(-1 if report["step"] < 0 else 1)
        else:
            on_move(min(max(int(report["position"]), 0), total))

    _mount(
        key=key,
        data={
            "label": label,
            "name": name,
            "help": help,
            "position": position,
            "total": total,
            "disabled": disabled,
            # The browser's last report that `position` takes into account.
            "heard": st.session_state.get(slot),
            "assets": assets.publish("timeline", module=_module()),
        },
        on_reported_change=partial(assets.tell, key, "reported", hear),
    )


@cache
def _module() -> assets.File:
    return (_FRONTEND / "timeline.js").read_bytes(), assets.SCRIPT
