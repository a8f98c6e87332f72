from __future__ import annotations

import heapq
import math
import random

import pytest

from adadfq_core.ablation.halving import hopeless, rungs
from adadfq_core.ablation.plan import Halving
from adadfq_core.settings import RunSettings, make_settings


def settings_of(epochs: int, each: int, warmup: int, every: int) -> RunSettings:
    return make_settings(
        {
            "epochs": epochs,
            "iterations_per_epoch": each,
            "warmup_epochs": warmup,
            "evaluate_every": every,
        }
    )


@pytest.mark.parametrize(
    ("settings", "shares", "expected"),
    [
        # 1500 iterations, evaluated after 400, 500, 600 and so on.
        (settings_of(30, 50, 6, 100), (0.5,), [800]),
        (settings_of(30, 50, 6, 100), (0.25, 0.5), [400, 800]),
        (settings_of(30, 50, 6, 100), (0.5, 0.25, 0.26), [400, 800]),
        # 600 iterations, evaluated after 400 and at the end.
        (settings_of(12, 50, 4, 200), (0.5,), [400]),
        (settings_of(12, 50, 4, 200), (0.5, 0.9), [400]),
        # The warm-up's own measurement is not one of the trained Q.
        (settings_of(10, 10, 5, 10), (0.1, 0.5), [60]),
        # 0.7 of 10 is a little more than 7 in floating point.
        (settings_of(10, 1, 1, 1), (0.7,), [7]),
        # Only the end is evaluated.
        (settings_of(10, 10, 5, 1000), (0.5,), []),
        (settings_of(10, 10, 5, 50), (0.5,), []),
        (settings_of(10, 10, 5, 10), (1.0,), []),
        (settings_of(10, 10, 5, 10), (), []),
    ],
)
def test_rungs_are_evaluations_at_or_after_the_shares(
    settings: RunSettings, shares: tuple[float, ...], expected: list[int]
) -> None:
    assert rungs(settings, Halving(rungs=shares)) == expected


@pytest.mark.parametrize(
    ("value", "others", "factor", "stopped"),
    [
        (10, [], 3, False),
        (10, [90], 3, False),
        (10, [90, 80], 3, True),
        (90, [80, 10], 3, False),
        # Of 5 one goes on, of 6 two.
        (80, [90, 10, 10, 10], 3, True),
        (80, [90, 10, 10, 10, 10], 3, False),
        (70, [90, 80, 10, 10, 10], 3, True),
        # As good as the last of those that go on.
        (90, [90, 90], 3, False),
        (80, [90, 80, 10, 10, 10], 3, False),
        (10, [20], 2, True),
        (math.nan, [], 3, True),
        (math.nan, [90, 80, 70], 3, True),
        # One that diverged is worse than any number, but has reached the rung.
        (10, [math.nan, math.nan], 3, False),
        (10, [math.nan, 20], 3, True),
    ],
)
def test_the_best_part_goes_on(
    value: float, others: list[float], factor: int, stopped: bool
) -> None:
    assert hopeless(value, others, factor) is stopped


def simulate(order: list[int], workers: int, at: list[int], total: int) -> tuple[list[int], int]:
    """Runs `order` with curves that never cross, the higher number the better.

    Returns the runs that reached their end, and the iterations of all.
    """
    stops = [*at, total]
    seen: dict[int, list[float]] = {rung: [] for rung in at}
    waiting = list(order)
    # When a run reaches its next stop; runs are a little unequal, so they mix.
    events = [(stops[0] * (1 + run / 100), run, 0) for run in waiting[:workers]]
    del waiting[:workers]
    heapq.heapify(events)
    ended, iterations = [], 0
    while events:
        now, run, step = heapq.heappop(events)
        iterations += stops[step] - (stops[step - 1] if step else 0)
        stopped = False
        if step < len(at):
            top1 = (50 + run) * (1 - math.exp(-3 * stops[step] / total))
            stopped = hopeless(top1, seen[at[step]], 3)
            seen[at[step]].append(top1)
        if step == len(at):
            ended.append(run)
        if not stopped and step < len(at):
            more = stops[step + 1] - stops[step]
            heapq.heappush(events, (now + more * (1 + run / 100), run, step + 1))
        elif waiting:
            following = waiting.pop(0)
            heapq.heappush(events, (now + stops[0] * (1 + following / 100), following, 0))
    return ended, iterations


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("workers", [1, 2, 9])
def test_the_best_of_27_is_never_stopped_and_most_others_are(seed: int, workers: int) -> None:
    settings = settings_of(12, 100, 3, 100)
    at = rungs(settings, Halving(rungs=(1 / 3, 2 / 3)))
    assert at == [400, 800]
    order = random.Random(seed).sample(range(27), 27)
    ended, iterations = simulate(order, workers, at, settings.iterations)
    assert 26 in ended
    assert len(ended) < 18
    assert iterations < 0.8 * 27 * settings.iterations
