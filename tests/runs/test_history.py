from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adadfq_core.errors import InputError, RunFailed
from adadfq_core.runs.history import Moments, at, moments
from adadfq_core.runs.records import RecordKind
from adadfq_core.runs.store import RunStore
from adadfq_core.runs.writer import RunWriter
from adadfq_core.settings import RunSettings

START = RunSettings(lambda_l=0.1, lambda_u=0.8, beta=1.0)


@pytest.fixture
def writer(store: RunStore) -> Iterator[RunWriter]:
    with RunWriter(store.root, store.create_run(START)) as writer:
        yield writer


def play(writer: RunWriter, iterations: range, sheet_every: int = 10) -> None:
    """Steps, and sheets whose every pixel is the iteration modulo 256."""
    for iteration in iterations:
        if iteration % sheet_every == 0:
            pixels = np.full((2, 1, 4, 4), iteration % 256, np.uint8)
            writer.append(RecordKind.IMAGES, iteration, {}, {"pixels": pixels})
        writer.append(RecordKind.STEP, iteration, {"h_prime": [iteration / 1000]})
    writer.flush()


def measure(writer: RunWriter, iteration: int, network: str, top1: float) -> None:
    writer.append(RecordKind.EVALUATION, iteration, {"network": network, "top1": top1})
    writer.flush()


def embed(writer: RunWriter, iteration: int, source: str, position: float) -> None:
    positions = np.full((3, 2), position, np.float32)
    writer.append(RecordKind.EMBEDDING, iteration, {"source": source}, {"positions": positions})
    writer.flush()


def change(writer: RunWriter, iteration: int, **changes: Any) -> None:
    writer.append(RecordKind.PARAMETERS, iteration, {"changes": changes})
    writer.flush()


def test_moments_are_where_something_is_to_be_seen(root: Path, writer: RunWriter) -> None:
    assert moments(root, writer.run_id).iterations == ()
    play(writer, range(1, 31))
    embed(writer, 7, "real", 0)
    measure(writer, 12, "p", 90)
    measure(writer, 15, "q_calibrated", 40)
    measure(writer, 20, "q", 50)
    embed(writer, 25, "synthetic", 0)
    change(writer, 28, beta=2.0)
    assert moments(root, writer.run_id).iterations == (10, 15, 20, 25, 30)


def test_moments_add_only_what_is_new_and_stay_in_order(root: Path, writer: RunWriter) -> None:
    play(writer, range(1, 21))
    first = moments(root, writer.run_id)
    assert moments(root, writer.run_id, first) == first
    play(writer, range(21, 31))
    embed(writer, 15, "synthetic", 0)
    second = moments(root, writer.run_id, first)
    assert second.iterations == (10, 15, 20, 30)
    assert second.cursor > first.cursor
    assert moments(root, writer.run_id) == second
    # What is known is not read again.
    assert moments(root, writer.run_id, Moments((1,), second.cursor)).iterations == (1,)


def test_an_unknown_run_is_named(root: Path) -> None:
    for call in (lambda: moments(root, "nope"), lambda: at(root, "nope", 3)):
        with pytest.raises(InputError, match="There is no run 'nope'"):
            call()


@pytest.mark.parametrize(
    ("iteration", "step", "sheet", "top1", "synthetic"),
    [
        (0, None, None, None, None),
        (9, 9, None, None, None),
        (10, 10, 10, None, None),
        (19, 19, 10, 40, None),
        (24, 24, 20, 50, None),
        (25, 25, 20, 50, 2.0),
        (999, 40, 40, 50, 2.0),
    ],
)
def test_a_snapshot_holds_the_newest_of_each_kind(
    root: Path,
    writer: RunWriter,
    iteration: int,
    step: int | None,
    sheet: int | None,
    top1: float | None,
    synthetic: float | None,
) -> None:
    play(writer, range(1, 16))
    measure(writer, 15, "p", 90)
    measure(writer, 15, "q_calibrated", 40)
    play(writer, range(16, 21))
    measure(writer, 20, "q", 50)
    # The map is ready after the samples that it shows were taken.
    play(writer, range(21, 41))
    embed(writer, 33, "real", 1)
    embed(writer, 25, "synthetic", 2)

    then = at(root, writer.run_id, iteration)

    assert (then.step and then.step.iteration) == step
    assert (then.sheet and then.sheet.iteration) == sheet
    assert (then.evaluation and then.evaluation.data["top1"]) == top1
    assert (then.images is None) == (sheet is None)
    if then.images is not None:
        assert np.unique(then.images["pixels"]) == [sheet]
    if synthetic is None:
        assert then.synthetic is None
    else:
        assert then.synthetic is not None and then.synthetic["positions"][0, 0] == synthetic
        assert then.real is not None and then.real["positions"][0, 0] == 1


def test_real_samples_show_before_any_generated_one_is_placed(
    root: Path, writer: RunWriter
) -> None:
    embed(writer, 5, "real", 1)
    assert at(root, writer.run_id, 4).real is None
    real = at(root, writer.run_id, 5).real
    assert real is not None and real["positions"][0, 0] == 1


def test_each_process_of_a_resumed_run_has_its_own_map(root: Path, writer: RunWriter) -> None:
    embed(writer, 30, "real", 1)
    embed(writer, 20, "synthetic", 2)
    embed(writer, 21, "real", 3)
    embed(writer, 40, "synthetic", 4)
    pairs = [(then.synthetic, then.real) for then in (at(root, writer.run_id, i) for i in (35, 40))]
    shown = [tuple(part["positions"][0, 0] for part in pair if part is not None) for pair in pairs]
    assert shown == [(2, 1), (4, 3)]


def test_settings_are_those_that_the_iteration_was_played_with(
    root: Path, writer: RunWriter
) -> None:
    change(writer, 10, lambda_l=0.2)
    change(writer, 30, lambda_l=0.3, beta=0.5)
    # Made after resuming from an earlier checkpoint: that of iteration 30 holds again from there.
    change(writer, 20, lambda_l=0.25)
    in_force = {i: at(root, writer.run_id, i).settings for i in (0, 10, 11, 20, 21, 30, 31)}
    assert {i: settings.lambda_l for i, settings in in_force.items()} == {
        0: 0.1,
        10: 0.1,
        11: 0.2,
        20: 0.2,
        21: 0.25,
        30: 0.25,
        31: 0.3,
    }
    assert in_force[31].beta == 0.5 and in_force[30].beta == 1.0
    assert in_force[31].lambda_u == START.lambda_u


def test_arrays_are_read_when_asked_for_and_then_kept(
    root: Path, store: RunStore, writer: RunWriter
) -> None:
    play(writer, range(1, 11))
    kept, late = at(root, writer.run_id, 10), at(root, writer.run_id, 10)
    before = kept.images
    assert kept.sheet is not None
    store.path(kept.sheet).unlink()
    assert kept.images is before
    with pytest.raises(RunFailed, match="is missing; it was removed after the run wrote it"):
        _ = late.images


def test_other_runs_do_not_show_through(root: Path, store: RunStore, writer: RunWriter) -> None:
    other = store.create_run(START, max_active=2)
    with RunWriter(root, other) as second:
        for iteration in range(1, 41):
            play(writer, range(iteration, iteration + 1))
            play(second, range(iteration, iteration + 1), sheet_every=7)
    assert moments(root, other).iterations == (7, 14, 21, 28, 35)
    for iteration in (1, 7, 20, 40):
        then = at(root, other, iteration)
        assert then.step is not None and then.step.iteration == iteration
        assert (then.sheet and then.sheet.iteration) == (iteration // 7 * 7 or None)


@pytest.mark.parametrize("every", [1, 3])
def test_the_nearest_step_is_what_a_walk_would_find(
    store: RunStore, writer: RunWriter, every: int
) -> None:
    iterations = list(range(5, 60, every))
    for iteration in iterations:
        writer.append(RecordKind.NOTICE, iteration, {"text": ""})
        writer.append(RecordKind.STEP, iteration, {})
    writer.flush()
    for wanted in range(65):
        found = store.nearest(writer.run_id, RecordKind.STEP, wanted)
        expected = max((i for i in iterations if i <= wanted), default=None)
        assert (found and found.iteration) == expected


def test_the_kinds_asked_for_are_read_without_passing_the_steps(
    root: Path, store: RunStore, writer: RunWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    plans: list[str] = []
    play(writer, range(1, 11))
    connect = sqlite3.connect

    class Explaining(sqlite3.Connection):
        def execute(self, sql: str, values: Any = ()) -> sqlite3.Cursor:
            if sql.startswith("SELECT") and "FROM checked_records" in sql:
                explained = super().execute(f"EXPLAIN QUERY PLAN {sql}", values)
                plans.extend(row[3] for row in explained)
            return super().execute(sql, values)

    monkeypatch.setattr(sqlite3, "connect", lambda *a, **k: connect(*a, **k, factory=Explaining))
    moments(root, writer.run_id)
    at(root, writer.run_id, 5)
    searches = [plan for plan in plans if "records" in plan]
    assert len(searches) > 4
    assert all("records_by_kind (run_id=? AND kind=?" in plan for plan in searches), searches


def test_forgotten_records_are_gone_and_numbers_are_not_used_again(
    store: RunStore, writer: RunWriter
) -> None:
    play(writer, range(1, 4), sheet_every=100)
    records = store.read(writer.run_id, kinds=[RecordKind.STEP]).records
    store.forget(writer.run_id, records[1:])
    assert store.read(writer.run_id, kinds=[RecordKind.STEP]).records == records[:1]
    play(writer, range(4, 5), sheet_every=100)
    newest = store.latest(writer.run_id, RecordKind.STEP)
    assert newest is not None and newest.seq > records[-1].seq
