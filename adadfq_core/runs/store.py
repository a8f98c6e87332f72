"""The runs of one folder: their states, logs, commands and files.

`<root>/runs.db` holds everything but arrays and checkpoints, which are files in
`<root>/<run_id>/arrays` and `<root>/<run_id>/checkpoints`. Any process may use a store at any
time; a run's log is written by its own process alone, through `adadfq_core.runs.writer`.
"""

from __future__ import annotations

import hashlib
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
from safetensors.numpy import load

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
    ENDED,
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
    "tags, note, owner, CASE status WHEN 'queued' THEN (SELECT count(*) FROM runs AS other WHERE "
    "other.status = 'queued' AND other.ticket <= checked_runs.ticket) END"
)
_COMMAND_COLUMNS = "seq, run_id, created, kind, payload, applied_iteration, error"
ACTIVE_SQL = "status IN ({})".format(", ".join(f"'{status}'" for status in ACTIVE))
_UNENDED_SQL = "status NOT IN ({})".format(", ".join(f"'{status}'" for status in ENDED))
_TICKET = "(SELECT coalesce(max(ticket), 0) + 1 FROM runs)"


class NoRoomError(InputError):
    """As many runs as may go at once are going, or others wait for a place before this one."""


# Settings never change, and validating those of some thousand runs takes a tenth of a second.
@lru_cache(maxsize=4096)
def _settings(text: str) -> RunSettings:
    return make_settings(json.loads(text))


def _run_info(row: tuple[Any, ...]) -> RunInfo:
    run_id, created, settings, preset, status, *rest, tags, note, owner, place = row
    try:
        read = _settings(settings)
    except InputError as error:
        raise InputError(f"The settings of run {run_id} cannot be read: {error}") from None
    labels = {"tags": tuple(json.loads(tags)), "note": note, "owner": owner, "place": place}
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
    """Within a transaction: log `status`; one of a run that has ended refuses what is pending."""
    connection.execute(
        "INSERT INTO records (run_id, iteration, kind, data) VALUES (?, ?, ?, ?)",
        (run_id, iteration, RecordKind.STATUS, encode({"status": status, "reason": reason})),
    )
    if status in ENDED:
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
        f"SELECT {_RUN_COLUMNS} FROM checked_runs WHERE run_id = ?", (run_id,)
    ).fetchone()
    if row is None:
        raise InputError(f"There is no run '{run_id}'; list the runs to see their names.")
    return _run_info(row)


def _check_room(connection: sqlite3.Connection, max_active: int, *, queues: bool) -> None:
    """Within an immediate transaction: may one more run, which may wait instead, become active?

    Raises:
        NoRoomError: not now.
    """
    if queues and count_runs(connection, f"status = '{RunStatus.QUEUED}'"):
        raise NoRoomError("Other runs wait already.")
    rows = connection.execute(f"SELECT run_id FROM runs WHERE {ACTIVE_SQL} ORDER BY created")
    active = [row[0] for row in rows]
    if len(active) < max_active:
        return
    if len(active) == 1:
        raise NoRoomError(
            f"A run is already going: {active[0]}; stop it first or wait until it ends."
        )
    raise NoRoomError(
        f"{len(active)} runs are already going: {', '.join(active)}; stop one first or wait "
        "until one ends."
    )


def _check_ended(connection: sqlite3.Connection, run_id: str) -> None:
    info = fetch_info(connection, run_id)
    if not info.ended:
        raise InputError(f"Run {run_id} is {info.status} already; wait until it ends.")


def _put_back(
    connection: sqlite3.Connection, run_id: str, iteration: int, status: RunStatus
) -> None:
    """Within an immediate transaction: let an ended run begin anew at `iteration`."""
    ticket = _TICKET if status is RunStatus.QUEUED else "NULL"
    connection.execute(
        "UPDATE runs SET status = ?, reason = '', iteration = ?, pid = NULL, "
        f"process_started = NULL, updated = ?, ticket = {ticket} WHERE run_id = ?",
        (status, iteration, time.time(), run_id),
    )
    insert_status(connection, run_id, iteration, status, "")


def count_runs(connection: sqlite3.Connection, condition: str) -> int:
    """Within a transaction: how many runs fulfil the SQL `condition`."""
    row = connection.execute(f"SELECT count(*) FROM runs WHERE {condition}").fetchone()
    return int(row[0])


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

    def create_run(
        self,
        settings: RunSettings,
        preset: str = "",
        max_active: int = 1,
        *,
        owner: str = "",
        queues: bool = False,
    ) -> str:
        """Make a run in state `starting` and return its id, `<UTC date>-<time>-<bits>-<random>`.

        Args:
            queues: whether the run would wait for a place (see `enqueue_run`), so that it must not
                take one before those that wait already.

        Raises:
            NoRoomError: `max_active` runs are active already (checked and claimed in one
                transaction, over all processes), or `queues` and others wait.
            InputError: the folder is not writable.
        """
        check_writable(self.root)
        with session(self.database, "IMMEDIATE") as connection:
            _check_room(connection, max_active, queues=queues)
            return self._insert(connection, settings, preset, RunStatus.STARTING, owner)

    def enqueue_run(self, settings: RunSettings, preset: str = "", *, owner: str = "") -> str:
        """Make a run in state `queued`, behind all others that wait, and return its id.

        Raises:
            InputError: the folder is not writable.
        """
        check_writable(self.root)
        with session(self.database, "IMMEDIATE") as connection:
            return self._insert(connection, settings, preset, RunStatus.QUEUED, owner)

    def _insert(
        self,
        connection: sqlite3.Connection,
        settings: RunSettings,
        preset: str,
        status: RunStatus,
        owner: str,
    ) -> str:
        """Within an immediate transaction: make a run with its folders."""
        now = time.time()
        ticket = _TICKET if status is RunStatus.QUEUED else "NULL"
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
            "INSERT INTO runs (run_id, created, settings, preset, status, updated, owner, "
            f"ticket) VALUES (?, ?, ?, ?, ?, ?, ?, {ticket})",
            (run_id, now, settings.model_dump_json(), preset, status, now, owner),
        )
        insert_status(connection, run_id, 0, status, "")
        return run_id

    def check_room(self, max_active: int) -> None:
        """Refuse where no more run may become active now.

        Raises:
            NoRoomError: as `create_run` does.
        """
        with session(self.database, "IMMEDIATE") as connection:
            _check_room(connection, max_active, queues=False)

    def reclaim(
        self, run_id: str, iteration: int, max_active: int = 1, *, queues: bool = False
    ) -> None:
        """Put a run that has ended back to `starting`, to go on from `iteration`.

        Args:
            queues: as for `create_run`.

        Raises:
            InputError: the run has not ended.
            NoRoomError: as `create_run` does.
        """
        with session(self.database, "IMMEDIATE") as connection:
            _check_ended(connection, run_id)
            _check_room(connection, max_active, queues=queues)
            _put_back(connection, run_id, iteration, RunStatus.STARTING)

    def enqueue_again(self, run_id: str, iteration: int) -> None:
        """Put a run that has ended back to `queued`, to go on from `iteration` in its turn.

        Raises:
            InputError: the run has not ended.
        """
        with session(self.database, "IMMEDIATE") as connection:
            _check_ended(connection, run_id)
            _put_back(connection, run_id, iteration, RunStatus.QUEUED)

    def note_process(self, run_id: str, pid: int, started: float) -> None:
        """Remember the process that was started for a run, unless it has attached already."""
        with session(self.database, "IMMEDIATE") as connection:
            connection.execute(
                "UPDATE runs SET pid = ?, process_started = ? "
                "WHERE run_id = ? AND pid IS NULL AND status = ?",
                (pid, started, run_id, RunStatus.STARTING),
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

    def list_unended(self) -> list[RunInfo]:
        """Runs that go or wait."""
        with session(self.database) as connection:
            rows = connection.execute(
                f"SELECT {_RUN_COLUMNS} FROM checked_runs WHERE {_UNENDED_SQL}"
            ).fetchall()
        return [_run_info(row) for row in rows]

    def list_runs(self, *, active_only: bool = False) -> list[RunInfo]:
        """All runs, newest first."""
        where = f"WHERE {ACTIVE_SQL}" if active_only else ""
        with session(self.database) as connection:
            rows = connection.execute(
                f"SELECT {_RUN_COLUMNS} FROM checked_runs {where} ORDER BY created DESC"
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
                f"SELECT seq, iteration, kind, data, file FROM checked_records WHERE {where} "
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
                f"SELECT seq, iteration, kind, data, file FROM checked_records WHERE {where} "
                "ORDER BY seq DESC LIMIT 1",
                values,
            ).fetchone()
        return None if row is None else _record(row)

    def nearest(self, run_id: str, kind: RecordKind, iteration: int) -> Record | None:
        """The last record of `kind` at or before `iteration`; `None` if none.

        A binary search, some twenty look-ups however long the run is, for the kinds whose
        iterations never go back in the log (steps, image sheets); `latest` is for the others.
        """
        by_kind = "FROM checked_records WHERE run_id = ? AND kind = ?"
        with session(self.database) as connection:

            def iteration_from(seq: int) -> int:
                row = connection.execute(
                    f"SELECT iteration, data {by_kind} AND seq >= ? ORDER BY seq LIMIT 1",
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
            content = path.read_bytes()
            # Records of earlier versions have none.
            digest = record.data.get("sha256")
            if digest is not None and hashlib.sha256(content).hexdigest() != digest:
                raise RunFailed(f"'{path}' is damaged (its checksum does not match).")
            return load(content)
        except FileNotFoundError:
            raise RunFailed(
                f"'{path}' is missing; it was removed after the run wrote it."
            ) from None
        except (OSError, SafetensorError) as error:
            raise RunFailed(f"'{path}' is damaged or cannot be read ({error}).") from error

    def send(self, run_id: str, kind: CommandKind, payload: Mapping[str, Any] | None = None) -> int:
        """Queue a command for the run's process and return the command's number.

        Raises:
            InputError: there is no such run, or it has ended.
        """
        with session(self.database, "IMMEDIATE") as connection:
            info = fetch_info(connection, run_id)
            if info.ended:
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
                f"SELECT {_COMMAND_COLUMNS} FROM checked_commands WHERE seq = ?", (seq,)
            ).fetchone()
        if row is None:
            raise InputError(f"There is no command {seq}.")
        return command_from_row(row)

    def pending(self, run_id: str) -> list[Command]:
        """Commands of a run that have neither taken effect nor been refused, in order."""
        with session(self.database) as connection:
            rows = connection.execute(
                f"SELECT {_COMMAND_COLUMNS} FROM checked_commands WHERE run_id = ? AND {PENDING} "
                "ORDER BY seq",
                (run_id,),
            ).fetchall()
        return [command_from_row(row) for row in rows]
