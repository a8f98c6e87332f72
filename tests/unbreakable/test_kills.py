"""A worker that is killed at any moment costs nothing that was stored, nor a bit of the result."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import time
from pathlib import Path

import pytest
from course import final_state, metrics, same, sheets
from workers import Nursery, ended, small, wait

from adadfq_core import runs
from adadfq_core.runs import RecordKind, RunStatus
from adadfq_core.runs.store import RunStore
from adadfq_core.settings import RunSettings


def _whole(root: Path, settings: RunSettings) -> tuple[Path, str]:
    run_id = runs.start(root, settings)
    assert ended(root, run_id) is RunStatus.FINISHED
    return root, run_id


def _check_same(root: Path, resumed: str, whole: tuple[Path, str]) -> None:
    assert metrics(root, resumed) == metrics(*whole)
    assert sheets(root, resumed) == sheets(*whole)
    assert same(final_state(root, resumed), final_state(*whole))
    folder = RunStore(root).folder(resumed)
    named = {record.file for record in runs.read(root, resumed).records if record.file}
    kept = {path.relative_to(root).as_posix() for path in folder.glob("checkpoints/*.pt")}
    assert {file for file in named if file.endswith(".pt")} == kept
    with sqlite3.connect(root / "runs.db") as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()


def _strike(nursery: Nursery, root: Path, run_id: str, fault: str) -> None:
    nursery.fault = fault
    runs.resume(root, run_id)
    assert ended(root, run_id) is RunStatus.LOST, f"{fault} did not strike"


def test_kills_in_writes_and_commits_cost_nothing(
    nursery: Nursery, root: Path, undisturbed: tuple[Path, str]
) -> None:
    # Struck in the second checkpoint's write, so that there is one to resume from.
    nursery.fault = "checkpoint half:2"
    run_id = runs.start(root, small())
    assert ended(root, run_id) is RunStatus.LOST
    for fault in ("commit before:4", "commit within:4", "arrays half:1"):
        _strike(nursery, root, run_id, fault)
    runs.resume(root, run_id)
    assert ended(root, run_id) is RunStatus.FINISHED
    _check_same(root, run_id, undisturbed)


@pytest.mark.slow
@pytest.mark.parametrize(
    "point",
    [
        "checkpoint half",
        "checkpoint unnamed",
        "commit before",
        "commit within",
        "commit after",
        "arrays half",
        "prune half",
    ],
)
def test_every_point_again_and_again(nursery: Nursery, root: Path, point: str) -> None:
    settings = small(epochs=20, checkpoint_every=3)
    run_id = runs.start(root, settings)
    wait(lambda: runs.latest(root, run_id, RecordKind.CHECKPOINT) is not None)
    os.kill(runs.info(root, run_id).pid or 0, signal.SIGKILL)
    assert ended(root, run_id) is RunStatus.LOST
    for count in (1, 2, 3):
        _strike(nursery, root, run_id, f"{point}:{count + ('commit' in point)}")
    runs.resume(root, run_id)
    assert ended(root, run_id) is RunStatus.FINISHED
    _check_same(root, run_id, _whole(root, settings))


@pytest.mark.slow
def test_fifty_kills_at_random_moments(nursery: Nursery, root: Path) -> None:
    random.seed(0)
    settings = small(
        **{"epochs": 20, "iterations_per_epoch": 30, "data": "", "evaluation_images": 50},
        **{"evaluate_every": 40, "checkpoint_every": 7},
    )
    run_id = runs.start(root, settings)
    wait(lambda: runs.latest(root, run_id, RecordKind.CHECKPOINT) is not None)
    moments = sorted(random.sample(range(8, settings.iterations - 30), 40))
    kills = 0
    # Where the process is still starting, and then anywhere between two iterations.
    for moment in [0] * 10 + moments:
        wait(lambda moment=moment: runs.info(root, run_id).iteration >= moment)
        time.sleep(random.random() * (0.15 if moment else 1.5))
        info = runs.info(root, run_id)
        assert info.active and info.pid is not None
        os.kill(info.pid, signal.SIGKILL)
        assert ended(root, run_id) is RunStatus.LOST
        kills += 1
        runs.resume(root, run_id)
    assert kills == 50
    assert ended(root, run_id) is RunStatus.FINISHED
    _check_same(root, run_id, _whole(root, settings))
