from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from adadfq_core.ablation.axes import parse_axis
from adadfq_core.ablation.designs import grid
from adadfq_core.ablation.estimate import (
    MOST_RUNS,
    Pace,
    cost,
    costs,
    estimate,
    evaluations,
    in_words,
    known_pace,
    makespan,
    run_seconds,
)
from adadfq_core.ablation.plan import Halving, Plan
from adadfq_core.presets import preset_settings
from adadfq_core.runs.database import connect
from adadfq_core.runs.records import CommandKind, RecordKind, RunStatus
from adadfq_core.runs.store import RunStore
from adadfq_core.runs.writer import RunWriter
from adadfq_core.settings import RunSettings, make_settings

PACE = Pace(100.0, 5000.0, 7.0, "a stopwatch")
SHORT = {
    "epochs": 4,
    "iterations_per_epoch": 10,
    "warmup_epochs": 2,
    "evaluate_every": 10,
    "threads": 1,
}


def plan_of(*texts: str, changes: dict[str, Any] = SHORT, **others: Any) -> Plan:
    axes = [parse_axis(text) for text in texts]
    names = tuple(axis.name for axis in axes)
    return Plan(preset="interactive", changes=changes, axes=names, points=grid(axes), **others)


def paces_of(plan: Plan, pace: Pace = PACE) -> dict[Any, Pace]:
    return dict.fromkeys(costs(plan, threads=1), pace)


@pytest.mark.parametrize(
    ("changes", "count"),
    [
        # P and the calibrated Q after 20 iterations, Q after 30 and 40.
        ({}, 4),
        ({"evaluate_every": 7}, 5),
        ({"evaluate_every": 1000}, 3),
        ({"evaluate_every": 20}, 3),
        ({"data": "none"}, 0),
    ],
)
def test_evaluations_of_a_run(changes: dict[str, Any], count: int) -> None:
    assert evaluations(make_settings({**SHORT, **changes})) == count


def test_seconds_of_a_run_by_hand() -> None:
    # 40 iterations of 0.1 s, 4 evaluations of 5 s, 7 s to start.
    assert run_seconds(make_settings(SHORT), PACE) == pytest.approx(31)


@pytest.mark.parametrize(
    ("lengths", "workers", "end"),
    [
        ([], 2, 0),
        ([3, 4, 5], 1, 12),
        ([3, 4, 5], 2, 8),
        ([3, 4, 5], 3, 5),
        ([3, 4, 5], 9, 5),
        # Not the best order, but the one in which they start.
        ([1, 1, 1, 1, 4], 2, 6),
        ([4, 1, 1, 1, 1], 2, 4),
    ],
)
def test_runs_start_in_order_at_the_first_free_place(
    lengths: list[float], workers: int, end: float
) -> None:
    assert makespan(lengths, workers) == end


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.2, "about 1 s"),
        (52.4, "about 52 s"),
        (110, "about 2 min"),
        (754, "about 13 min"),
        (5_970, "about 1 h 40 min"),
        (7_100, "about 2 h"),
        (12_100, "about 3 h 20 min"),
        (100 * 3600, "about 100 h"),
    ],
)
def test_lengths_in_words(seconds: float, words: str) -> None:
    assert in_words(seconds) == words


def test_an_estimate_counts_runs_and_refused_cells() -> None:
    plan = plan_of("lambda_l=0.1,0.5", "lambda_u=0.5,0.9", seeds=(0, 1))
    found = estimate(plan, 2, 1, paces_of(plan))
    # 6 of 8 cells run, 31 s each, two at once.
    assert (found.runs, found.refused) == (6, 2)
    assert found.seconds == pytest.approx(93)
    assert found.sentence == (
        "6 runs (2 of 8 cells cannot run), 2 at once, about 93 s; reckoned from a stopwatch."
    )


def test_runs_of_other_lengths_and_costs_take_their_own_time() -> None:
    plan = plan_of("epochs=4,8", "method=adadfq,real")
    quicker = Pace(10.0, 5000.0, 7.0, "an hourglass")
    known = costs(plan, threads=3)
    assert sorted(settings.method for settings in known.values()) == ["adadfq", "real"]
    assert {settings.threads for settings in known.values()} == {3}
    paces = {one: quicker if one.method == "real" else PACE for one in known}
    found = estimate(plan, 1, 3, paces)
    # 4 epochs: 4 evaluations; 8: 8 of them.
    assert found.seconds == pytest.approx((4 + 27) + (0.4 + 27) + (8 + 47) + (0.8 + 47))
    assert found.sentence.endswith("reckoned from a stopwatch and an hourglass.")


def test_settings_that_cost_nothing_share_a_pace() -> None:
    plan = plan_of("bits=3,4", "beta=0:1:3", "lr_q=1e-4,1e-3", seeds=(0, 1, 2))
    assert len(costs(plan, threads=1)) == 1


@pytest.mark.parametrize(
    ("texts", "others", "end"),
    [
        (("beta=1",), {}, "1 run, 1 at once, about 31 s; reckoned from a stopwatch."),
        (
            ("beta=1,2",),
            {"halving": Halving()},
            "2 runs, 2 at once, about 31 s or less, as hopeless ones are stopped early; reckoned "
            "from a stopwatch.",
        ),
        (
            ("lambda_l=0.9", "lambda_u=0.1,0.2"),
            {},
            "0 runs (2 of 2 cells cannot run), so there is nothing to do.",
        ),
    ],
)
def test_sentences(texts: tuple[str, ...], others: dict[str, Any], end: str) -> None:
    plan = plan_of(*texts, **others)
    assert estimate(plan, 4, 1, paces_of(plan)).sentence == end


def test_a_pace_that_is_not_known_is_said() -> None:
    plan = plan_of("method=adadfq,gdfq")
    (first, _) = costs(plan, threads=1)
    found = estimate(plan, 2, 1, {first: PACE})
    assert (found.runs, found.seconds) == (2, None)
    assert found.sentence == "2 runs; how long they take is not known yet."


LogRun = Callable[..., str]


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    return RunStore(tmp_path / "runs")


@pytest.fixture
def log_run(store: RunStore) -> LogRun:
    """A finished run whose log says that an iteration took `ms` and an evaluation `evaluation_s`.

    `beside_s` is what it took beside; `sweep_of` is the number of workers of its sweep.
    """
    numbers = itertools.count()

    def log(
        ms: float,
        evaluation_s: float = 2.0,
        beside_s: float = 5.0,
        sweep_of: int | None = None,
        ray_address: str = "",
        **changes: Any,
    ) -> str:
        settings = make_settings({**preset_settings("interactive", SHORT).model_dump(), **changes})
        run_id = store.create_run(settings, max_active=100)
        seconds = 0.0
        with RunWriter(store.root, run_id) as writer:
            writer.attach(1, 1.0)
            writer.set_status(RunStatus.RUNNING)
            for iteration in range(1, 41):
                seconds += ms / 1e3
                writer.append(RecordKind.STEP, iteration, {"ms": 0.9 * ms, "seconds": seconds})
                writer.append(RecordKind.IMAGES, iteration, {})
                due = {20: ("p", "q_calibrated"), 30: ("q",), 40: ("q",)}.get(iteration, ())
                for network in due if settings.data != "none" else ():
                    seconds += evaluation_s
                    data = {"network": network, "top1": 50.0, "seconds": seconds}
                    writer.append(RecordKind.EVALUATION, iteration, data)
            writer.set_status(RunStatus.FINISHED)
        created = 1e9 + next(numbers)
        with closing(connect(store.database)) as connection:
            connection.execute(
                "UPDATE runs SET created = ?, updated = ? WHERE run_id = ?",
                (created, created + seconds + beside_s, run_id),
            )
            if sweep_of is not None:
                sweep_id = f"sweep {next(numbers)}"
                connection.execute(
                    "INSERT INTO sweeps (sweep_id, created, name, plan, workers, threads, "
                    "ray_address, status, updated) VALUES (?, 1, '', '{}', ?, 1, ?, '', 1)",
                    (sweep_id, sweep_of, ray_address),
                )
                connection.execute(
                    "INSERT INTO cells (sweep_id, cell, point, seed, status, run_id) "
                    "VALUES (?, 0, '{}', 0, 'finished', ?)",
                    (sweep_id, run_id),
                )
        return run_id

    return log


def settings_like(**changes: Any) -> RunSettings:
    return preset_settings("interactive", {**SHORT, "epochs": 9, "beta": 3.0, **changes})


def numbers_of(pace: Pace | None) -> tuple[float, float, float]:
    assert pace is not None
    return pace.ms_per_iteration, pace.ms_per_evaluation, pace.startup_s


def test_nothing_is_known_of_an_empty_store(store: RunStore) -> None:
    assert known_pace(store.root, settings_like(), 1) is None


def test_the_pace_is_read_from_the_log_of_a_run(store: RunStore, log_run: LogRun) -> None:
    log_run(ms=100.0)
    pace = known_pace(store.root, settings_like(), 1)
    # By the seconds at work, not by the time of the moves alone.
    assert numbers_of(pace) == pytest.approx((100, 2000, 5), rel=1e-6)
    assert pace is not None and pace.measured == "1 earlier run like them, 1 at once"


def test_the_median_of_the_newest_runs_counts(store: RunStore, log_run: LogRun) -> None:
    log_run(ms=9000.0)
    for ms in (50.0, 300.0, 100.0, 70.0, 90.0):
        log_run(ms=ms)
    pace = known_pace(store.root, settings_like(), 1)
    assert numbers_of(pace)[0] == pytest.approx(90)
    assert pace is not None and pace.measured == f"{MOST_RUNS} earlier runs like them, 1 at once"


def test_a_run_without_data_was_not_evaluated(store: RunStore, log_run: LogRun) -> None:
    log_run(ms=100.0, data="none")
    assert known_pace(store.root, settings_like(), 1) is None
    pace = known_pace(store.root, settings_like(data="none"), 1)
    assert numbers_of(pace) == pytest.approx((100, 0, 5), rel=1e-6)


@pytest.mark.parametrize(
    "changes",
    [
        {"network": "other"},
        {"image_shape": (1, 32, 32)},
        {"evaluation_images": 500},
        {"method": "gdfq"},
        {"ranges": "learned"},
        {"replay": 32},
        {"batch": 32},
        {"latent_dim": 10},
        {"generator_width": 128},
        {"value_every": 1},
        {"embed_every": 0},
        {"threads": 2},
    ],
)
def test_only_runs_that_cost_the_same_count(
    store: RunStore, log_run: LogRun, changes: dict[str, Any]
) -> None:
    log_run(ms=100.0)
    assert known_pace(store.root, settings_like(**changes), 1) is None
    log_run(ms=200.0, **changes)
    pace = known_pace(store.root, settings_like(**changes), 1)
    assert numbers_of(pace)[0] == pytest.approx(200)


def test_a_run_of_before_a_setting_counts_with_its_default(
    store: RunStore, log_run: LogRun
) -> None:
    run_id = log_run(ms=100.0)
    with closing(connect(store.database)) as connection:
        connection.execute(
            "UPDATE runs SET settings = json_remove(settings, '$.replay', '$.ranges') "
            "WHERE run_id = ?",
            (run_id,),
        )
    own = settings_like(ranges="minmax")
    assert numbers_of(known_pace(store.root, own, 1))[0] == pytest.approx(100)
    assert known_pace(store.root, settings_like(ranges="minmax", replay=32), 1) is None
    assert known_pace(store.root, settings_like(), 1) is None


def test_runs_with_as_many_neighbours_are_preferred(store: RunStore, log_run: LogRun) -> None:
    log_run(ms=150.0, sweep_of=2)
    log_run(ms=100.0)
    log_run(ms=400.0, sweep_of=8)
    log_run(ms=10.0, sweep_of=2, ray_address="auto")
    found = {workers: known_pace(store.root, settings_like(), workers) for workers in (1, 2, 4)}
    assert {workers: round(numbers_of(pace)[0]) for workers, pace in found.items()} == {
        1: 100,
        2: 150,
        # The newest, though with more neighbours.
        4: 400,
    }
    assert [pace.measured for pace in found.values() if pace] == [
        "1 earlier run like them, 1 at once",
        "1 earlier run like them, 2 at once",
        "1 earlier run like them, 8 at once, so with 4 each may go faster",
    ]


def test_runs_that_were_alone_tell_too_little_of_many(store: RunStore, log_run: LogRun) -> None:
    log_run(ms=100.0)
    pace = known_pace(store.root, settings_like(), 2)
    assert pace is not None
    assert pace.measured == "1 earlier run like them, 1 at once, so with 2 each takes longer"


def _command(store: RunStore, run_id: str) -> None:
    with closing(connect(store.database)) as connection:
        connection.execute(
            "INSERT INTO commands (run_id, created, kind, payload, applied_iteration) "
            "VALUES (?, 1, ?, '{}', 3)",
            (run_id, CommandKind.PAUSE),
        )


def _resume(store: RunStore, run_id: str) -> None:
    with closing(connect(store.database)) as connection:
        connection.execute(
            "INSERT INTO records (run_id, iteration, kind, data) VALUES (?, 20, 'status', ?)",
            (run_id, json.dumps({"status": "running", "reason": ""})),
        )


def _fail(store: RunStore, run_id: str) -> None:
    with closing(connect(store.database)) as connection:
        connection.execute("UPDATE runs SET status = 'failed' WHERE run_id = ?", (run_id,))


def _lose_times(store: RunStore, run_id: str) -> None:
    with closing(connect(store.database)) as connection:
        connection.execute("UPDATE records SET data = '{}' WHERE run_id = ?", (run_id,))


@pytest.mark.parametrize("disturb", [_command, _resume, _fail, _lose_times])
def test_runs_that_do_not_tell_how_long_they_take_do_not_count(
    store: RunStore, log_run: LogRun, disturb: Callable[[RunStore, str], None]
) -> None:
    run_id = log_run(ms=100.0)
    assert known_pace(store.root, settings_like(), 1) is not None
    disturb(store, run_id)
    assert known_pace(store.root, settings_like(), 1) is None


def test_a_long_log_among_many_runs_is_read_quickly(store: RunStore, log_run: LogRun) -> None:
    run_id = log_run(ms=100.0)
    step = json.dumps({"ms": 90.0, "seconds": 1.0, "h_prime": [0.5] * 16})
    measured = json.dumps({"network": "q", "top1": 50.0, "seconds": 1.0})
    with closing(connect(store.database)) as connection:
        connection.execute("BEGIN")
        # Before the run's own entries, as a long run has them.
        for kind, data, every in (("step", step, 1), ("evaluation", measured, 100)):
            connection.executemany(
                "INSERT INTO records (seq, run_id, iteration, kind, data) VALUES (?, ?, 1, ?, ?)",
                ((2 * n - (kind == "step"), run_id, kind, data) for n in range(-40_000, 0, every)),
            )
        connection.executemany(
            "INSERT INTO runs (run_id, created, settings, preset, status, updated) "
            "SELECT 'copy ' || ?, 1, settings, preset, 'stopped', 2 FROM runs WHERE run_id = ?",
            ((number, run_id) for number in range(2_000)),
        )
        connection.execute("COMMIT")
    began = time.process_time()
    pace = known_pace(store.root, settings_like(), 1)
    assert time.process_time() - began < 0.2
    assert numbers_of(pace)[0] == pytest.approx(100)


def test_costs_are_named_as_settings() -> None:
    assert set(cost(RunSettings())._fields) <= set(RunSettings.model_fields)
