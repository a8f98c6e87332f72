"""A disk that takes nothing any more stops a run with a sentence, and costs nothing stored."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from course import metrics
from workers import Nursery, ended, small, wait

from adadfq_core import runs
from adadfq_core.errors import InputError, RunFailed
from adadfq_core.runs import RecordKind, RunStatus
from adadfq_core.runs.resumption import last_whole_checkpoint
from adadfq_core.runs.store import RunStore


def _remount(place: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", str(place)], check=True)


def _check_goes_on(root: Path, run_id: str, undisturbed: tuple[Path, str]) -> None:
    """The run goes on from its last good checkpoint to what an undisturbed one reaches."""
    assert last_whole_checkpoint(RunStore(root), run_id).notice == ""
    runs.resume(root, run_id)
    assert ended(root, run_id) is RunStatus.FINISHED
    assert metrics(root, run_id) == metrics(*undisturbed)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("checkpoint full:3", r"Cannot write the checkpoint .*\(.*No space left on device\); free"),
        pytest.param(
            "checkpoint readonly:3",
            r"Cannot write the checkpoint .*\(.*Read-only file system\)",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_checkpoint_that_cannot_be_written_stops_the_run(
    nursery: Nursery,
    root: Path,
    undisturbed: tuple[Path, str],
    fault: str,
    reason: str,
) -> None:
    nursery.fault = fault
    run_id = runs.start(root, small())
    assert ended(root, run_id) is RunStatus.FAILED
    with pytest.raises(RunFailed, match=reason):
        raise RunFailed(runs.info(root, run_id).reason)
    checkpoints = runs.read(root, run_id, kinds=[RecordKind.CHECKPOINT]).records
    assert [record.iteration for record in checkpoints] == [4, 8]
    assert sorted(path.name for path in (root / run_id / "checkpoints").iterdir()) == [
        "00000004.pt",
        "00000008.pt",
    ]
    _check_goes_on(root, run_id, undisturbed)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="file sizes are limited by POSIX")
def test_a_store_that_takes_no_row_leaves_the_reason_in_the_log(
    nursery: Nursery, root: Path, undisturbed: tuple[Path, str]
) -> None:
    nursery.fault = "files full:2"
    run_id = runs.start(root, small())
    assert ended(root, run_id) is RunStatus.LOST
    assert "runs.db' cannot be used (disk I/O error); check its disk." in (
        runs.info(root, run_id).reason
    )
    _check_goes_on(root, run_id, undisturbed)


def test_a_full_disk_stops_the_run_and_room_lets_it_go_on(
    tiny_disk: Path, undisturbed: tuple[Path, str], request: pytest.FixtureRequest
) -> None:
    root = tiny_disk / "runs"
    # As the program starts it: its log is where it leaves its last words.
    run_id = runs.start(root, small())
    assert ended(root, run_id) in (RunStatus.FAILED, RunStatus.LOST)
    reason = runs.info(root, run_id).reason
    assert "free" in reason and "Traceback" not in reason and "Error:" not in reason
    assert not [path for path in root.rglob("*.tmp")], "nothing half is left"
    _remount(tiny_disk, "size=200m")
    request.getfixturevalue("nursery")
    _check_goes_on(root, run_id, undisturbed)


def test_a_disk_that_became_read_only_is_told(tiny_disk: Path) -> None:
    root = tiny_disk / "runs"
    run_id = RunStore(root).create_run(small())
    RunStore(root).end_run(RunStore(root).info(run_id), RunStatus.STOPPED, "")
    _remount(tiny_disk, "ro")
    with pytest.raises(InputError, match=r"cannot be (written|opened for writing)"):
        runs.start(root, small())
    with pytest.raises(InputError, match=r"cannot be (written|opened for writing)"):
        runs.start(tiny_disk / "new", small())


def delete(folder: Path) -> None:
    """Delete a folder into which a run writes at the same time."""

    def gone() -> bool:
        shutil.rmtree(folder, ignore_errors=True)
        return not folder.exists()

    wait(gone)


def test_a_run_whose_folder_is_deleted_stops_with_a_sentence(nursery: Nursery, root: Path) -> None:
    run_id = runs.start(root, small(epochs=400))
    wait(lambda: runs.info(root, run_id).iteration > 8)
    delete(root / run_id)
    assert ended(root, run_id) is RunStatus.FAILED
    assert f"{root / run_id}" in runs.info(root, run_id).reason
    with pytest.raises(InputError, match=r"cannot be resumed because its checkpoint .* is missing"):
        runs.resume(root, run_id)


def test_a_run_whose_store_is_deleted_ends(nursery: Nursery, root: Path) -> None:
    run_id = runs.start(root, small(epochs=400))
    wait(lambda: runs.info(root, run_id).iteration > 8)
    process = psutil.Process(runs.info(root, run_id).pid)
    delete(root)
    wait(lambda: not process.is_running())
    with pytest.raises(InputError, match=f"There is no run '{run_id}'"):
        runs.info(root, run_id)


@pytest.mark.parametrize(
    "fault", ["clock back:20", pytest.param("clock ahead:20", marks=pytest.mark.slow)]
)
def test_a_clock_that_is_set_changes_nothing(
    nursery: Nursery, root: Path, undisturbed: tuple[Path, str], fault: str
) -> None:
    nursery.fault = fault
    run_id = runs.start(root, small())
    assert ended(root, run_id) is RunStatus.FINISHED
    assert metrics(root, run_id) == metrics(*undisturbed)
    seconds = [
        record.data["seconds"]
        for record in runs.read(root, run_id, kinds=[RecordKind.STEP]).records
    ]
    assert seconds == sorted(seconds)
