"""The bar over a run's history: a slider, steps between stored moments, replay and live."""

from __future__ import annotations

import time
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field

import streamlit as st

from adadfq_core.runs.history import Moments

REPLAY_REFRESH_SECONDS = 0.4
"""How often the page is to be drawn while a replay goes."""

# A replay shows this many moments a second, or more where it would last longer than a minute.
SLOWEST_PER_SECOND = 1 / REPLAY_REFRESH_SECONDS
LONGEST_SECONDS = 60.0
# For so long a browser may send the position from which the slider was moved from here.
ECHO_SECONDS = 1.0


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
    drawn: int | None = None
    """Where the slider stood when it was last drawn or moved by the reader; `None` before."""
    left: dict[int, float] = field(default_factory=dict)
    """Positions from which the slider was moved from here, and when."""
    moved_at: float = 0.0
    """When the slider was last moved from here."""

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

    def draw(self, total: int, now: float) -> int:
        """Note where the slider is drawn; returns that."""
        position = self.position(total)
        if self.drawn != position:
            if self.drawn is not None:
                self.left[self.drawn] = now
            self.drawn, self.moved_at = position, now
        self.left = {
            place: when
            for place, when in self.left.items()
            if place != self.drawn and now - when < ECHO_SECONDS
        }
        return position

    def move(
        self, position: int, stored: Sequence[int], total: int, stride: int, now: float
    ) -> None:
        """Follow the slider, whose positions are `stride` apart, as the reader moved it.

        A page that is drawn every second asks for that with the slider as the browser has it. If
        a button has moved it meanwhile, that is where it was before and no wish of the reader's.
        """
        if position in self.left and now - self.left[position] < ECHO_SECONDS:
            return
        stepped_back = self.shown is None and position >= total - stride
        self.drawn = position
        self.started = None
        if position == total or (position > stored[-1] and not stepped_back):
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


def _moved(playhead: Playhead, stored: Sequence[int], total: int, stride: int, key: str) -> None:
    playhead.move(st.session_state[key], stored, total, stride, time.monotonic())


def _toggle_live(playhead: Playhead, stored: Sequence[int]) -> None:
    if playhead.shown is None:
        playhead.shown = stored[-1]
    else:
        playhead.go_live()


def history_bar(
    moments: Moments, live_iteration: int, total: int, stride: int, key: str
) -> int | None:
    """Draw the bar; returns the iteration to show, `None` for live.

    A replay moves on whenever this is drawn, by the time that has passed.

    Args:
        live_iteration: what the run has reached, of `total`.
        stride: how many iterations apart moments usually are.
        key: names the bar and has to differ for every run.
    """
    stored = moments.iterations
    playhead = _playhead(key)
    now = time.monotonic()
    there = bool(stored)
    if there:
        playhead.advance(stored, now)
    position = playhead.draw(total, now)
    live = playhead.shown is None
    slider = f"{key}_slider"
    moves = st.session_state.get(slider) != position or now - playhead.moved_at < ECHO_SECONDS
    if moves:
        # For a while, since a browser passes over updates that come in quick succession; not
        # always, since that would take the slider out of the hand that drags it.
        st.session_state[slider] = position
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
        st.slider(
            _title(playhead, live_iteration),
            0,
            total,
            None if moves else position,
            min(stride, total),
            key=slider,
            help="Goes to the nearest moment of which images, an accuracy or a map was stored; the "
            "right end is live.",
            disabled=not there,
            on_change=_moved,
            args=(playhead, stored, total, stride, slider),
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
