"""What a machine of a cluster does with one run; without Ray."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from tiny_cells import evaluations, played, steps, tiny_cell

from adadfq_core.ablation.executors.base import Evaluation, Job
from adadfq_core.ablation.executors.ray_player import FOLDER_PREFIX, News, Outcome, Player
from adadfq_core.runs.archive import import_run
from adadfq_core.runs.records import RunStatus


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setenv("ADADFQ_HOME", str(tmp_path / "home"))


def _taken_in(root: Path, outcome: Outcome) -> str:
    path = root.with_suffix(".zip")
    path.write_bytes(outcome.archive)
    return import_run(root, path)


@pytest.mark.slow
def test_a_stopped_run_goes_on_elsewhere_to_the_numbers_of_an_uninterrupted_one(
    tmp_path: Path,
) -> None:
    settings = tiny_cell(slow_motion=100)
    player = Player()
    assert player.news() == News(0, ())
    seen: list[News] = []

    def watch() -> None:
        while player.news().iteration < 11:
            time.sleep(0.05)
        seen.append(player.news())
        player.stop()

    watcher = threading.Thread(target=watch)
    watcher.start()
    stopped = player.play(Job(0, settings, "quick"), b"")
    watcher.join()
    assert (stopped.status, stopped.reason) == (RunStatus.STOPPED, "")
    assert [measured.iteration for measured in seen[0].evaluations] == [10]
    assert 11 <= stopped.news.iteration < settings.iterations

    job = Job(0, settings, "quick", stopped.run_id)
    finished = Player().play(job, stopped.archive)
    assert (finished.run_id, finished.status) == (stopped.run_id, RunStatus.FINISHED)
    run_id = _taken_in(tmp_path / "runs", finished)
    alone = played(tmp_path / "alone", settings)
    assert steps(tmp_path / "runs", run_id) == steps(tmp_path / "alone", alone)
    assert evaluations(tmp_path / "runs", run_id) == evaluations(tmp_path / "alone", alone)
    assert finished.news == News(
        settings.iterations,
        tuple(
            Evaluation(iteration, top1)
            for iteration, network, top1 in evaluations(tmp_path / "alone", alone)
            if network == "q"
        ),
    )
    assert list((tmp_path / "temporary").glob(f"{FOLDER_PREFIX}*")) == []


@pytest.mark.slow
def test_a_run_without_a_checkpoint_starts_anew(tmp_path: Path) -> None:
    failed = Player().play(Job(0, tiny_cell(data=str(tmp_path / "gone.parquet")), ""), b"")
    assert failed.status is RunStatus.FAILED
    assert "gone.parquet" in failed.reason
    job = Job(0, tiny_cell(data="none"), "", failed.run_id)
    outcome = Player().play(job, failed.archive)
    assert outcome.status is RunStatus.FINISHED
    assert outcome.run_id != failed.run_id
    assert outcome.news.evaluations == ()


def test_a_run_that_cannot_start_says_why(tmp_path: Path) -> None:
    outcome = Player().play(Job(0, tiny_cell(method="real", data="none"), ""), b"")
    assert (outcome.run_id, outcome.status) == (None, RunStatus.FAILED)
    assert "method = real learns from real images" in outcome.reason
    assert outcome.archive == b""
    assert list((tmp_path / "temporary").glob(f"{FOLDER_PREFIX}*")) == []
