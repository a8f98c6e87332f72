"""How long a sweep takes, told before it starts from times that were measured on this machine."""

from __future__ import annotations

import heapq
import json
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from adadfq_core.ablation.designs import feasible
from adadfq_core.ablation.plan import Cell, Plan
from adadfq_core.runs.database import session
from adadfq_core.runs.records import RecordKind, RunStatus
from adadfq_core.runs.store import RunStore, fetch_info
from adadfq_core.settings import NO_DATA, RunSettings, field

MOST_RUNS = 5
"""Earlier runs that a pace is measured from: the newest ones, of which the median is taken."""

_SIZED = (RecordKind.CHECKPOINT, RecordKind.IMAGES)
"""Kinds whose files are most of what a run stores, in the order of `Pace`."""

_UNDISTURBED = 3
"""States of a run that was played at one go: starting, running, finished."""

# Newest first, but those that had as many neighbours as the ones to come before all others. Who
# was paused, stepped, changed or resumed tells nothing; nor do other machines of a Ray cluster.
_ALIKE = f"""
SELECT runs.run_id, runs.updated - runs.created, runs.iteration,
    coalesce(sweeps.workers, 1) AS together
FROM runs
LEFT JOIN cells ON cells.run_id = runs.run_id
LEFT JOIN sweeps ON sweeps.sweep_id = cells.sweep_id
WHERE runs.status = '{RunStatus.FINISHED}'
    AND coalesce(sweeps.ray_address, '') = ''
    AND {{same_cost}}
    AND runs.run_id NOT IN (SELECT run_id FROM commands)
    AND {_UNDISTURBED} = (
        SELECT count(*) FROM records
        WHERE records.run_id = runs.run_id AND kind = '{RecordKind.STATUS}'
    )
ORDER BY together = ? DESC, runs.created DESC
LIMIT {MOST_RUNS}
"""

# The plus keeps SQLite from sorting all steps: what is looked for is a few entries back in the log.
_LAST_SECONDS = f"""
    SELECT json_extract(data, '$.seconds') FROM checked_records
    WHERE run_id = :run_id AND +kind IN ('{RecordKind.STEP}', '{RecordKind.EVALUATION}')
        AND seq < {{before}}
    ORDER BY seq DESC LIMIT 1
"""
# Evaluations of a run, the seconds that they took and the run's seconds at work. An evaluation
# began with the entry before it: its iteration's step, or the evaluation of another network.
_TIMES = f"""
SELECT count(*), total(ended - began), ({_LAST_SECONDS.format(before="9e18")})
FROM (
    SELECT json_extract(evaluation.data, '$.seconds') AS ended,
        ({_LAST_SECONDS.format(before="evaluation.seq")}) AS began
    FROM checked_records AS evaluation
    WHERE run_id = :run_id AND kind = '{RecordKind.EVALUATION}'
)
"""


class Cost(NamedTuple):
    """The settings that decide how long an iteration, an evaluation and a start take."""

    network: str
    image_shape: tuple[int, int, int] | None
    data: str
    evaluation_images: int
    method: str
    ranges: str
    replay: int
    batch: int
    latent_dim: int
    generator_width: int
    value_every: int
    embed_every: int
    threads: int


@dataclass(frozen=True)
class Pace:
    """What one run takes.

    Attributes:
        ms_per_iteration: milliseconds, with what is written and made beside the game.
        ms_per_evaluation: milliseconds to measure one network on all images; 0 without data.
        startup_s: seconds that a run takes beside its work: process, loading, closing.
        measured: in words what this was measured from.
        checkpoint_bytes, sheet_bytes: of the file of one checkpoint, of one sheet of images.
    """

    ms_per_iteration: float
    ms_per_evaluation: float
    startup_s: float
    measured: str
    checkpoint_bytes: float = 0.0
    sheet_bytes: float = 0.0


@dataclass(frozen=True)
class Estimate:
    """What a sweep takes: its runs, its cells that are refused, seconds from start to end.

    `seconds` is `None` where the pace of a run is not known. `sentence` says all of it.
    """

    runs: int
    refused: int
    seconds: float | None
    sentence: str


def cost(settings: RunSettings) -> Cost:
    """The part of `settings` on which times depend."""
    return Cost(**{name: getattr(settings, name) for name in Cost._fields})


def costs(plan: Plan, threads: int) -> dict[Cost, RunSettings]:
    """The different costs of a plan's runs, each with settings to measure it by.

    Args:
        threads: of each run, whatever the plan says.

    Raises:
        InputError: more than `plan.MOST_CELLS` cells.
    """
    found: dict[Cost, RunSettings] = {}
    for settings in _played(plan, feasible(plan)[0], threads):
        found.setdefault(cost(settings), settings)
    return found


def evaluations(settings: RunSettings) -> int:
    """Networks that a run measures: P and the calibrated Q, then Q at times and at the end."""
    if settings.data == NO_DATA:
        return 0
    left = settings.iterations - settings.warmup_iterations
    return 2 + math.ceil(left / settings.evaluate_every)


def run_seconds(settings: RunSettings, pace: Pace) -> float:
    """Seconds that one run takes at `pace`, from its start to its end."""
    playing = settings.iterations * pace.ms_per_iteration
    return pace.startup_s + (playing + evaluations(settings) * pace.ms_per_evaluation) / 1e3


def known_runs(
    plan: Plan, threads: int, paces: Mapping[Cost, Pace]
) -> list[tuple[RunSettings, Pace]] | None:
    """The settings of each run of `plan` with its pace; `None` if one is not known.

    Args:
        paces: see `estimate`.

    Raises:
        InputError: more than `plan.MOST_CELLS` cells.
    """
    settings = _played(plan, feasible(plan)[0], threads)
    found = [(one, paces[cost(one)]) for one in settings if cost(one) in paces]
    return found if len(found) == len(settings) else None


def estimate(plan: Plan, workers: int, threads: int, paces: Mapping[Cost, Pace]) -> Estimate:
    """What `plan` takes with `workers` runs at once, each of `threads` threads.

    The runs start in the plan's order, each as soon as a place is free. Early stopping is left
    out, as no one knows before whom it stops.

    Args:
        paces: by the costs of the runs (see `costs`); those missing are not known.

    Raises:
        InputError: more than `plan.MOST_CELLS` cells.
    """
    going, refused = feasible(plan)
    taken = known_runs(plan, threads, paces) or []
    seconds = None
    if len(taken) == len(going):
        seconds = makespan((run_seconds(one, pace) for one, pace in taken), workers)
    words = f"{len(going)} run{'s' * (len(going) != 1)}"
    if refused:
        words += f" ({len(refused)} of {len(going) + len(refused)} cells cannot run)"
    if seconds is None:
        words += "; how long they take is not known yet."
    elif not going:
        words += ", so there is nothing to do."
    else:
        words += f", {min(workers, len(going))} at once, {in_words(seconds)}"
        if plan.halving is not None:
            words += " or less, as hopeless ones are stopped early"
        words += f"; reckoned from {' and '.join(dict.fromkeys(p.measured for _, p in taken))}."
    return Estimate(len(going), len(refused), seconds, words)


def makespan(lengths: Iterable[float], workers: int) -> float:
    """When the last of runs of these lengths ends, if each starts in order at the first free of
    `workers` places (list scheduling, Graham 1966); in the unit of the lengths.
    """
    ends = [0.0] * workers
    for length in lengths:
        heapq.heapreplace(ends, ends[0] + length)
    return max(ends)


def in_words(seconds: float) -> str:
    """`seconds` as a person says a rough length: about 50 s, about 12 min, about 3 h 20 min."""
    if seconds < 100:
        return f"about {max(round(seconds), 1)} s"
    minutes = round(seconds / 60)
    if minutes < 100:
        return f"about {minutes} min"
    # No one can tell a minute of hours.
    hours, rest = divmod(5 * round(seconds / 300), 60)
    return f"about {hours} h {rest} min" if rest else f"about {hours} h"


def known_pace(root: Path, settings: RunSettings, workers: int) -> Pace | None:
    """The pace of earlier runs in store `root` that cost what one of `settings` does, if any.

    Runs of sweeps with as many at once are taken where there are some, as neighbours slow each
    other; `measured` says how it was. A run that was played alone counts as one at once.

    Raises:
        InputError: the store is damaged or not writable.
        RunFailed: its disk is full, or it stays locked.
    """
    # What runs of before a setting lack, they were played with as its default says.
    same_cost = " AND ".join(
        f"ifnull(json_extract(settings, '$.{name}'), ?) IS ?" for name in Cost._fields
    )
    wanted = [
        _as_extracted(value)
        for name, value in zip(Cost._fields, cost(settings), strict=True)
        for value in (field(name).default, value)
    ]
    wanted.append(workers)
    with session(RunStore(root).database) as connection:
        rows = connection.execute(_ALIKE.format(same_cost=same_cost), wanted).fetchall()
        together = rows[0][-1] if rows else workers
        measured = []
        for run_id, wall, iterations, its_together in rows:
            fetch_info(connection, run_id)  # refuses a row that is damaged
            measurings, spent, at_work = connection.execute(_TIMES, {"run_id": run_id}).fetchone()
            # A log without times was not written by a worker of this program.
            if its_together == together and at_work:
                measured.append(_measured(measurings, spent, at_work, wall, iterations))
    if not measured:
        return None
    ms_per_iteration, ms_per_evaluation, startup_s = (
        statistics.median(numbers) for numbers in zip(*measured, strict=True)
    )
    return Pace(
        ms_per_iteration,
        ms_per_evaluation,
        startup_s,
        _source(len(measured), together, workers),
        *(_file_bytes(root, rows[0][0], kind) for kind in _SIZED),
    )


def _file_bytes(root: Path, run_id: str, kind: RecordKind) -> int:
    """Size of the newest file of `kind` of a run, 0 where there is none."""
    store = RunStore(root)
    record = store.latest(run_id, kind)
    if record is None or record.file is None:
        return 0
    try:
        return store.path(record).stat().st_size
    except OSError:
        return 0  # it was removed by hand


def _played(plan: Plan, going: Sequence[Cell], threads: int) -> list[RunSettings]:
    """The settings with which the cells `going` are played."""
    return [plan.settings(cell).model_copy(update={"threads": threads}) for cell in going]


def _as_extracted(value: object) -> object:
    """`value` as SQLite gives it from the JSON of settings."""
    return json.dumps(value, separators=(",", ":")) if isinstance(value, tuple) else value


def _measured(
    measurings: int, spent: float, at_work: float, wall: float, iterations: int
) -> tuple[float, float, float]:
    """Milliseconds an iteration and an evaluation, and seconds beside the work, of one run.

    Args:
        measurings: evaluations, which took `spent` of the seconds `at_work`.
        wall: seconds from its creation to its end.
    """
    per_evaluation = 1e3 * spent / measurings if measurings else 0.0
    return 1e3 * (at_work - spent) / iterations, per_evaluation, max(wall - at_work, 0.0)


def _source(count: int, together: int, workers: int) -> str:
    earlier = f"{count} earlier run{'s' * (count != 1)} like them"
    if together == workers:
        return f"{earlier}, {workers} at once"
    slower = "takes longer" if together < workers else "may go faster"
    return f"{earlier}, {together} at once, so with {workers} each {slower}"
