"""A store that an earlier version made is brought up to date and keeps what it holds."""

from __future__ import annotations

import json
import multiprocessing
import sqlite3
from pathlib import Path

import pytest

from adadfq_core.errors import InputError
from adadfq_core.runs.control import current_settings
from adadfq_core.runs.database import SCHEMA_VERSION, connect
from adadfq_core.runs.labels import set_labels
from adadfq_core.runs.records import RunStatus
from adadfq_core.runs.store import RunStore
from adadfq_core.settings import RunSettings

# The statements of format 1, written out: what the program makes now must not move this test.
FORMAT_1 = """
CREATE TABLE runs (
    run_id TEXT PRIMARY KEY, created REAL NOT NULL, settings TEXT NOT NULL, preset TEXT NOT NULL,
    status TEXT NOT NULL, reason TEXT NOT NULL DEFAULT '', iteration INTEGER NOT NULL DEFAULT 0,
    pid INTEGER, process_started REAL, updated REAL NOT NULL
);
CREATE TABLE records (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, run_id TEXT NOT NULL, iteration INTEGER NOT NULL,
    kind TEXT NOT NULL, data TEXT NOT NULL, file TEXT
);
CREATE INDEX records_by_run ON records (run_id, seq);
CREATE INDEX records_by_kind ON records (run_id, kind, seq);
CREATE TABLE commands (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, run_id TEXT NOT NULL, created REAL NOT NULL,
    kind TEXT NOT NULL, payload TEXT NOT NULL, applied_iteration INTEGER, error TEXT
);
CREATE INDEX commands_pending ON commands (run_id, seq)
    WHERE applied_iteration IS NULL AND error IS NULL;
PRAGMA user_version = 1;
"""
RUN_ID = "20260101-120000-3w3a-ab"
SETTINGS = RunSettings(weight_bits=3, activation_bits=3, lambda_l=0.2)


@pytest.fixture
def old(root: Path) -> Path:
    """The folder of a store of format 1 with a run, two records and a command."""
    root.mkdir()
    with sqlite3.connect(root / "runs.db") as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(FORMAT_1)
        connection.execute(
            "INSERT INTO runs VALUES (?, 1.5, ?, 'quick', 'stopped', 'why', 7, 42, 1.25, 2.5)",
            (RUN_ID, SETTINGS.model_dump_json()),
        )
        connection.executemany(
            "INSERT INTO records (run_id, iteration, kind, data, file) VALUES (?, ?, ?, ?, ?)",
            [
                (RUN_ID, 3, "parameters", json.dumps({"changes": {"beta": 0.5}}), None),
                (RUN_ID, 7, "checkpoint", json.dumps({"sha256": "x"}), f"{RUN_ID}/c.pt"),
            ],
        )
        connection.execute(
            "INSERT INTO commands (run_id, created, kind, payload, applied_iteration) "
            "VALUES (?, 1.75, 'parameters', '{\"changes\":{\"beta\":0.5}}', 3)",
            (RUN_ID,),
        )
    connection.close()
    return root


def facts(root: Path) -> dict[str, list[tuple[object, ...]]]:
    """Every row of the tables of format 1, and the columns and tables that there are."""
    with sqlite3.connect(root / "runs.db") as connection:
        found = {
            table: connection.execute(f"SELECT * FROM {table}").fetchall()
            for table in ("runs", "records", "commands", "sweeps", "cells")
        }
        found["version"] = connection.execute("PRAGMA user_version").fetchall()
    connection.close()
    return found


def check_brought_up_to_date(root: Path) -> None:
    found = facts(root)
    (run,) = found["runs"]
    settings = SETTINGS.model_dump_json()
    head = (RUN_ID, 1.5, settings, "quick", "stopped", "why", 7, 42, 1.25, 2.5)
    assert run[: len(head) + 2] == (*head, "[]", "")
    assert [row[2:4] for row in found["records"]] == [(3, "parameters"), (7, "checkpoint")]
    assert found["records"][1][5] == f"{RUN_ID}/c.pt"
    assert [row[5] for row in found["commands"]] == [3]
    assert found["sweeps"] == found["cells"] == []
    assert found["version"] == [(SCHEMA_VERSION,)]


def test_an_old_store_keeps_everything_and_gets_the_new_columns(old: Path) -> None:
    info = RunStore(old).info(RUN_ID)
    assert (info.settings, info.status, info.reason) == (SETTINGS, RunStatus.STOPPED, "why")
    assert (info.iteration, info.tags, info.note) == (7, (), "")
    check_brought_up_to_date(old)
    assert current_settings(old, RUN_ID).beta == 0.5
    set_labels(old, RUN_ID, ["kept"], "from an earlier version")
    assert RunStore(old).info(RUN_ID).tags == ("kept",)


def test_opening_it_again_changes_nothing(old: Path) -> None:
    RunStore(old)
    before = facts(old)
    RunStore(old)
    assert facts(old) == before


def _open(root: Path, gate: object) -> None:
    gate.wait()  # type: ignore[attr-defined]
    RunStore(root)


def test_two_processes_that_open_it_at_once_do_it_once(old: Path) -> None:
    context = multiprocessing.get_context("spawn")
    gate = context.Barrier(2)
    processes = [context.Process(target=_open, args=(old, gate)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0]
    check_brought_up_to_date(old)


def test_a_row_that_was_damaged_before_is_not_taken_for_whole(root: Path) -> None:
    store = RunStore(root)
    run_id = store.create_run(SETTINGS)
    with connect(store.database) as connection:
        connection.execute("UPDATE runs SET checksum = checksum + 1")
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION - 1}")
    connection.close()
    for _ in range(2):
        with pytest.raises(InputError, match="a row is not as it was written"):
            RunStore(root).info(run_id)
