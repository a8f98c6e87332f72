from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from stored_runs import held_run, stored_run

from adadfq_core.runs.database import connect
from adadfq_core.runs.overview import NEWEST_STEPS, cell_counts, summaries, sweeps_of_runs
from adadfq_core.runs.records import RecordKind
from adadfq_core.runs.store import RunStore
from adadfq_core.runs.summary import Summary, summarize


def test_many_summaries_are_those_of_each_run(root: Path) -> None:
    store = RunStore(root)
    # Their logs lie among each other, as those of runs that went at the same time.
    with held_run(root) as one, held_run(root) as two:
        for iteration in range(1, 9):
            for writer, factor in ((one, 1.0), (two, 3.0)):
                data: dict[str, Any] = {"ms": factor * iteration, "seconds": factor * iteration}
                writer.append(RecordKind.STEP, iteration, data)
                if iteration in (4, 6):
                    data = {"network": "q", "top1": 70 - factor * iteration, "seconds": 0.5}
                    writer.append(RecordKind.EVALUATION, iteration, data)
                writer.flush()
    runs = [
        one.run_id,
        two.run_id,
        stored_run(root),
        store.create_run(store.info(one.run_id).settings, max_active=9),
    ]
    assert summaries(root) == {run_id: summarize(store.read(run_id).records) for run_id in runs}
    assert summaries(root)[runs[2]] == Summary(90.0, 40.0, 66.0, 66.0, 35.0, 2.1)
    assert summaries(root)[runs[3]] == Summary()


def test_the_pace_is_that_of_the_newest_steps(root: Path) -> None:
    with held_run(root) as writer:
        for iteration in range(1, 4 * NEWEST_STEPS):
            late = iteration >= 3 * NEWEST_STEPS
            data = {"ms": 5.0 if late else 100.0, "seconds": float(iteration)}
            writer.append(RecordKind.STEP, iteration, data)
    summary = summaries(root)[writer.run_id]
    assert (summary.ms_per_iteration, summary.seconds) == (5.0, 4.0 * NEWEST_STEPS - 1)


def test_only_the_runs_asked_for_and_that_exist(root: Path) -> None:
    one, _ = stored_run(root), stored_run(root)
    assert list(summaries(root, [one, "nope"])) == [one]
    assert summaries(root, []) == {}


def test_what_is_not_finite_stays_so_and_what_is_no_measurement_is_passed_over(root: Path) -> None:
    with held_run(root) as writer:
        for network, top1, seconds in (
            ("q", math.nan, 1.0),
            ("another", 50.0, 2.0),
            ("q_calibrated", "high", 3.0),
        ):
            data = {"network": network, "top1": top1, "seconds": seconds}
            writer.append(RecordKind.EVALUATION, 1, data)
        writer.append(RecordKind.STEP, 2, {"text": "of another version"})
    found = asdict(summaries(root)[writer.run_id])
    assert math.isnan(found.pop("top1_q_last")) and math.isnan(found.pop("top1_q_best"))
    assert found.pop("seconds") == 1.0
    assert set(found.values()) == {None}


@pytest.fixture
def sweep(root: Path) -> str:
    """A sweep of three cells, the first of which has a run; that run's id."""
    run_id = stored_run(root)
    with connect(RunStore(root).database) as connection:
        connection.execute(
            "INSERT INTO sweeps (sweep_id, created, name, plan, workers, threads, ray_address, "
            "status, updated) VALUES ('s1', 1, 'margins', '{}', 2, 1, '', 'finished', 1)"
        )
        connection.executemany(
            "INSERT INTO cells (sweep_id, cell, point, seed, status, run_id) "
            "VALUES ('s1', ?, '{}', 0, ?, ?)",
            [(0, "finished", run_id), (1, "refused", None), (2, "finished", None)],
        )
    connection.close()
    return run_id


def test_runs_know_their_sweep_and_sweeps_their_cells(root: Path, sweep: str) -> None:
    stored_run(root)
    assert sweeps_of_runs(root) == {sweep: ("s1", "margins")}
    assert cell_counts(root) == {"s1": {"finished": 2, "refused": 1}}
