from __future__ import annotations

import sqlite3
from pathlib import Path

import psutil
import pytest
from stored_runs import files_of, held_run, stored_run

from adadfq_core.errors import InputError
from adadfq_core.runs import leftovers
from adadfq_core.runs.database import connect
from adadfq_core.runs.deletion import clean, delete_runs, disk_use
from adadfq_core.runs.records import RunStatus
from adadfq_core.runs.store import RunStore


def rows_of(root: Path, run_id: str) -> dict[str, int]:
    with sqlite3.connect(RunStore(root).database) as connection:
        counts = {
            table: connection.execute(
                f"SELECT count(*) FROM {table} WHERE run_id = ?", (run_id,)
            ).fetchone()[0]
            for table in ("runs", "records", "commands", "cells")
        }
    connection.close()
    return counts


def test_disk_use_is_what_the_files_take(root: Path) -> None:
    one, two = stored_run(root), stored_run(root)
    (root / two / "worker.log").write_bytes(b"x" * 1000)
    expected = {run_id: sum(map(len, files_of(root / run_id).values())) for run_id in (one, two)}
    assert disk_use(root, [one, two]) == expected
    assert expected[two] == expected[one] + 1000 > 32_000
    with pytest.raises(InputError, match="There is no run 'nope'"):
        disk_use(root, ["nope"])


def test_a_deleted_run_is_gone_and_the_others_stay(root: Path) -> None:
    gone, kept = stored_run(root), stored_run(root)
    before, files = rows_of(root, kept), files_of(root / kept)
    assert min(rows_of(root, gone)[table] for table in ("runs", "records", "commands")) > 0
    use = disk_use(root, [gone])[gone]
    assert delete_runs(root, [gone, gone]) == use
    assert set(rows_of(root, gone).values()) == {0}
    assert not (root / gone).exists()
    assert (rows_of(root, kept), files_of(root / kept)) == (before, files)
    assert {path.name for path in root.iterdir() if path.is_dir()} == {kept}


@pytest.mark.parametrize("status", [RunStatus.RUNNING, RunStatus.PAUSED])
def test_an_active_run_is_refused_and_nothing_else_goes(root: Path, status: RunStatus) -> None:
    ended = stored_run(root)
    with held_run(root) as writer:
        writer.set_status(status)
        message = f"Run {writer.run_id} is {status} and cannot be deleted; stop it first"
        with pytest.raises(InputError, match=message):
            delete_runs(root, [ended, writer.run_id])
        assert (root / ended).is_dir() and rows_of(root, ended)["runs"] == 1


def test_a_run_whose_process_died_can_be_deleted(root: Path) -> None:
    store = RunStore(root)
    run_id = store.create_run(store.info(stored_run(root)).settings)
    store.note_process(run_id, max(psutil.pids()) + 100_000, 1.0)
    delete_runs(root, [run_id])
    assert [info.run_id for info in store.list_runs()] != [] and not (root / run_id).exists()


def test_an_unknown_run_is_named_and_nothing_goes(root: Path) -> None:
    run_id = stored_run(root)
    with pytest.raises(InputError, match=r"There is no run '\.\.'"):
        delete_runs(root, [run_id, ".."])
    assert rows_of(root, run_id)["runs"] == 1


def test_cells_stay_and_lose_their_run(root: Path) -> None:
    run_id = stored_run(root)
    with connect(RunStore(root).database) as connection:
        connection.execute(
            "INSERT INTO cells (sweep_id, cell, point, seed, status, run_id) "
            "VALUES ('s', 4, '{}', 0, 'finished', ?)",
            (run_id,),
        )
    delete_runs(root, [run_id])
    cells = connection.execute("SELECT cell, status, run_id FROM cells").fetchall()
    connection.close()
    assert cells == [(4, "finished", None)]


def test_a_crash_after_the_rows_leaves_files_that_the_next_call_removes(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id, other = stored_run(root), stored_run(root)

    def crash(store: RunStore) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("adadfq_core.runs.deletion.remove_leftovers", crash)
    with pytest.raises(KeyboardInterrupt):
        delete_runs(root, [run_id])
    monkeypatch.undo()
    assert (root / run_id).is_dir() and rows_of(root, run_id)["runs"] == 0
    use = disk_use(root, [other])[other]
    assert delete_runs(root, [other]) > use
    assert [path for path in root.iterdir() if path.is_dir()] == []


def test_a_crash_before_the_rows_are_gone_changes_nothing(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = stored_run(root)
    before, files = rows_of(root, run_id), files_of(root / run_id)

    def crash(folder: Path) -> None:
        leftovers.mark(folder)
        raise KeyboardInterrupt

    monkeypatch.setattr("adadfq_core.runs.deletion.mark", crash)
    with pytest.raises(KeyboardInterrupt):
        delete_runs(root, [run_id])
    clean(root)
    assert rows_of(root, run_id) == before
    assert files.items() <= files_of(root / run_id).items()


def test_folders_that_no_deletion_has_marked_are_never_removed(root: Path) -> None:
    run_id = stored_run(root)
    for name in ("mine", "20260101-000000-3w3a-zz"):
        (root / name / "arrays").mkdir(parents=True)
    for path in root.glob("runs.db*"):
        path.unlink()  # moved away, as the sentence on a damaged database advises
    other = stored_run(root)
    delete_runs(root, [other])
    clean(root)
    left = {path.name for path in root.iterdir() if path.is_dir()}
    assert left == {"mine", "20260101-000000-3w3a-zz", run_id}


def test_cleaning_gives_back_the_room_of_rows(root: Path) -> None:
    store = RunStore(root)
    runs = [stored_run(root) for _ in range(2)]
    with connect(store.database) as connection:
        connection.execute(
            "INSERT INTO records (run_id, iteration, kind, data) VALUES (?, 1, 'notice', ?)",
            (runs[0], '{"text":"' + "x" * 500_000 + '"}'),
        )
    connection.close()
    delete_runs(root, runs[:1])
    with held_run(root) as writer:
        assert clean(root) == 0, "a run that goes on need not wait"
        writer.set_status(RunStatus.FINISHED)
    assert clean(root) > 400_000
    assert store.database.stat().st_size < 400_000
    assert store.info(runs[1]).run_id == runs[1]


def test_the_folder_of_an_import_that_still_goes_on_stays(root: Path) -> None:
    RunStore(root)
    going = leftovers.temporary_folder(root)
    dead = root / ".importing-999999999-1-ab"
    dead.mkdir()
    clean(root)
    assert going.is_dir() and not dead.exists()
