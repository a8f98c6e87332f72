"""Sweeps and their cells in the run store's database."""

from __future__ import annotations

import json
import secrets
import shutil
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from adadfq_core.ablation.plan import Cell, Plan
from adadfq_core.ablation.states import SETTLED, CellInfo, CellStatus, SweepInfo, SweepStatus
from adadfq_core.errors import InputError, RunFailed
from adadfq_core.runs.database import session
from adadfq_core.runs.store import RunStore

SWEEPS = "sweeps"
"""Folder of the store with one folder a sweep, for what its process prints."""

_SWEEP_COLUMNS = (
    "sweep_id, created, name, plan, workers, threads, ray_address, status, reason, pid, "
    "process_started, updated, owner"
)
_CELL_COLUMNS = "sweep_id, cell, point, seed, status, reason, run_id, attempts, started, ended"
_UNSETTLED = "status NOT IN ({})".format(", ".join(f"'{status}'" for status in SETTLED))


def _sweep(row: tuple[Any, ...]) -> SweepInfo:
    sweep_id, created, name, plan, workers, threads, ray_address, status, *rest = row
    try:
        read = Plan.model_validate_json(plan)
    except ValidationError as error:
        raise InputError(
            f"The plan of sweep {sweep_id} cannot be read ({error.errors()[0]['msg']}); a newer "
            "version of this program may have written it, so update the program."
        ) from None
    return SweepInfo(
        sweep_id, created, name, read, workers, threads, ray_address, SweepStatus(status), *rest
    )


def _cell(row: tuple[Any, ...]) -> CellInfo:
    sweep_id, index, point, seed, status, *rest = row
    return CellInfo(sweep_id, index, json.loads(point), seed, CellStatus(status), *rest)


class SweepStore:
    """The sweeps in the run store `root`; made for one call or for a sweep's whole process.

    All methods raise as those of `RunStore` do.
    """

    def __init__(self, root: Path) -> None:
        self.runs = RunStore(root)
        self.root = self.runs.root

    def folder(self, sweep_id: str) -> Path:
        """Where the output of the sweep's process is kept."""
        return self.root / SWEEPS / sweep_id

    def create(
        self,
        plan: Plan,
        refused: Iterable[tuple[Cell, str]],
        *,
        name: str,
        workers: int,
        threads: int,
        ray_address: str,
        owner: str = "",
    ) -> str:
        """Store a sweep with its cells in state `running`, no process yet; returns its id.

        Args:
            refused: cells whose settings are not allowed, and why.
        """
        now = time.time()
        stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(now))
        sweep_id = f"{stamp}-sweep-{secrets.token_hex(2)}"
        try:
            self.folder(sweep_id).mkdir(parents=True)
        except OSError as error:
            raise InputError(
                f"The folder '{self.folder(sweep_id)}' cannot be made ({error.strerror})."
            ) from None
        reasons = {cell.index: reason for cell, reason in refused}
        with session(self.runs.database, "IMMEDIATE") as connection:
            connection.execute(
                f"INSERT INTO sweeps ({_SWEEP_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, '', "
                "NULL, NULL, ?, ?)",
                (
                    *(sweep_id, now, name, plan.model_dump_json(), workers, threads),
                    *(ray_address, SweepStatus.RUNNING, now, owner),
                ),
            )
            connection.executemany(
                "INSERT INTO cells (sweep_id, cell, point, seed, status, reason) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                [
                    (
                        *(sweep_id, cell.index, json.dumps(cell.point), cell.seed),
                        CellStatus.REFUSED if cell.index in reasons else CellStatus.WAITING,
                        reasons.get(cell.index, ""),
                    )
                    for cell in plan.cells
                ],
            )
        return sweep_id

    def list_sweeps(self, *, running_only: bool = False) -> list[SweepInfo]:
        """All sweeps, newest first."""
        where = f"WHERE status = '{SweepStatus.RUNNING}'" if running_only else ""
        with session(self.runs.database) as connection:
            rows = connection.execute(
                f"SELECT {_SWEEP_COLUMNS} FROM checked_sweeps {where} ORDER BY created DESC"
            ).fetchall()
        return [_sweep(row) for row in rows]

    def info(self, sweep_id: str) -> SweepInfo:
        """State of one sweep.

        Raises:
            InputError: there is no such sweep.
        """
        with session(self.runs.database) as connection:
            row = connection.execute(
                f"SELECT {_SWEEP_COLUMNS} FROM checked_sweeps WHERE sweep_id = ?", (sweep_id,)
            ).fetchone()
        if row is None:
            raise InputError(f"There is no sweep '{sweep_id}'; list the sweeps to see their names.")
        return _sweep(row)

    def cells(self, sweep_id: str) -> list[CellInfo]:
        """The cells of a sweep in the order of its plan."""
        with session(self.runs.database) as connection:
            rows = connection.execute(
                f"SELECT {_CELL_COLUMNS} FROM checked_cells WHERE sweep_id = ? ORDER BY cell",
                (sweep_id,),
            ).fetchall()
        return [_cell(row) for row in rows]

    def reclaim(self, sweep_id: str, workers: int, threads: int, ray_address: str) -> None:
        """Put a sweep that has ended back to `running`, no process yet; failed cells may retry.

        Raises:
            InputError: there is no such sweep, or it is running.
        """
        with session(self.runs.database, "IMMEDIATE") as connection:
            changed = connection.execute(
                "UPDATE sweeps SET status = ?, reason = '', pid = NULL, process_started = NULL, "
                "stop_asked = 0, workers = ?, threads = ?, ray_address = ?, updated = ? "
                "WHERE sweep_id = ? AND status <> ?",
                (
                    *(SweepStatus.RUNNING, workers, threads, ray_address, time.time()),
                    *(sweep_id, SweepStatus.RUNNING),
                ),
            ).rowcount
            if not changed:
                raise InputError(f"Sweep {sweep_id} is running already; wait until it ends.")
            connection.execute(
                "UPDATE cells SET status = ?, reason = '', attempts = 0 "
                "WHERE sweep_id = ? AND status = ?",
                (CellStatus.WAITING, sweep_id, CellStatus.FAILED),
            )

    def attach(self, sweep_id: str, pid: int, process_started: float) -> None:
        """Make a process the one that drives a sweep.

        Raises:
            RunFailed: another process drives it, or it has ended.
        """
        with session(self.runs.database, "IMMEDIATE") as connection:
            changed = connection.execute(
                "UPDATE sweeps SET pid = ?, process_started = ?, updated = ? WHERE sweep_id = ? "
                "AND status = ? AND (pid IS NULL OR pid = ?)",
                (pid, process_started, time.time(), sweep_id, SweepStatus.RUNNING, pid),
            ).rowcount
        if not changed:
            raise RunFailed(f"Sweep {sweep_id} is not waiting for a process; resume it first.")

    def note_process(self, sweep_id: str, pid: int, started: float) -> None:
        """Remember the process that was started for a sweep, unless it has attached already."""
        with session(self.runs.database, "IMMEDIATE") as connection:
            connection.execute(
                "UPDATE sweeps SET pid = ?, process_started = ? WHERE sweep_id = ? AND pid IS NULL",
                (pid, started, sweep_id),
            )

    def end(self, seen: SweepInfo, status: SweepStatus, reason: str) -> None:
        """Give a running sweep its final state, unless another process has taken over since.

        Its cells that run wait again: they go on where they were when the sweep is resumed.
        """
        with session(self.runs.database, "IMMEDIATE") as connection:
            changed = connection.execute(
                "UPDATE sweeps SET status = ?, reason = ?, updated = ? "
                "WHERE sweep_id = ? AND status = ? AND pid IS ?",
                (
                    *(status, reason, time.time()),
                    *(seen.sweep_id, SweepStatus.RUNNING, seen.pid),
                ),
            ).rowcount
            if changed:
                connection.execute(
                    f"UPDATE cells SET status = ? WHERE sweep_id = ? AND {_UNSETTLED}",
                    (CellStatus.WAITING, seen.sweep_id),
                )

    def check_ended(self, sweep_id: str) -> None:
        """Refuse a sweep that is running.

        Raises:
            InputError: there is no such sweep, or it is running.
        """
        if self.info(sweep_id).status is SweepStatus.RUNNING:
            raise InputError(
                f"Sweep {sweep_id} is running and cannot be deleted; stop it first or wait until "
                "it ends."
            )

    def delete(self, sweep_id: str) -> None:
        """Delete a sweep and its cells; their runs stay.

        Raises:
            InputError: see `check_ended`.
        """
        with session(self.runs.database, "IMMEDIATE") as connection:
            changed = connection.execute(
                "DELETE FROM sweeps WHERE sweep_id = ? AND status <> ?",
                (sweep_id, SweepStatus.RUNNING),
            ).rowcount
            if changed:
                connection.execute("DELETE FROM cells WHERE sweep_id = ?", (sweep_id,))
        if not changed:
            self.check_ended(sweep_id)
        shutil.rmtree(self.folder(sweep_id), ignore_errors=True)

    def say(self, sweep_id: str, reason: str) -> None:
        """Tell why a running sweep waits; empty when it does not."""
        with session(self.runs.database, "IMMEDIATE") as connection:
            connection.execute(
                "UPDATE sweeps SET reason = ?, updated = ? WHERE sweep_id = ?",
                (reason, time.time(), sweep_id),
            )

    def ask_stop(self, sweep_id: str) -> None:
        """Ask the process of a running sweep to stop.

        Raises:
            InputError: there is no such sweep, or it is not running.
        """
        with session(self.runs.database, "IMMEDIATE") as connection:
            changed = connection.execute(
                "UPDATE sweeps SET stop_asked = 1 WHERE sweep_id = ? AND status = ?",
                (sweep_id, SweepStatus.RUNNING),
            ).rowcount
        if not changed:
            status = self.info(sweep_id).status
            raise InputError(f"Sweep {sweep_id} is {status}; there is nothing to stop.")

    def stop_asked(self, sweep_id: str) -> bool:
        """Whether the sweep's process should stop; also when the sweep is gone."""
        with session(self.runs.database) as connection:
            row = connection.execute(
                "SELECT stop_asked, name FROM checked_sweeps WHERE sweep_id = ?", (sweep_id,)
            ).fetchone()
        return row is None or bool(row[0])

    def cell_started(self, sweep_id: str, index: int) -> None:
        """Note another start of a cell."""
        with session(self.runs.database, "IMMEDIATE") as connection:
            connection.execute(
                "UPDATE cells SET status = ?, reason = '', attempts = attempts + 1, started = ?, "
                "ended = NULL WHERE sweep_id = ? AND cell = ?",
                (CellStatus.RUNNING, time.time(), sweep_id, index),
            )

    def cell_has_run(self, sweep_id: str, index: int, run_id: str) -> None:
        """Note the run of a cell as soon as it is in the store."""
        with session(self.runs.database, "IMMEDIATE") as connection:
            connection.execute(
                "UPDATE cells SET run_id = ? WHERE sweep_id = ? AND cell = ?",
                (run_id, sweep_id, index),
            )

    def cell_ended(
        self, sweep_id: str, index: int, status: CellStatus, reason: str, run_id: str | None
    ) -> None:
        """Note how the last start of a cell ended; `run_id` stays as it was where it is `None`."""
        with session(self.runs.database, "IMMEDIATE") as connection:
            connection.execute(
                "UPDATE cells SET status = ?, reason = ?, run_id = coalesce(?, run_id), ended = ? "
                "WHERE sweep_id = ? AND cell = ?",
                (status, reason, run_id, time.time(), sweep_id, index),
            )
