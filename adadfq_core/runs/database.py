"""The SQLite file of a run store: schema, connections, transactions and errors in one sentence.

WAL mode lets any number of readers read while one process writes. Connections are opened for one
call (a fraction of a millisecond) and closed after it, so none crosses threads or is forgotten by
a thread that ends.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Literal

from adadfq_core.errors import InputError, RunFailed
from adadfq_core.runs.row_checksums import CHECKED, REFUSED, register, seal, unseal

BUSY_TIMEOUT_S = 10.0
"""Seconds for which a page or a command waits for a lock."""

RUN_PATIENCE_S = 600.0
"""Seconds for which a run waits: on a machine with more to do than it can, whoever holds the lock
may not get a core for long, and hours of training must not end for it."""

_SCHEMA = """
CREATE TABLE runs (
    run_id TEXT PRIMARY KEY,
    created REAL NOT NULL,
    settings TEXT NOT NULL,
    preset TEXT NOT NULL,
    status TEXT NOT NULL,
    reason TEXT NOT NULL DEFAULT '',
    iteration INTEGER NOT NULL DEFAULT 0,
    pid INTEGER,
    process_started REAL,
    updated REAL NOT NULL
);
CREATE TABLE records (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    run_id TEXT NOT NULL,
    iteration INTEGER NOT NULL,
    kind TEXT NOT NULL,
    data TEXT NOT NULL,
    file TEXT
);
CREATE INDEX records_by_run ON records (run_id, seq);
CREATE INDEX records_by_kind ON records (run_id, kind, seq);
CREATE TABLE commands (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    run_id TEXT NOT NULL,
    created REAL NOT NULL,
    kind TEXT NOT NULL,
    payload TEXT NOT NULL,
    applied_iteration INTEGER,
    error TEXT
);
CREATE INDEX commands_pending ON commands (run_id, seq)
    WHERE applied_iteration IS NULL AND error IS NULL;
"""

_LABELS_AND_SWEEPS = """
ALTER TABLE runs ADD COLUMN tags TEXT NOT NULL DEFAULT '[]';
ALTER TABLE runs ADD COLUMN note TEXT NOT NULL DEFAULT '';
CREATE TABLE sweeps (
    sweep_id TEXT PRIMARY KEY,
    created REAL NOT NULL,
    name TEXT NOT NULL,
    plan TEXT NOT NULL,
    workers INTEGER NOT NULL,
    threads INTEGER NOT NULL,
    ray_address TEXT NOT NULL,
    status TEXT NOT NULL,
    reason TEXT NOT NULL DEFAULT '',
    pid INTEGER,
    process_started REAL,
    stop_asked INTEGER NOT NULL DEFAULT 0,
    updated REAL NOT NULL
);
CREATE TABLE cells (
    sweep_id TEXT NOT NULL,
    cell INTEGER NOT NULL,
    point TEXT NOT NULL,
    seed INTEGER NOT NULL,
    status TEXT NOT NULL,
    reason TEXT NOT NULL DEFAULT '',
    run_id TEXT,
    attempts INTEGER NOT NULL DEFAULT 0,
    started REAL,
    ended REAL,
    PRIMARY KEY (sweep_id, cell)
);
CREATE INDEX cells_by_run ON cells (run_id) WHERE run_id IS NOT NULL;
"""

_CHECKSUMS = ";".join(f"ALTER TABLE {table} ADD COLUMN checksum INTEGER" for table in CHECKED)

_QUEUE_AND_OWNERS = """
ALTER TABLE runs ADD COLUMN ticket INTEGER;
ALTER TABLE runs ADD COLUMN owner TEXT NOT NULL DEFAULT '';
ALTER TABLE sweeps ADD COLUMN owner TEXT NOT NULL DEFAULT ''
"""

_STEPS = (_SCHEMA, _LABELS_AND_SWEEPS, _CHECKSUMS, _QUEUE_AND_OWNERS)
"""What each format adds to the one before: a store of any earlier format is brought up to date."""

SCHEMA_VERSION = len(_STEPS)
"""Add a step with every change of the tables, and when `RunSettings` loses or narrows a field."""

_DAMAGED = {sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT}
_FORBIDDEN = {
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_AUTH,
}
_looked_through: set[tuple[str, int, int]] = set()
_LOCKED = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


def _primary_code(error: sqlite3.Error) -> int:
    return int(getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)) & 0xFF


def _damaged(path: Path, how: str) -> InputError:
    return InputError(
        f"'{path}' is damaged or not a run database ({how}); move it away, and a new one is made, "
        "or choose another run folder."
    )


def _explain(error: sqlite3.Error, path: Path) -> InputError | RunFailed:
    code = _primary_code(error)
    if str(error) == REFUSED:
        return _damaged(path, "a row is not as it was written")
    if code in _DAMAGED:
        return _damaged(path, str(error))
    if code in _FORBIDDEN:
        return InputError(
            f"The run database '{path}' cannot be opened for writing ({error}); make it and its "
            "folder writable or choose another run folder."
        )
    if code == sqlite3.SQLITE_FULL:
        return RunFailed(f"The disk that holds '{path}' is full; free some space and try again.")
    if code in _LOCKED:
        return RunFailed(
            f"Another program kept '{path}' locked for too long; close it and try again."
        )
    return RunFailed(f"The run database '{path}' cannot be used ({error}); check its disk.")


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn SQLite's errors on the database `path` into one sentence.

    Raises:
        InputError: the file is damaged, no database, or not writable.
        RunFailed: the disk is full or fails, or a lock outlasted the connection's patience.
    """
    try:
        yield
    except sqlite3.Error as error:
        raise _explain(error, path) from error
    except UnicodeDecodeError as error:
        # A text, or SQLite's own message that quotes one, holds bytes that are none.
        raise _damaged(path, "a text is not as it was written") from error
    except UnicodeEncodeError as error:
        raise InputError(
            f"The text {error.object[:60]!a} has characters that cannot be stored; leave them out."
        ) from None
    except OverflowError:
        raise InputError(
            "A number is too large to be stored or looked up; it must fit 64 bits."
        ) from None


def connect(path: Path, patience: float | None = None) -> sqlite3.Connection:
    """A connection in autocommit mode, for the calling thread only; the caller closes it.

    Args:
        patience: seconds for which it waits for locks; `None` for `BUSY_TIMEOUT_S`.
    """
    seconds = BUSY_TIMEOUT_S if patience is None else patience
    connection = sqlite3.connect(path, timeout=seconds, isolation_level=None)
    try:
        register(connection)
        # In WAL mode NORMAL survives a crash of the process; a power cut may cost the last rows.
        connection.execute("PRAGMA synchronous = NORMAL")
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def transaction(
    connection: sqlite3.Connection, mode: Literal["IMMEDIATE", "DEFERRED"] = "IMMEDIATE"
) -> Iterator[None]:
    """Commit what the body does, or nothing of it.

    IMMEDIATE takes the write lock at once, within the busy timeout: a transaction that reads
    first and writes later would fail instead of waiting. DEFERRED is for reading one snapshot.
    """
    connection.execute(f"BEGIN {mode}")
    try:
        yield
        connection.commit()
    except BaseException:
        if connection.in_transaction:
            connection.rollback()
        raise


@contextmanager
def session(
    path: Path, mode: Literal["IMMEDIATE", "DEFERRED"] = "DEFERRED"
) -> Iterator[sqlite3.Connection]:
    """One connection and one transaction for one call, with errors as `explained` gives them."""
    with explained(path), closing(connect(path)) as connection, transaction(connection, mode):
        yield connection


def check_writable(folder: Path) -> None:
    """Make `folder` and really write into it, as permissions alone do not tell (read-only disks).

    Raises:
        InputError: it cannot be made or written, or is a file.
    """
    if os.path.exists(folder) and not os.path.isdir(folder):
        raise InputError(f"The run folder '{folder}' is a file; choose a folder.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(b"probe")
    except OSError as error:
        raise InputError(
            f"The run folder '{folder}' cannot be written ({error.strerror or error}); choose a "
            "folder that you may write to."
        ) from None


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _check_whole(connection: sqlite3.Connection, path: Path) -> None:
    """Look once a process through the whole file: a damaged index would hide rows without a word.

    It takes about a microsecond a row (0.2 s for four hours of the interactive preset), too long
    for every call of a page.

    Raises:
        InputError: the file is damaged.
    """
    status = path.stat()
    file = (str(path), status.st_dev, status.st_ino)
    if file in _looked_through:
        return
    (found,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    if found != "ok":
        raise _damaged(path, " ".join(found.split()))
    _looked_through.add(file)


def _bring_up_to_date(connection: sqlite3.Connection, path: Path) -> None:
    with transaction(connection, "DEFERRED"):
        tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if tables and _version(connection) == 0:
            raise InputError(
                f"'{path}' is a database of another program; choose another run folder."
            )
    connection.execute("PRAGMA journal_mode = WAL")
    with transaction(connection):
        # Looked up inside: another process may have been faster.
        missing = _STEPS[_version(connection) :]
        if not missing:
            return
        unseal(connection)
        for step in missing:
            for statement in step.split(";"):
                connection.execute(statement)
        seal(connection)
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def prepare(path: Path) -> None:
    """Make the database `path` and its folder if they are missing; bring an older one up to date.

    Raises:
        InputError: the folder is not writable, or the file is damaged, foreign or made by a
            newer version of this program.
    """
    if not os.path.isfile(path):
        check_writable(path.parent)
    with explained(path), closing(connect(path)) as connection:
        version = _version(connection)
        _check_whole(connection, path)
        deadline = time.monotonic() + BUSY_TIMEOUT_S
        while version < SCHEMA_VERSION:
            try:
                _bring_up_to_date(connection, path)
            except sqlite3.OperationalError as error:
                # Switching to WAL does not wait for a lock, unlike everything that follows.
                if _primary_code(error) not in _LOCKED or time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
            version = _version(connection)
    if version != SCHEMA_VERSION:
        raise InputError(
            f"'{path}' was made by a newer version of this program (format {version}, this one "
            f"reads {SCHEMA_VERSION}); update the program or choose another run folder."
        )
