"""How many readers share one server."""

from __future__ import annotations

import time

import pytest

from app.pace import GONE_AFTER, SHARE, SLOWEST, Crowd, differs


class Clock:
    """Seconds that go by only where a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def crowd_of(sessions: int, cost: float, clock: Clock) -> Crowd:
    crowd = Crowd(clock)
    for _ in range(5):
        for number in range(sessions):
            crowd.drew(f"session {number}", cost)
    return crowd


@pytest.mark.parametrize(
    ("sessions", "cost", "wanted", "pace"),
    [
        (1, 0.3, 4.0, 4.0),
        (1, 0.3, 1.0, 1.0),
        (1, 5.0, 1.0, 1.0),
        (2, 5.0, 1.0, 2 * 5.0 / SHARE),
        (5, 0.3, 4.0, 4.0),
        (30, 0.3, 4.0, 30 * 0.3 / SHARE),
        (30, 0.3, 1.0, 30 * 0.3 / SHARE),
        (30, 0.01, 1.0, 1.0),
        (500, 0.3, 4.0, SLOWEST),
    ],
)
def test_all_together_take_at_most_a_share_of_a_core(
    sessions: int, cost: float, wanted: float, pace: float
) -> None:
    assert crowd_of(sessions, cost, Clock()).pace(wanted) == pytest.approx(pace)


def test_who_is_gone_takes_nothing() -> None:
    clock = Clock()
    crowd = crowd_of(30, 0.4, clock)
    clock.now += GONE_AFTER + 1
    crowd.drew("the last one", 0.4)
    assert crowd.pace(2.0) == 2.0


def test_a_few_slow_drawings_at_first_change_nothing() -> None:
    crowd = Crowd(Clock())
    for _ in range(4):
        crowd.drew("first", 9.0)
    assert crowd.pace(1.0) == 1.0
    for _ in range(20):
        crowd.drew("first", 0.1)
    assert crowd.pace(1.0) == 1.0


def test_the_cost_is_that_of_the_own_thread_and_counts_however_the_drawing_ends() -> None:
    crowd = Crowd()
    for _ in range(5):
        with pytest.raises(RuntimeError), crowd.drawing("waits"):
            time.sleep(0.05)  # takes time, but none of the processor's
            raise RuntimeError
    assert crowd.pace(0.01) < 0.05


@pytest.mark.parametrize(
    ("pace", "right", "changes"),
    [(4, 4, False), (4, 5.9, False), (4, 6.1, True), (20, 14, False), (20, 13, True)],
)
def test_a_pace_is_kept_while_it_is_about_right(pace: float, right: float, changes: bool) -> None:
    assert differs(pace, right) is changes
