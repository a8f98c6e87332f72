"""The bar over a run's history: a slider over the stored moments, steps, replay and live."""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field

import streamlit as st

from adadfq_core.runs.history import Moments

REPLAY_REFRESH_SECONDS = 0.4
"""How often the page is to be drawn while a replay goes."""

# A replay shows this many moments a second, or more where it would last longer than a minute.
SLOWEST_PER_SECOND = 1 / REPLAY_REFRESH_SECONDS
LONGEST_SECONDS = 60.0
# A slider cannot be placed more finely; the steps still reach every moment.
MAX_STOPS = 1000
# Name of the slider's right end. It stays as moments are added, so that following the run live
# never moves the slider from here.
LIVE = "live"
# For so long a browser may send the position from which the slider was moved from here.
ECHO_SECONDS = 1.0


@dataclass
class Playhead:
    """Which moment a page shows; `stored` is always the run's moments, of which there are some.

    `shown` is an iteration, `None` for live. While it is an old one the slider ends at `until`, so
    that moments which are stored meanwhile do not move it under the reader's hand.
    """

    shown: int | None = None
    until: int = 0
    started: float | None = None
    """When the replay began, in seconds of any clock; `None` if none goes."""
    started_place: int = 0
    per_second: float = SLOWEST_PER_SECOND
    drawn: int | str = LIVE
    """Where the slider stood when it was last drawn or moved by the reader."""
    left: dict[int | str, float] = field(default_factory=dict)
    """Positions from which the slider was moved from here, and when."""

    @property
    def position(self) -> int | str:
        """Where the slider stands."""
        return LIVE if self.shown is None else self.shown

    def place(self, stored: Sequence[int]) -> int:
        """Index in `stored` of the moment shown, the newest for live."""
        return (len(stored) if self.shown is None else bisect_right(stored, self.shown)) - 1

    def show(self, iteration: int, stored: Sequence[int]) -> None:
        """Show the moment `iteration`."""
        if self.shown is None or iteration > self.until:
            self.until = stored[-1]
        self.shown = iteration

    def go_live(self) -> None:
        """Show what is newest, and whatever comes."""
        self.shown = self.started = None

    def step(self, by: int, stored: Sequence[int]) -> None:
        """Show the moment `by` places later; after the last one comes live."""
        self.started = None
        place = max(self.place(stored) + by, 0)
        if place < len(stored):
            self.show(stored[place], stored)
        else:
            self.go_live()

    def play(self, stored: Sequence[int], now: float) -> None:
        """Replay from the moment shown, from the first one if that is the end."""
        place = self.place(stored)
        self.started_place = place if place < len(stored) - 1 else 0
        self.started = now
        self.per_second = max(SLOWEST_PER_SECOND, len(stored) / LONGEST_SECONDS)
        self.show(stored[self.started_place], stored)

    def advance(self, stored: Sequence[int], now: float) -> None:
        """Show what a replay has reached by `now`; its end is live."""
        if self.started is None:
            return
        place = self.started_place + int((now - self.started) * self.per_second)
        if place < len(stored):
            self.show(stored[place], stored)
        else:
            self.go_live()

    def stops(self, stored: Sequence[int]) -> list[int | str]:
        """Where the slider stops: `MAX_STOPS` moments at most, evenly, the one shown, and live."""
        end = len(stored) if self.shown is None else bisect_right(stored, self.until)
        stride = 1
        while end > MAX_STOPS * stride:
            stride *= 2
        shown = set() if self.shown is None else {self.shown}
        return [*sorted({*stored[:end:stride], stored[end - 1]} | shown), LIVE]

    def draw(self, now: float) -> None:
        """Note where the slider is drawn."""
        if self.drawn != self.position:
            self.left[self.drawn] = now
            self.drawn = self.position
        self.left = {
            place: when
            for place, when in self.left.items()
            if place != self.drawn and now - when < ECHO_SECONDS
        }

    def move(self, position: int | str, stored: Sequence[int], now: float) -> None:
        """Follow the slider that the reader moved to `position`.

        A page that is drawn every second asks for that with the slider as the browser has it. If
        a button has moved it meanwhile, that is where it was before and no wish of the reader's.
        """
        if position in self.left and now - self.left[position] < ECHO_SECONDS:
            return
        self.drawn = position
        self.started = None
        if isinstance(position, int):
            self.show(position, stored)
        else:
            self.go_live()


def _playhead(key: str) -> Playhead:
    playhead: Playhead = st.session_state.setdefault(f"{key}_playhead", Playhead())
    return playhead


def playing(key: str) -> bool:
    """Whether the bar `key` replays: then the page is drawn every `REPLAY_REFRESH_SECONDS`."""
    return _playhead(key).started is not None


def show_moment(key: str, iteration: int) -> None:
    """Let the bar `key` show the moment `iteration`."""
    _playhead(key).show(iteration, (iteration,))


def moment_of(key: str) -> int | None:
    """The iteration that the bar `key` shows; `None` for live, and while a replay goes."""
    playhead = _playhead(key)
    return playhead.shown if playhead.started is None else None


def _toggle_replay(playhead: Playhead, stored: Sequence[int]) -> None:
    if playhead.started is None:
        playhead.play(stored, time.monotonic())
    else:
        playhead.started = None


def _moved(playhead: Playhead, stored: Sequence[int], key: str) -> None:
    playhead.move(st.session_state[key], stored, time.monotonic())


def _toggle_live(playhead: Playhead, stored: Sequence[int]) -> None:
    if playhead.shown is None:
        playhead.show(stored[-1], stored)
    else:
        playhead.go_live()


def history_bar(moments: Moments, live_iteration: int, key: str) -> int | None:
    """Draw the bar; returns the iteration to show, `None` for live.

    `live_iteration` is what the run has reached. `key` names the bar and has to differ for every
    run. A replay moves on whenever this is drawn, by the time that has passed.
    """
    stored = moments.iterations
    playhead = _playhead(key)
    now = time.monotonic()
    there = bool(stored)
    if there:
        playhead.advance(stored, now)
    playhead.draw(now)
    live = playhead.shown is None
    slider = f"{key}_slider"
    st.session_state[slider] = playhead.position
    with st.container(horizontal=True, vertical_alignment="bottom"):
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
        st.select_slider(
            _title(playhead, live_iteration),
            playhead.stops(stored) if there else [0, LIVE],
            key=slider,
            help="It stops where images, an accuracy or a map was stored.",
            disabled=not there,
            on_change=_moved,
            args=(playhead, stored, slider),
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
