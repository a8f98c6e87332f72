"""Deleting runs: their rows, then their files."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

from adadfq_core.errors import InputError
from adadfq_core.runs.control import refresh
from adadfq_core.runs.database import connect, explained, session
from adadfq_core.runs.leftovers import mark, remove_leftovers, size
from adadfq_core.runs.records import RunInfo
from adadfq_core.runs.store import RunStore, fetch_info


def disk_use(root: Path, run_ids: Iterable[str]) -> dict[str, int]:
    """Bytes of each run's files. Rows come on top; their room is used again by later runs.

    Raises:
        InputError: there is no such run.
    """
    store = RunStore(root)
    return {info.run_id: size(store.folder(info.run_id)) for info in _infos(store, run_ids)}


def delete_runs(root: Path, run_ids: Iterable[str]) -> int:
    """Delete runs with all that was stored of them; returns the bytes of files that were freed.

    Cells of sweeps keep their rows and lose their run. A crash in between leaves some of the runs
    whole, and of one of them perhaps files without a row, which the next call or `clean` removes.

    Raises:
        InputError: there is no such run, or one is active; then none is deleted.
    """
    refresh(root)
    store = RunStore(root)
    wanted = _infos(store, dict.fromkeys(run_ids))
    for info in wanted:
        _check_inactive(info)
    for info in wanted:
        _delete_rows(store, info.run_id)
    return remove_leftovers(store)


def _infos(store: RunStore, run_ids: Iterable[str]) -> list[RunInfo]:
    with session(store.database) as connection:
        return [fetch_info(connection, run_id) for run_id in run_ids]


def _check_inactive(info: RunInfo) -> None:
    if info.active:
        raise InputError(
            f"Run {info.run_id} is {info.status} and cannot be deleted; stop it first or wait "
            "until it ends."
        )


def _delete_rows(store: RunStore, run_id: str) -> None:
    folder = store.folder(run_id)
    # One transaction a run: a run that trains meanwhile must not wait for all of them.
    with session(store.database, "IMMEDIATE") as connection:
        _check_inactive(fetch_info(connection, run_id))
        if folder.is_dir():
            mark(folder)
        connection.execute("UPDATE cells SET run_id = NULL WHERE run_id = ?", (run_id,))
        for table in ("commands", "records", "runs"):
            connection.execute(f"DELETE FROM {table} WHERE run_id = ?", (run_id,))


def clean(root: Path) -> int:
    """Remove what crashes have left and give the rows' free room back; returns the bytes freed.

    While a run is active the database stays as large as it is, since it would have to wait.
    """
    refresh(root)
    store = RunStore(root)
    freed = remove_leftovers(store)
    if store.list_runs(active_only=True):
        return freed
    with explained(store.database), closing(connect(store.database)) as connection:
        before = _written(connection, store.database)
        connection.execute("VACUUM")
        return freed + max(0, before - _written(connection, store.database))


def _written(connection: sqlite3.Connection, database: Path) -> int:
    """Bytes of the database with what still stood in its write-ahead log."""
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return database.stat().st_size
