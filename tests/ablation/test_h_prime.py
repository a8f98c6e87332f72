from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from adadfq_core.ablation.h_prime import h_prime_by_epoch, last_h_prime
from adadfq_core.errors import InputError
from adadfq_core.runs.records import RecordKind
from adadfq_core.runs.store import RunStore
from adadfq_core.runs.writer import RunWriter
from adadfq_core.settings import RunSettings

BATCH = 4


def stored_run(root: Path, batches: list[list[float]], per_epoch: int = 2) -> str:
    """A run of `per_epoch` iterations an epoch whose steps have the H' of `batches`."""
    settings = RunSettings(iterations_per_epoch=per_epoch, batch=BATCH, epochs=50)
    run_id = RunStore(root).create_run(settings, max_active=10)
    with RunWriter(root, run_id) as writer:
        for iteration, batch in enumerate(batches, start=1):
            writer.append(RecordKind.VALUE, iteration, {"h_prime": [9.0]})
            writer.append(RecordKind.STEP, iteration, {"loss_q": math.nan, "h_prime": batch})
    return run_id


def random_batches(count: int, seed: int) -> list[list[float]]:
    values = np.random.default_rng(seed).beta(2, 3, (count, BATCH)).round(4)
    return [list(map(float, batch)) for batch in values]


def test_quantiles_are_those_of_all_samples_of_an_epoch(tmp_path: Path) -> None:
    batches = random_batches(5, seed=0)
    table = h_prime_by_epoch(tmp_path, stored_run(tmp_path, batches))
    assert table["epoch"].tolist() == [1, 2, 3]
    for epoch, row in enumerate(table.itertuples()):
        samples = np.concatenate(batches[2 * epoch : 2 * epoch + 2])
        quantiles = np.percentile(samples, [10, 25, 50, 75, 90])
        assert [row.q10, row.q25, row.q50, row.q75, row.q90] == pytest.approx(quantiles)
        assert row.mean == pytest.approx(samples.mean())


def test_runs_of_one_setting_are_pooled(tmp_path: Path) -> None:
    long, short = random_batches(4, seed=1), random_batches(2, seed=2)
    runs = [stored_run(tmp_path, long), stored_run(tmp_path, short)]
    table = h_prime_by_epoch(tmp_path, *runs)
    assert table["q50"].tolist() == pytest.approx(
        [np.median([*long[0], *long[1], *short[0], *short[1]]), np.median([*long[2], *long[3]])]
    )
    pooled = last_h_prime(tmp_path, *runs, samples=BATCH)
    assert pooled.tolist() == [*long[-1], *short[-1]]


def test_values_that_are_not_finite_are_left_out(tmp_path: Path) -> None:
    batches = [[0.2, math.nan, 0.4, math.inf], [0.6, -math.inf, 0.8, 1.0], [math.nan] * 4]
    run_id = stored_run(tmp_path, batches)
    table = h_prime_by_epoch(tmp_path, run_id)
    assert table.loc[0, "mean"] == pytest.approx(0.6) and table.loc[0, "q50"] == 0.6
    assert table.loc[1].drop("epoch").isna().all()
    assert last_h_prime(tmp_path, run_id).tolist() == [0.2, 0.4, 0.6, 0.8, 1.0]


@pytest.mark.parametrize("samples", [1, 4, 6, 12, 2048])
def test_the_newest_samples_come_last(tmp_path: Path, samples: int) -> None:
    batches = random_batches(3, seed=3)
    newest = last_h_prime(tmp_path, stored_run(tmp_path, batches), samples=samples)
    assert newest.tolist() == np.concatenate(batches)[-samples:].tolist()


def test_a_run_without_steps_has_no_rows(tmp_path: Path) -> None:
    run_id = stored_run(tmp_path, [])
    assert list(h_prime_by_epoch(tmp_path, run_id)) == [
        *("epoch", "q10", "q25", "q50", "q75", "q90", "mean")
    ]
    assert len(h_prime_by_epoch(tmp_path, run_id)) == 0
    assert last_h_prime(tmp_path, run_id).shape == (0,)


def test_an_unknown_run_is_named(tmp_path: Path) -> None:
    for read in (h_prime_by_epoch, last_h_prime):
        with pytest.raises(InputError, match="There is no run 'gone'"):
            read(tmp_path, "gone")
