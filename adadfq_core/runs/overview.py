"""What a list of many runs tells of each, in a few queries over all of them."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from adadfq_core.runs.database import session
from adadfq_core.runs.records import NON_FINITE, Record, RecordKind, RunInfo
from adadfq_core.runs.store import RunStore
from adadfq_core.runs.summary import Summary, summarize

NEWEST_STEPS = 16
_NETWORKS = ("p", "q_calibrated", "q")

# The numbers are taken out by SQLite: reading all of a step takes ten times as long.
_EVALUATIONS = f"""
    SELECT run_id, seq, data ->> '$.network', data ->> '$.top1', data ->> '$.seconds'
    FROM checked_records
    WHERE kind = '{RecordKind.EVALUATION}' AND run_id IN (SELECT value FROM json_each(?))
"""
_STEPS = f"""
    SELECT run.value, seq, data ->> '$.ms', data ->> '$.seconds'
    FROM json_each(?) AS run JOIN checked_records ON seq IN (
        SELECT seq FROM records WHERE run_id = run.value AND kind = '{RecordKind.STEP}'
        ORDER BY seq DESC LIMIT {NEWEST_STEPS}
    )
"""


class SweepName(NamedTuple):
    """A sweep as its runs name it."""

    sweep_id: str
    name: str


def summaries(root: Path, run_ids: Iterable[str] | None = None) -> dict[str, Summary]:
    """Summaries of many runs, by default of all; runs that do not exist are left out.

    As `summary.summarize` gives them, but that the milliseconds per iteration are the median of
    the last `NEWEST_STEPS` alone: all steps of some thousand runs are too many to read.
    """
    with session(RunStore(root).database) as connection:
        known = [row[0] for row in connection.execute("SELECT run_id FROM runs")]
        wanted = known if run_ids is None else sorted(set(known).intersection(run_ids))
        names = json.dumps(wanted)
        evaluations = connection.execute(_EVALUATIONS, (names,)).fetchall()
        steps = connection.execute(_STEPS, (names,)).fetchall()
    records: defaultdict[str, list[Record]] = defaultdict(list)
    for run_id, seq, network, *values in evaluations:
        numbers = _numbers(values)
        if numbers is not None and network in _NETWORKS:
            data = {"network": network, "top1": numbers[0], "seconds": numbers[1]}
            records[run_id].append(Record(seq, 0, RecordKind.EVALUATION, data, None))
    for run_id, seq, *values in steps:
        numbers = _numbers(values)
        if numbers is not None:
            data = {"ms": numbers[0], "seconds": numbers[1]}
            records[run_id].append(Record(seq, 0, RecordKind.STEP, data, None))
    return {
        run_id: summarize(sorted(records[run_id], key=lambda record: record.seq))
        for run_id in wanted
    }


def _numbers(values: Iterable[object]) -> list[float] | None:
    """`values` of a record as numbers; `None` if one is none.

    A run that was imported may hold anything, and must not keep the others from being shown.
    """
    numbers = [
        NON_FINITE.get(value, value) if isinstance(value, str) else value for value in values
    ]
    if all(isinstance(number, int | float) for number in numbers):
        return [float(number) for number in numbers]  # type: ignore[arg-type]
    return None


def state(info: RunInfo) -> str:
    """A run's state in a list of runs; of one that waits, with its place in the queue."""
    return str(info.status) if info.place is None else f"{info.status}, {ordinal(info.place)}"


def ordinal(number: int) -> str:
    """`number` as the place in an order: 1st, 2nd, 3rd, 4th …"""
    teen = 10 <= number % 100 <= 20
    ending = "th" if teen else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def facts(info: RunInfo, summary: Summary, sweep: str = "") -> dict[str, Any]:
    """What a list tells of a run, by name; accuracies in percent, `recovered` a share.

    Settings are those that the run was started with; `None` where nothing was measured. `place`
    is that in the queue, `None` for a run that does not wait.
    """
    settings = info.settings
    return {
        "run_id": info.run_id,
        "created": info.created,
        "status": str(info.status),
        "place": info.place,
        "preset": info.preset,
        "network": settings.network,
        "bits": f"{settings.weight_bits}w{settings.activation_bits}a",
        "method": settings.method,
        "seed": settings.seed,
        "lambda_l": settings.lambda_l,
        "lambda_u": settings.lambda_u,
        "top1_p": summary.top1_p,
        "top1_q_calibrated": summary.top1_q_calibrated,
        "top1_q_last": summary.top1_q_last,
        "recovered": summary.recovered,
        "iteration": info.iteration,
        "iterations": settings.iterations,
        "sweep": sweep,
        "tags": list(info.tags),
        "note": info.note,
        "owner": info.owner,
        "reason": info.reason,
    }


def sweeps_of_runs(root: Path) -> dict[str, SweepName]:
    """The sweep of every run that is a cell of one, by the run's id."""
    with session(RunStore(root).database) as connection:
        rows = connection.execute(
            "SELECT run_id, sweep_id, name, cell.status "
            "FROM checked_cells AS cell JOIN checked_sweeps USING (sweep_id) "
            "WHERE run_id IS NOT NULL"
        ).fetchall()
    return {run_id: SweepName(sweep_id, name) for run_id, sweep_id, name, _ in rows}


def cell_counts(root: Path) -> dict[str, dict[str, int]]:
    """How many cells of each sweep are in which state, by the sweep's id."""
    with session(RunStore(root).database) as connection:
        rows = connection.execute(
            "SELECT sweep_id, status, count(*) FROM checked_cells GROUP BY sweep_id, status"
        ).fetchall()
    counts: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for sweep_id, status, number in rows:
        counts[sweep_id][status] = number
    return dict(counts)
