"""The writing end of a run's log, for the run's own process alone.

Rows are buffered and written a few times a second, in one transaction, so that a fast loop does
not pay for a commit per iteration and readers never wait for it.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from safetensors.numpy import save

from adadfq_core.errors import RunFailed
from adadfq_core.files import replace_atomically
from adadfq_core.runs.database import RUN_PATIENCE_S, connect, explained, transaction
from adadfq_core.runs.records import (
    ACTIVE,
    Command,
    CommandKind,
    RecordKind,
    RunStatus,
    decode,
    encode,
)
from adadfq_core.runs.store import ARRAYS, CHECKPOINTS, PENDING, RunStore, insert_status

FLUSH_INTERVAL_S = 0.25

_ACTIVE_PLACES = ", ".join("?" * len(ACTIVE))
_TAKE = (
    f"SELECT seq, created, kind, payload FROM checked_commands WHERE run_id = ? AND {PENDING} "
    "AND seq > ? ORDER BY seq"
)
_HOLD = (
    "UPDATE runs SET iteration = ?, updated = ? "
    f"WHERE run_id = ? AND pid IS ? AND status IN ({_ACTIVE_PLACES})"
)


class RunWriter:
    """Writes the log of run `run_id` and takes its commands; to be used in one thread.

    Call `attach` first. Every write is refused with `RunFailed` once the run has ended (also by
    this writer's own final `set_status`) or belongs to another process, so that a process that
    was given up cannot mix its records into a resumed run.

    Raises:
        InputError: there is no such run, or its database is damaged or not writable.
        RunFailed: the disk is full, or the database stayed locked; what was buffered is kept.
    """

    def __init__(
        self, root: Path, run_id: str, *, flush_interval: float = FLUSH_INTERVAL_S
    ) -> None:
        self._store = RunStore(root)
        info = self._store.info(run_id)
        self.run_id = run_id
        self._pid = info.pid
        self._iteration = info.iteration
        self._flush_interval = flush_interval
        self._rows: list[tuple[str, int, str, str, str | None]] = []
        self._marks: list[tuple[int, str | None, int]] = []
        self._flushed = time.monotonic()
        self._last_taken = 0
        with explained(self._store.database):
            self._connection = connect(self._store.database, RUN_PATIENCE_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def checkpoints(self) -> Path:
        """Folder for the run's checkpoints; name one by the `file` of a `checkpoint` record."""
        return self._store.folder(self.run_id) / CHECKPOINTS

    def attach(self, pid: int, process_started: float) -> None:
        """Make process `pid`, started at `process_started` (seconds since 1970), the run's own.

        Raises:
            RunFailed: the run is not waiting for a process.
        """
        with explained(self._store.database), transaction(self._connection):
            changed = self._connection.execute(
                "UPDATE runs SET pid = ?, process_started = ?, updated = ? "
                "WHERE run_id = ? AND status = ?",
                (pid, process_started, time.time(), self.run_id, RunStatus.STARTING),
            ).rowcount
            if not changed:
                raise RunFailed(f"Run {self.run_id} is not waiting for a process; resume it first.")
        self._pid = pid

    def append(
        self,
        kind: RecordKind,
        iteration: int,
        data: Mapping[str, Any],
        arrays: Mapping[str, np.ndarray] | None = None,
        file: Path | None = None,
    ) -> None:
        """Add a record; readers see it after the next flush, which may be now.

        `arrays` are on disk, complete, before the record that names them can be seen; their
        file's SHA-256 becomes `sha256` in the record's data. `file` (instead of `arrays`) names a
        file that is already written, inside the store's folder.

        Raises:
            RunFailed: a file cannot be written, or see the class.
        """
        if arrays is not None:
            file, digest = self._write_arrays(kind, iteration, arrays)
            data = {**data, "sha256": digest}
        name = None if file is None else file.absolute().relative_to(self._store.root).as_posix()
        self._rows.append((self.run_id, iteration, kind, encode(data), name))
        self._iteration = iteration
        self._flush_if_due()

    def flush(self) -> None:
        """Write what is buffered, in one transaction, together with the run's iteration."""
        self._commit(None, "")

    def set_status(self, status: RunStatus, reason: str = "") -> None:
        """Change the run's state, log it and flush; a state that is not active must come last."""
        self._commit(status, reason)

    def take_commands(self) -> list[Command]:
        """Commands that wait and were not taken before, in order; cheap, for every iteration.

        Flushes rows that have waited too long, also while the run pauses.
        """
        self._flush_if_due()
        with explained(self._store.database):
            rows = self._connection.execute(_TAKE, (self.run_id, self._last_taken)).fetchall()
        if not rows:
            return []
        self._last_taken = rows[-1][0]
        return [
            Command(seq, self.run_id, created, CommandKind(kind), decode(payload))
            for seq, created, kind, payload in rows
        ]

    def mark_applied(self, command: Command, iteration: int, error: str | None = None) -> None:
        """Note that `command` holds from `iteration` on, or why it was refused, and flush.

        Append the record that tells of its effect before, so that both appear at once.
        """
        self._marks.append((iteration, error, command.seq))
        self.flush()

    def close(self) -> None:
        """Flush and close the connection."""
        try:
            self.flush()
        finally:
            self._connection.close()

    def _flush_if_due(self) -> None:
        if self._rows and time.monotonic() - self._flushed >= self._flush_interval:
            self.flush()

    def _commit(self, status: RunStatus | None, reason: str) -> None:
        if not (self._rows or self._marks or status):
            return
        with explained(self._store.database), transaction(self._connection):
            held = self._connection.execute(
                _HOLD, (self._iteration, time.time(), self.run_id, self._pid, *ACTIVE)
            ).rowcount
            if not held:
                raise RunFailed(
                    f"Run {self.run_id} has ended or was taken over by another process; this "
                    "process must not write to it any more."
                )
            self._connection.executemany(
                "INSERT INTO records (run_id, iteration, kind, data, file) VALUES (?, ?, ?, ?, ?)",
                self._rows,
            )
            self._connection.executemany(
                "UPDATE commands SET applied_iteration = ?, error = ? WHERE seq = ?", self._marks
            )
            if status is not None:
                self._connection.execute(
                    "UPDATE runs SET status = ?, reason = ? WHERE run_id = ?",
                    (status, reason, self.run_id),
                )
                insert_status(self._connection, self.run_id, self._iteration, status, reason)
        self._rows.clear()
        self._marks.clear()
        self._flushed = time.monotonic()

    def _write_arrays(
        self, kind: RecordKind, iteration: int, arrays: Mapping[str, np.ndarray]
    ) -> tuple[Path, str]:
        # A resumed run passes the same iterations again: the random part keeps older files.
        name = f"{iteration:08d}-{kind}-{secrets.token_hex(4)}.safetensors"
        path = self._store.folder(self.run_id) / ARRAYS / name
        content = save({key: np.asarray(value, order="C") for key, value in arrays.items()})
        try:
            with replace_atomically(path) as temporary:
                temporary.write_bytes(content)
        except OSError as error:
            raise RunFailed(
                f"'{path}' could not be written ({error.strerror or error}); free some space or "
                "check the folder, then resume the run."
            ) from error
        return path, hashlib.sha256(content).hexdigest()
