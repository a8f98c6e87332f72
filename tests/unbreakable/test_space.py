"""The room that a sweep needs is told before it starts, and one without room is refused."""

from __future__ import annotations

import shutil
from collections import namedtuple
from pathlib import Path

import pytest
from shells import shell
from stored import Stored
from workers import small

from adadfq_core.ablation.estimate import Cost, Pace, cost, known_pace, known_runs
from adadfq_core.ablation.plan import Plan
from adadfq_core.ablation.space import room_for, run_bytes, sweep_bytes
from adadfq_core.errors import RunFailed
from adadfq_core.runs.database import connect
from adadfq_core.runs.deletion import disk_use
from adadfq_core.runs.store import DATABASE

PACE = Pace(100.0, 0.0, 1.0, "a stopwatch", checkpoint_bytes=8e6, sheet_bytes=15e3)
Usage = namedtuple("Usage", "total used free")


def test_a_run_takes_what_was_told(stored: Stored, tmp_path: Path) -> None:
    settings = stored.answers["runs"][0].settings
    root = tmp_path / "runs"
    shutil.copytree(stored.root, root)
    # It was changed by hand, which would rule it out as a model.
    with connect(root / DATABASE) as connection:
        connection.execute("DELETE FROM commands")
    connection.close()
    pace = known_pace(root, settings, 1)
    assert pace is not None and pace.checkpoint_bytes > 1e6 and pace.sheet_bytes > 1e3
    taken = disk_use(root, [stored.run_id])[stored.run_id] + (root / DATABASE).stat().st_size
    assert taken * 0.8 < run_bytes(settings, pace) < taken * 1.3


@pytest.mark.parametrize(
    ("changes", "checkpoints"),
    [({"epochs": 5, "checkpoint_every": 100}, 1), ({"epochs": 500, "checkpoint_every": 100}, 9)],
)
def test_only_the_checkpoints_that_stay_count(changes: dict[str, int], checkpoints: int) -> None:
    settings = small(**changes)
    without = run_bytes(settings, Pace(1.0, 0.0, 1.0, "", 0.0, PACE.sheet_bytes))
    each = (run_bytes(settings, PACE) - without) / PACE.checkpoint_bytes
    assert checkpoints - 1 < each < checkpoints + 0.1


def test_every_run_counts_and_those_that_go_at_once_hold_one_more_checkpoint() -> None:
    one = run_bytes(small(), PACE)
    found = sweep_bytes([(small(), PACE)] * 6, 2)
    assert found == pytest.approx(6 * one + 2 * PACE.checkpoint_bytes, abs=2 * 4096)


def test_runs_of_an_unknown_pace_are_not_guessed() -> None:
    plan = Plan(
        preset="quick", changes={}, design="list", axes=("batch",), points=({"batch": 4},) * 2
    )
    assert known_runs(plan, 1, {}) is None
    paces: dict[Cost, Pace] = {cost(plan.settings(plan.cells[0])): PACE}
    known = known_runs(plan, plan.settings(plan.cells[0]).threads, paces)
    assert known is not None and len(known) == 2


def test_a_disk_with_too_little_room_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda place: Usage(9e9, 6e9, 3_000_000_000))
    root = tmp_path / "runs" / "not yet made"
    assert room_for(2_400_000_000, root) == "They store about 2.4 GB; the disk has 3.0 GB free."
    with pytest.raises(RunFailed) as refusal:
        room_for(12_000_000_000, root)
    assert str(refusal.value) == (
        f"The runs store about 12.0 GB and the disk of '{root}' has 3.0 GB free; free some space, "
        "vary less or choose another run folder."
    )


@pytest.mark.slow
def test_the_shell_starts_no_sweep_without_room(tiny_disk: Path) -> None:
    root = tiny_disk / "runs"
    words = ("ablate", "--over", "lambda_l=0:0.4:5", "--run-dir", str(root), "--workers", "1")
    done = shell(*words)
    assert (done.returncode, done.stdout) == (1, "")
    assert "and the disk of" in done.stderr and "Traceback" not in done.stderr
    done = shell("runs", "list", "--run-dir", str(root))
    assert (done.returncode, done.stdout) == (0, "")
