"""The runs of one folder: their states, logs, commands and files.

`<root>/runs.db` holds everything but arrays and checkpoints, which are files in
`<root>/<run_id>/arrays` and `<root>/<run_id>/checkpoints`. Any process may use a store at any
time; a run's log is written by its own process alone, through `adadfq_core.runs.writer`.
"""

from __future__ import annotations

import json
import secrets
import sqlite3
import time
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from contextlib import closing
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from adadfq_core.errors import InputError, RunFailed
from adadfq_core.runs.database import (
    check_writable,
    connect,
    explained,
    prepare,
    session,
    transaction,
)
from adadfq_core.runs.records import (
    ACTIVE,
    Command,
    CommandKind,
    Record,
    RecordKind,
    RunInfo,
    RunStatus,
    Update,
    decode,
    encode,
)
from adadfq_core.settings import RunSettings, make_settings

DATABASE = "runs.db"
ARRAYS = "arrays"
CHECKPOINTS = "checkpoints"
PENDING = "applied_iteration IS NULL AND error IS NULL"

_ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"  # without characters that read alike
_RUN_COLUMNS = (
    "run_id, created, settings, preset, status, reason, iteration, pid, process_started, updated, "
    "tags, note"
)
_COMMAND_COLUMNS = "seq, run_id, created, kind, payload, applied_iteration, error"
_ACTIVE_SQL = "status IN ({})".format(", ".join(f"'{status}'" for status in ACTIVE))


# Settings never change, and validating those of some thousand runs takes a tenth of a second.
@lru_cache(maxsize=4096)
def _settings(text: str) -> RunSettings:
    return make_settings(json.loads(text))


def _run_info(row: tuple[Any, ...]) -> RunInfo:
    run_id, created, settings, preset, status, *rest, tags, note = row
    try:
        read = _settings(settings)
    except InputError as error:
        raise InputError(f"The settings of run {run_id} cannot be read: {error}") from None
    labels = {"tags": tuple(json.loads(tags)), "note": note}
    return RunInfo(run_id, created, read, preset, RunStatus(status), *rest, **labels)


def new_run_id(created: float, settings: RunSettings) -> str:
    """A name for a run made at `created`: `<UTC date>-<time>-<bits>-<random>`, perhaps taken."""
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(created))
    bits = f"{settings.weight_bits}w{settings.activation_bits}a"
    return f"{stamp}-{bits}-{''.join(secrets.choice(_ALPHABET) for _ in range(2))}"


def _record(row: tuple[Any, ...]) -> Record:
    seq, iteration, kind, data, file = row
    return Record(seq, iteration, RecordKind(kind), decode(data), file)


def command_from_row(row: tuple[Any, ...]) -> Command:
    """A row of `_COMMAND_COLUMNS` as a command."""
    seq, run_id, created, kind, payload, applied_iteration, error = row
    return Command(
        seq, run_id, created, CommandKind(kind), decode(payload), applied_iteration, error
    )


def insert_status(
    connection: sqlite3.Connection, run_id: str, iteration: int, status: RunStatus, reason: str
) -> None:
    """Within a transaction: log `status`; a state in which nothing runs refuses what is pending."""
    connection.execute(
        "INSERT INTO records (run_id, iteration, kind, data) VALUES (?, ?, ?, ?)",
        (run_id, iteration, RecordKind.STATUS, encode({"status": status, "reason": reason})),
    )
    if status not in ACTIVE:
        connection.execute(
            f"UPDATE commands SET error = ? WHERE run_id = ? AND {PENDING}",
            (f"The run was {status} before the command took effect.", run_id),
        )


def fetch_info(connection: sqlite3.Connection, run_id: str) -> RunInfo:
    """Within a transaction: the state of run `run_id`.

    Raises:
        InputError: there is no such run.
    """
    row = connection.execute(
        f"SELECT {_RUN_COLUMNS} FROM runs WHERE run_id = ?", (run_id,)
    ).fetchone()
    if row is None:
        raise InputError(f"There is no run '{run_id}'; list the runs to see their names.")
    return _run_info(row)


def _check_room(connection: sqlite3.Connection, max_active: int) -> None:
    """Within an immediate transaction: may one more run become active?"""
    rows = connection.execute(f"SELECT run_id FROM runs WHERE {_ACTIVE_SQL} ORDER BY created")
    active = [row[0] for row in rows]
    if len(active) < max_active:
        return
    if len(active) == 1:
        raise InputError(
            f"A run is already going: {active[0]}; stop it first or wait until it ends."
        )
    raise InputError(
        f"{len(active)} runs are already going: {', '.join(active)}; stop one first or wait "
        "until one ends."
    )


class RunStore:
    """The runs in folder `root`, which is made if it is missing; cheap to make for one call.

    Every method opens its own connection, so one store may serve many threads. All raise
    `InputError` if the folder or its database is damaged or not writable, and `RunFailed` if the
    disk is full or the database stays locked.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self.database = self.root / DATABASE
        prepare(self.database)

    def folder(self, run_id: str) -> Path:
        """The folder of run `run_id`."""
        return self.root / run_id

    def create_run(self, settings: RunSettings, preset: str = "", max_active: int = 1) -> str:
        """Make a run in state `starting` and return its id, `<UTC date>-<time>-<bits>-<random>`.

        Raises:
            InputError: `max_active` runs are active already (checked and claimed in one
                transaction, over all processes), or the folder is not writable.
        """
        check_writable(self.root)
        now = time.time()
        with session(self.database, "IMMEDIATE") as connection:
            _check_room(connection, max_active)
            while True:
                run_id = new_run_id(now, settings)
                try:
                    self.folder(run_id).mkdir()
                    (self.folder(run_id) / ARRAYS).mkdir()
                    (self.folder(run_id) / CHECKPOINTS).mkdir()
                    break
                except FileExistsError:
                    continue
                except OSError as error:
                    raise InputError(
                        f"The run folder '{self.folder(run_id)}' cannot be made ({error.strerror})."
                    ) from None
            connection.execute(
                "INSERT INTO runs (run_id, created, settings, preset, status, updated) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                (run_id, now, settings.model_dump_json(), preset, RunStatus.STARTING, now),
            )
            insert_status(connection, run_id, 0, RunStatus.STARTING, "")
        return run_id

    def reclaim(self, run_id: str, iteration: int, max_active: int = 1) -> None:
        """Put a run that is not active back to `starting`, to go on from `iteration`.

        Raises:
            InputError: the run is active, or `max_active` runs are.
        """
        with session(self.database, "IMMEDIATE") as connection:
            info = fetch_info(connection, run_id)
            if info.active:
                raise InputError(f"Run {run_id} is {info.status} already; wait until it ends.")
            _check_room(connection, max_active)
            connection.execute(
                "UPDATE runs SET status = ?, reason = '', iteration = ?, pid = NULL, "
                "process_started = NULL, updated = ? WHERE run_id = ?",
                (RunStatus.STARTING, iteration, time.time(), run_id),
            )
            insert_status(connection, run_id, iteration, RunStatus.STARTING, "")

    def note_process(self, run_id: str, pid: int, started: float) -> None:
        """Remember the process that was started for a run, unless it has attached already."""
        with session(self.database, "IMMEDIATE") as connection:
            connection.execute(
                "UPDATE runs SET pid = ?, process_started = ? WHERE run_id = ? AND pid IS NULL",
                (pid, started, run_id),
            )

    def end_run(self, seen: RunInfo, status: RunStatus, reason: str) -> bool:
        """Give a run whose process is gone a final state; `False` if it is not as `seen` any more.

        The state is looked at again inside the transaction: the process may have ended the run
        properly, or a new one may have taken over, since `seen` was read.
        """
        with session(self.database, "IMMEDIATE") as connection:
            now = fetch_info(connection, seen.run_id)
            if not now.active or (now.pid, now.updated) != (seen.pid, seen.updated):
                return False
            connection.execute(
                "UPDATE runs SET status = ?, reason = ?, updated = ? WHERE run_id = ?",
                (status, reason, time.time(), seen.run_id),
            )
            insert_status(connection, seen.run_id, now.iteration, status, reason)
        return True

    def list_runs(self, *, active_only: bool = False) -> list[RunInfo]:
        """All runs, newest first."""
        where = f"WHERE {_ACTIVE_SQL}" if active_only else ""
        with session(self.database) as connection:
            rows = connection.execute(
                f"SELECT {_RUN_COLUMNS} FROM runs {where} ORDER BY created DESC"
            ).fetchall()
        return [_run_info(row) for row in rows]

    def info(self, run_id: str) -> RunInfo:
        """State of one run.

        Raises:
            InputError: there is no such run.
        """
        with session(self.database) as connection:
            return fetch_info(connection, run_id)

    def read(
        self,
        run_id: str,
        cursor: int = 0,
        kinds: Iterable[RecordKind] | None = None,
        limit: int | None = None,
        stride: int = 1,
    ) -> Update:
        """The records after `cursor`, oldest first, and the run's state at the same moment.

        `limit` takes the oldest ones only; `stride` thins `step` records to the iterations that
        it divides, for long histories. The new cursor is the last record's, so nothing is lost.

        Raises:
            InputError: there is no such run.
        """
        where = "run_id = ? AND seq > ?"
        values: list[Any] = [run_id, cursor]
        order = "seq"
        if kinds is not None:
            wanted = list(kinds)
            where += f" AND kind IN ({', '.join('?' * len(wanted))})"
            values += wanted
            # The plus keeps SQLite from walking all kinds in the order of seq: sorting the few
            # rows that are wanted is quicker than passing a long run's steps.
            order = "+seq"
        if stride > 1:
            where += " AND (kind <> ? OR iteration % ? = 0)"
            values += [RecordKind.STEP, stride]
        with session(self.database) as connection:
            info = fetch_info(connection, run_id)
            rows = connection.execute(
                f"SELECT seq, iteration, kind, data, file FROM records WHERE {where} "
                f"ORDER BY {order} LIMIT ?",
                [*values, -1 if limit is None else limit],
            ).fetchall()
        records = [_record(row) for row in rows]
        return Update(records[-1].seq if records else cursor, records, info)

    def latest(
        self, run_id: str, kind: RecordKind, at_or_before: int | None = None
    ) -> Record | None:
        """The newest record of `kind`, of iteration `at_or_before` at most; `None` if none."""
        where = "run_id = ? AND kind = ?"
        values: list[Any] = [run_id, kind]
        if at_or_before is not None:
            where += " AND iteration <= ?"
            values.append(at_or_before)
        with session(self.database) as connection:
            fetch_info(connection, run_id)
            row = connection.execute(
                f"SELECT seq, iteration, kind, data, file FROM records WHERE {where} "
                "ORDER BY seq DESC LIMIT 1",
                values,
            ).fetchone()
        return None if row is None else _record(row)

    def nearest(self, run_id: str, kind: RecordKind, iteration: int) -> Record | None:
        """The last record of `kind` at or before `iteration`; `None` if none.

        A binary search, some twenty look-ups however long the run is, for the kinds whose
        iterations never go back in the log (steps, image sheets); `latest` is for the others.
        """
        by_kind = "FROM records WHERE run_id = ? AND kind = ?"
        with session(self.database) as connection:

            def iteration_from(seq: int) -> int:
                row = connection.execute(
                    f"SELECT iteration {by_kind} AND seq >= ? ORDER BY seq LIMIT 1",
                    (run_id, kind, seq),
                ).fetchone()
                return int(row[0])

            first, last = connection.execute(
                f"SELECT min(seq), max(seq) {by_kind}", (run_id, kind)
            ).fetchone()
            if first is None:
                return None
            candidates = range(first, last + 1)
            after = first + bisect_right(candidates, iteration, key=iteration_from)
            row = connection.execute(
                f"SELECT seq, iteration, kind, data, file {by_kind} AND seq < ? "
                "ORDER BY seq DESC LIMIT 1",
                (run_id, kind, after),
            ).fetchone()
        return None if row is None else _record(row)

    def forget(self, run_id: str, records: Iterable[Record]) -> None:
        """Take `records` out of a run's log; when this returns, no power cut brings them back.

        Their files stay and may go now: no row names them any more.
        """
        with explained(self.database), closing(connect(self.database)) as connection:
            # Not for a transaction that is under way, hence before it.
            connection.execute("PRAGMA synchronous = FULL")
            with transaction(connection):
                connection.executemany(
                    "DELETE FROM records WHERE run_id = ? AND seq = ?",
                    [(run_id, record.seq) for record in records],
                )

    def path(self, record: Record) -> Path:
        """The file that `record` names.

        Raises:
            InputError: it names none.
        """
        if record.file is None:
            raise InputError(f"Record {record.seq} ({record.kind}) has no file.")
        return self.root / record.file

    def arrays(self, record: Record) -> dict[str, np.ndarray]:
        """The arrays of `record`, by name.

        Raises:
            InputError: the record has no file.
            RunFailed: the file is missing or damaged.
        """
        path = self.path(record)
        try:
            return load_file(path)
        except FileNotFoundError:
            raise RunFailed(
                f"'{path}' is missing; it was removed after the run wrote it."
            ) from None
        except (OSError, SafetensorError) as error:
            raise RunFailed(f"'{path}' is damaged or cannot be read ({error}).") from error

    def send(self, run_id: str, kind: CommandKind, payload: Mapping[str, Any] | None = None) -> int:
        """Queue a command for the run's process and return the command's number.

        Raises:
            InputError: there is no such run, or it is not active.
        """
        with session(self.database, "IMMEDIATE") as connection:
            info = fetch_info(connection, run_id)
            if not info.active:
                raise InputError(f"Run {run_id} is {info.status}; it takes no commands.")
            row = connection.execute(
                "INSERT INTO commands (run_id, created, kind, payload) VALUES (?, ?, ?, ?) "
                "RETURNING seq",
                (run_id, time.time(), kind, encode(payload or {})),
            ).fetchone()
        return int(row[0])

    def command(self, seq: int) -> Command:
        """Command number `seq`: whether and at which iteration it took effect.

        Raises:
            InputError: there is no such command.
        """
        with session(self.database) as connection:
            row = connection.execute(
                f"SELECT {_COMMAND_COLUMNS} FROM commands WHERE seq = ?", (seq,)
            ).fetchone()
        if row is None:
            raise InputError(f"There is no command {seq}.")
        return command_from_row(row)

    def pending(self, run_id: str) -> list[Command]:
        """Commands of a run that have neither taken effect nor been refused, in order."""
        with session(self.database) as connection:
            rows = connection.execute(
                f"SELECT {_COMMAND_COLUMNS} FROM commands WHERE run_id = ? AND {PENDING} "
                "ORDER BY seq",
                (run_id,),
            ).fetchall()
        return [command_from_row(row) for row in rows]
