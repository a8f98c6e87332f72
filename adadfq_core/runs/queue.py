"""The runs that wait for a place among those that go.

A run waits in state `queued` with a ticket, a number that grows. Any process may give a free place
to the lowest ticket: the one whose run ends does, and every one that looks at the store. Who takes
a run out of the queue has to start its process; where that never comes, because the taker died,
the run waits again with the ticket that it had.
"""

from __future__ import annotations

import time

from adadfq_core.runs.database import session
from adadfq_core.runs.records import RunInfo, RunStatus
from adadfq_core.runs.store import ACTIVE_SQL, RunStore, count_runs, fetch_info, insert_status

CANCELLED = "It was taken out of the queue."


def claim_next(store: RunStore, max_active: int) -> RunInfo | None:
    """Put the run that has waited longest to `starting`, if fewer than `max_active` runs go.

    One transaction over all processes: no run is given twice, and never do more go. `None` if
    none waits, or none may go.
    """
    with session(store.database, "IMMEDIATE") as connection:
        if count_runs(connection, ACTIVE_SQL) >= max_active:
            return None
        row = connection.execute(
            "SELECT run_id FROM runs WHERE status = ? ORDER BY ticket LIMIT 1",
            (RunStatus.QUEUED,),
        ).fetchone()
        if row is None:
            return None
        connection.execute(
            "UPDATE runs SET status = ?, updated = ? WHERE run_id = ?",
            (RunStatus.STARTING, time.time(), row[0]),
        )
        info = fetch_info(connection, row[0])
        insert_status(connection, info.run_id, info.iteration, RunStatus.STARTING, "")
    return info


def wait_again(store: RunStore, seen: RunInfo) -> bool:
    """Put a run that was claimed from the queue, and got no process, back to its place there.

    `False` if it is not as `seen` any more, or was never queued.
    """
    with session(store.database, "IMMEDIATE") as connection:
        changed = connection.execute(
            "UPDATE runs SET status = ?, updated = ? WHERE run_id = ? AND status = ? "
            "AND updated = ? AND pid IS NULL AND ticket IS NOT NULL",
            (RunStatus.QUEUED, time.time(), seen.run_id, RunStatus.STARTING, seen.updated),
        ).rowcount
        if changed:
            insert_status(connection, seen.run_id, seen.iteration, RunStatus.QUEUED, "")
    return bool(changed)


def cancel(store: RunStore, run_id: str) -> bool:
    """Take a run out of the queue; it is stopped then. `False` if it does not wait.

    Raises:
        InputError: there is no such run.
    """
    with session(store.database, "IMMEDIATE") as connection:
        info = fetch_info(connection, run_id)
        if not info.queued:
            return False
        connection.execute(
            "UPDATE runs SET status = ?, reason = ?, updated = ? WHERE run_id = ?",
            (RunStatus.STOPPED, CANCELLED, time.time(), run_id),
        )
        insert_status(connection, run_id, info.iteration, RunStatus.STOPPED, CANCELLED)
    return True
