"""What a page makes of a run's log."""

from __future__ import annotations

import math
import os
from pathlib import Path

import pytest

from adadfq_core.game.step import SCALARS
from adadfq_core.presets import preset_settings
from adadfq_core.runs import RecordKind, RunStatus
from adadfq_core.runs.process import identity
from adadfq_core.runs.store import RunStore
from adadfq_core.runs.writer import RunWriter
from app.run_view import FIRST_ESTIMATE, RECENT_SAMPLES, RunView, newest


def _step(seconds: float) -> dict[str, object]:
    return dict.fromkeys(SCALARS, 1.0) | {
        **{"ms": 50.0, "seconds": seconds, "h_prime": [0.5]},
        **{"lr_g": 1e-3, "lr_q": 1e-4},
    }


@pytest.fixture
def run(tmp_path: Path) -> tuple[RunStore, RunWriter, str]:
    store = RunStore(tmp_path)
    run_id = store.create_run(preset_settings("interactive"), "interactive")
    writer = RunWriter(tmp_path, run_id)
    own = identity(os.getpid())
    assert own is not None
    writer.attach(own.pid, own.started)
    writer.set_status(RunStatus.RUNNING)
    yield store, writer, run_id
    writer.close()


def test_time_left_follows_the_latest_pace_and_not_the_start_up(
    run: tuple[RunStore, RunWriter, str],
) -> None:
    store, writer, run_id = run
    # Thirty seconds to get going, then ten iterations a second.
    for iteration in range(1, FIRST_ESTIMATE):
        writer.append(RecordKind.STEP, iteration, _step(30 + iteration / 10))
    writer.flush()
    view = RunView.attach(store.root, run_id)
    assert view.seconds_left() is None
    writer.append(RecordKind.STEP, FIRST_ESTIMATE, _step(30 + FIRST_ESTIMATE / 10))
    writer.flush()
    view.refresh()
    left = view.info.settings.iterations - FIRST_ESTIMATE
    assert view.seconds_left() == pytest.approx(left / 10)


def test_refresh_adds_what_is_new_and_keeps_the_latest_samples_apart(
    run: tuple[RunStore, RunWriter, str],
) -> None:
    store, writer, run_id = run
    for iteration in range(1, RECENT_SAMPLES + 2):
        writer.append(RecordKind.STEP, iteration, _step(iteration))
    writer.flush()
    view = RunView.attach(store.root, run_id)
    view.refresh()
    assert view.steps["iteration"].tolist() == list(range(1, RECENT_SAMPLES + 2))
    assert len(view.h_prime) == view.steps["samples"][-1] == RECENT_SAMPLES + 1
    assert view.recent_h_prime().tolist() == [0.5] * RECENT_SAMPLES
    writer.append(RecordKind.STEP, RECENT_SAMPLES + 2, _step(1) | {"h_prime": [0.1, 0.2]})
    writer.append(RecordKind.PARAMETERS, RECENT_SAMPLES + 2, {"changes": {"beta": 2.0}})
    writer.flush()
    view.refresh()
    assert view.recent_h_prime()[-3:].tolist() == [0.5, 0.1, 0.2]
    assert len(view.recent_h_prime()) == RECENT_SAMPLES
    assert view.recent_h_prime(3).tolist() == [0.5] * 3
    assert view.recent_h_prime(0).tolist() == []
    assert view.steps["samples"][-2:].tolist() == [RECENT_SAMPLES + 1, RECENT_SAMPLES + 3]
    assert view.setting_changes == [(RECENT_SAMPLES + 2, {"beta": 2.0})]


def test_a_run_of_an_earlier_version_leaves_gaps(run: tuple[RunStore, RunWriter, str]) -> None:
    store, writer, run_id = run
    old = {name: value for name, value in _step(1).items() if name not in ("lr_g", "grad_norm_g")}
    writer.append(RecordKind.STEP, 1, old)
    writer.flush()
    del old["h_prime"]
    writer.append(RecordKind.STEP, 2, old)
    writer.flush()
    view = RunView.attach(store.root, run_id)
    assert view.steps["samples"].tolist() == [len(view.h_prime)] * 2
    assert math.isnan(view.steps["lr_g"][0]) and math.isnan(view.steps["grad_norm_g"][0])
    assert view.steps["loss_g"].tolist() == [1.0, 1.0]


def test_a_fresh_page_shows_the_active_run_else_the_newest(
    run: tuple[RunStore, RunWriter, str],
) -> None:
    store, writer, active = run
    later = store.create_run(preset_settings("interactive"), max_active=2)
    store.end_run(store.info(later), RunStatus.LOST, "gone")
    assert newest(store.list_runs()) == active
    writer.set_status(RunStatus.FINISHED)
    assert newest(store.list_runs()) == later
    assert newest([]) is None


def test_the_numbers_of_a_moment_are_those_of_the_newest_step_by_then(
    run: tuple[RunStore, RunWriter, str],
) -> None:
    store, writer, run_id = run
    for iteration in (1, 2, 4):
        writer.append(RecordKind.STEP, iteration, _step(float(iteration)))
    writer.flush()
    view = RunView.attach(store.root, run_id)
    reached = {past: view.step_at(past)["iteration"] for past in (None, 0, 1, 3, 4, 9)}
    assert reached == {None: 4, 0: 1, 1: 1, 3: 2, 4: 4, 9: 4}
