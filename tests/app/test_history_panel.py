"""The bar over a run's history, without a browser."""

from __future__ import annotations

from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from app.panels import history
from app.panels.history import LONGEST_SECONDS, SLOWEST_PER_SECOND, Playhead

STORED = tuple(range(10, 101, 10))
LIVE = TOTAL = 500


def page() -> None:
    """A page that draws the bar in a fragment and says what it returns."""
    import streamlit as st

    from adadfq_core.runs.history import Moments
    from app.panels.history import history_bar, playing

    @st.fragment(run_every=1.0)
    def bar() -> None:
        moments = Moments(st.session_state["stored"])
        st.session_state["shown"] = history_bar(moments, st.session_state["live"], 500, "bar")
        st.session_state["playing"] = playing("bar")

    bar()


class Clock:
    now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(history, "time", clock)
    return clock


class Slider:
    """Stands for the one in the browser: what it was drawn with, and what its reader does."""

    def draw(self, **drawn: Any) -> None:
        self.drawn = drawn

    @property
    def label(self) -> str:
        return self.drawn["label"]

    @property
    def position(self) -> int:
        return self.drawn["position"]


@pytest.fixture
def slider(monkeypatch: pytest.MonkeyPatch) -> Slider:
    slider = Slider()
    monkeypatch.setattr(history, "timeline", slider.draw)
    return slider


@pytest.fixture
def bar(clock: Clock, slider: Slider) -> AppTest:
    test = AppTest.from_function(page, default_timeout=30)
    return refresh(test, STORED)


def refresh(bar: AppTest, stored: tuple[int, ...] | None = None) -> AppTest:
    """Draw again, as the fragment's timer does, perhaps with new moments."""
    if stored is not None:
        bar.session_state["stored"] = stored
        bar.session_state["live"] = max(stored, default=0) + 3
    bar.run()
    assert not bar.exception
    return bar


def shown(bar: AppTest) -> int | None:
    return bar.session_state["shown"]


def press(bar: AppTest, name: str) -> None:
    bar.button(key=f"bar_{name}").click().run()
    assert not bar.exception


def drag(bar: AppTest, slider: Slider, position: int) -> None:
    slider.drawn["on_move"](position)
    refresh(bar)


def highlighted(bar: AppTest) -> bool:
    """Whether the Live button says that the run is followed."""
    return bar.button(key="bar_live").proto.type == "primary"


def test_a_fresh_bar_is_live_and_follows_the_run(bar: AppTest, slider: Slider) -> None:
    assert shown(bar) is None
    assert (slider.position, slider.drawn["total"]) == (LIVE, TOTAL)
    assert slider.label == "Live: iteration 103"
    assert highlighted(bar) and bar.button(key="bar_next").disabled
    refresh(bar, (*STORED, 110))
    assert (shown(bar), slider.position) == (None, LIVE)


def test_before_there_is_a_history_everything_is_disabled(bar: AppTest, slider: Slider) -> None:
    refresh(bar, ())
    assert shown(bar) is None
    assert len(bar.button) == 4 and all(button.disabled for button in bar.button)
    assert slider.drawn["disabled"]
    refresh(bar, STORED)
    assert shown(bar) is None and not slider.drawn["disabled"]


def test_an_old_moment_stays_put_while_new_ones_arrive(bar: AppTest, slider: Slider) -> None:
    drag(bar, slider, 40)
    assert shown(bar) == 40
    assert not highlighted(bar)
    for last in (110, 120):
        refresh(bar, (*STORED, *range(110, last + 1, 10)))
        assert (shown(bar), slider.position) == (40, 40)
    assert slider.label == "History: iteration 40 of 123"
    press(bar, "live")
    assert (shown(bar), slider.position) == (None, LIVE)


def test_steps_go_from_moment_to_moment_and_end_in_live(bar: AppTest, slider: Slider) -> None:
    press(bar, "back")
    assert shown(bar) == 90
    press(bar, "next")
    assert shown(bar) == 100
    refresh(bar, (*STORED, 110))
    press(bar, "next")
    assert shown(bar) == 110
    press(bar, "next")
    assert shown(bar) is None
    drag(bar, slider, 10)
    assert bar.button(key="bar_back").disabled


def test_an_arrow_key_on_the_slider_goes_to_the_moment_beside(bar: AppTest, slider: Slider) -> None:
    for step, found in ((-1, 90), (-1, 80), (1, 90), (1, 100), (1, None)):
        slider.drawn["on_step"](step)
        refresh(bar)
        assert (shown(bar), slider.position) == (found, found or LIVE)


def test_the_slider_s_right_end_is_live(bar: AppTest, slider: Slider) -> None:
    drag(bar, slider, 100)
    assert shown(bar) == 100
    drag(bar, slider, LIVE)
    assert shown(bar) is None and highlighted(bar)


def test_the_right_end_is_live_where_the_last_moment_is_the_run_s_last_iteration(
    bar: AppTest, slider: Slider
) -> None:
    refresh(bar, (*STORED, TOTAL))
    drag(bar, slider, TOTAL - 1)
    assert shown(bar) == TOTAL
    drag(bar, slider, TOTAL)
    assert shown(bar) is None


@pytest.mark.parametrize(("asked", "found"), [(0, 10), (44, 40), (46, 50), (45, 50), (104, None)])
def test_the_slider_goes_to_the_nearest_moment_and_from_the_future_to_live(
    bar: AppTest, slider: Slider, asked: int, found: int | None
) -> None:
    drag(bar, slider, 70)
    drag(bar, slider, asked)
    assert shown(bar) == found
    assert slider.position == (found or LIVE)


def test_live_pressed_again_holds_the_newest_moment(bar: AppTest) -> None:
    press(bar, "live")
    refresh(bar, (*STORED, 110))
    assert (shown(bar), highlighted(bar)) == (100, False)


def test_a_replay_advances_with_the_clock_and_ends_in_live(
    bar: AppTest, slider: Slider, clock: Clock
) -> None:
    press(bar, "play")
    assert shown(bar) == 10 and bar.session_state["playing"]
    refresh(bar)
    assert shown(bar) == 10, "drawing again does not move it, time does"
    for place in (1, 2, 4):
        clock.now = 100 + (place + 0.5) / SLOWEST_PER_SECOND
        refresh(bar)
        assert shown(bar) == STORED[place]
    assert slider.label == "Replay: iteration 50 of 103"
    refresh(bar, (*STORED, 110))
    clock.now = 100 + 10.5 / SLOWEST_PER_SECOND
    refresh(bar)
    assert shown(bar) == 110, "what was stored meanwhile is replayed too"
    clock.now += 1 / SLOWEST_PER_SECOND
    refresh(bar)
    assert shown(bar) is None and not bar.session_state["playing"]


def test_a_replay_pauses_goes_on_and_gives_way(bar: AppTest, slider: Slider, clock: Clock) -> None:
    drag(bar, slider, 30)
    press(bar, "play")
    assert bar.button(key="bar_play").label == "Pause"
    clock.now += 1.5 / SLOWEST_PER_SECOND
    press(bar, "play")
    clock.now += 60
    refresh(bar)
    assert shown(bar) == 30 and bar.button(key="bar_play").label == "Play"
    press(bar, "play")
    clock.now += 1.5 / SLOWEST_PER_SECOND
    refresh(bar)
    assert shown(bar) == 40
    drag(bar, slider, 70)
    clock.now += 60
    refresh(bar)
    assert shown(bar) == 70


def test_a_long_run_s_replay_lasts_a_minute() -> None:
    stored = range(0, 50_000, 10)
    playhead = Playhead()
    playhead.play(stored, 0.0)
    playhead.advance(stored, LONGEST_SECONDS / 2)
    assert playhead.shown == 25_000
    playhead.advance(stored, LONGEST_SECONDS + 0.1)
    assert playhead.shown is None and playhead.started is None
