"""The bar over a run's history: a slider, steps between stored moments, replay and live."""

from __future__ import annotations

import time
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

import streamlit as st

from adadfq_core.runs.history import Moments
from app.components.timeline import timeline

REPLAY_REFRESH_SECONDS = 0.4
"""How often the page is to be drawn while a replay goes."""

# A replay shows this many moments a second, or more where it would last longer than a minute.
SLOWEST_PER_SECOND = 1 / REPLAY_REFRESH_SECONDS
LONGEST_SECONDS = 60.0


@dataclass
class Playhead:
    """Which moment a page shows; `stored` is always the run's moments, of which there are some.

    `shown` is an iteration, `None` for live. The slider goes over all `total` iterations of the run
    and its right end is live, so that a run that goes on moves neither the slider nor its ends.
    """

    shown: int | None = None
    started: float | None = None
    """When the replay began, in seconds of any clock; `None` if none goes."""
    started_place: int = 0
    per_second: float = SLOWEST_PER_SECOND

    def position(self, total: int) -> int:
        """Where the slider stands."""
        return total if self.shown is None else self.shown

    def place(self, stored: Sequence[int]) -> int:
        """Index in `stored` of the moment shown, the newest for live."""
        return (len(stored) if self.shown is None else bisect_right(stored, self.shown)) - 1

    def go_live(self) -> None:
        """Show what is newest, and whatever comes."""
        self.shown = self.started = None

    def step(self, by: int, stored: Sequence[int]) -> None:
        """Show the moment `by` places later; after the last one comes live."""
        self.started = None
        place = max(self.place(stored) + by, 0)
        if place < len(stored):
            self.shown = stored[place]
        else:
            self.go_live()

    def play(self, stored: Sequence[int], now: float) -> None:
        """Replay from the moment shown, from the first one if that is the end."""
        place = self.place(stored)
        self.started_place = place if place < len(stored) - 1 else 0
        self.started = now
        self.per_second = max(SLOWEST_PER_SECOND, len(stored) / LONGEST_SECONDS)
        self.shown = stored[self.started_place]

    def advance(self, stored: Sequence[int], now: float) -> None:
        """Show what a replay has reached by `now`; its end is live."""
        if self.started is None:
            return
        place = self.started_place + int((now - self.started) * self.per_second)
        if place < len(stored):
            self.shown = stored[place]
        else:
            self.go_live()

    def move(self, position: int, stored: Sequence[int], total: int) -> None:
        """Show the moment nearest to `position`; the right end and what is to come are live."""
        self.started = None
        if position == total or position > stored[-1]:
            self.go_live()
        else:
            self.shown = _nearest(stored, position)


def _nearest(stored: Sequence[int], position: int) -> int:
    """The moment nearest to `position`, the later of two."""
    place = bisect_left(stored, position)
    around = stored[max(place - 1, 0) : place + 1]
    return min(reversed(around), key=lambda moment: abs(moment - position))


def _playhead(key: str) -> Playhead:
    playhead: Playhead = st.session_state.setdefault(f"{key}_playhead", Playhead())
    return playhead


def playing(key: str) -> bool:
    """Whether the bar `key` replays: then the page is drawn every `REPLAY_REFRESH_SECONDS`."""
    return _playhead(key).started is not None


def show_moment(key: str, iteration: int) -> None:
    """Let the bar `key` show the moment `iteration`."""
    _playhead(key).shown = iteration


def moment_of(key: str) -> int | None:
    """The iteration that the bar `key` shows; `None` for live, and while a replay goes."""
    playhead = _playhead(key)
    return playhead.shown if playhead.started is None else None


def _toggle_replay(playhead: Playhead, stored: Sequence[int]) -> None:
    if playhead.started is None:
        playhead.play(stored, time.monotonic())
    else:
        playhead.started = None


def _toggle_live(playhead: Playhead, stored: Sequence[int]) -> None:
    if playhead.shown is None:
        playhead.shown = stored[-1]
    else:
        playhead.go_live()


def history_bar(moments: Moments, live_iteration: int, total: int, key: str) -> int | None:
    """Draw the bar; returns the iteration to show, `None` for live.

    A replay moves on whenever this is drawn, by the time that has passed.

    Args:
        live_iteration: what the run has reached, of `total`.
        key: names the bar and has to differ for every run.
    """
    stored = moments.iterations
    playhead = _playhead(key)
    there = bool(stored)
    if there:
        playhead.advance(stored, time.monotonic())
    live = playhead.shown is None
    with st.container(horizontal=True, vertical_alignment="bottom", key="history"):
        st.button(
            "Back",
            key=f"{key}_back",
            icon=":material/skip_previous:",
            shortcut="Left",
            help="Show the moment before.",
            disabled=not there or playhead.place(stored) == 0,
            on_click=playhead.step,
            args=(-1, stored),
        )
        st.button(
            "Play" if playhead.started is None else "Pause",
            key=f"{key}_play",
            icon=":material/play_arrow:" if playhead.started is None else ":material/pause:",
            help="Replay the run from the moment shown, from its beginning if it is live.",
            disabled=not there,
            on_click=_toggle_replay,
            args=(playhead, stored),
        )
        st.button(
            "Next",
            key=f"{key}_next",
            icon=":material/skip_next:",
            shortcut="Right",
            help="Show the moment after; the last one is followed by live.",
            disabled=live,
            on_click=playhead.step,
            args=(1, stored),
        )
        timeline(
            key=f"{key}_timeline",
            label=_title(playhead, live_iteration),
            name="Moment of the run",
            help="Goes to the nearest moment of which images, an accuracy or a map was stored; the "
            "right end is live.",
            position=playhead.position(total),
            total=total,
            disabled=not there,
            on_move=lambda position: playhead.move(position, stored, total),
            on_step=lambda by: playhead.step(by, stored),
        )
        st.button(
            "Live",
            key=f"{key}_live",
            type="primary" if live else "secondary",
            help="Follow the run; pressed again, stay at the newest moment while it goes on.",
            disabled=not there,
            on_click=_toggle_live,
            args=(playhead, stored),
        )
    return playhead.shown


def _title(playhead: Playhead, live_iteration: int) -> str:
    if playhead.shown is None:
        return f"Live: iteration {live_iteration}"
    doing = "History" if playhead.started is None else "Replay"
    return f"{doing}: iteration {playhead.shown} of {live_iteration}"
