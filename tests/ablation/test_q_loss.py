from __future__ import annotations

import math
from pathlib import Path

import pytest

from adadfq_core.ablation.q_loss import COLUMNS, q_loss_by_epoch
from adadfq_core.errors import InputError
from adadfq_core.runs.records import RecordKind
from adadfq_core.runs.store import RunStore
from adadfq_core.runs.writer import RunWriter
from adadfq_core.settings import RunSettings


def stored_run(root: Path, training: list[float], tests: dict[int, float | None]) -> str:
    """A run of two iterations an epoch, the first epoch being the warm-up."""
    settings = RunSettings(iterations_per_epoch=2, epochs=50, warmup_epochs=1)
    run_id = RunStore(root).create_run(settings, max_active=10)
    with RunWriter(root, run_id) as writer:
        for iteration, loss in enumerate(training, start=1):
            writer.append(RecordKind.STEP, iteration, {"loss_q": loss, "h_prime": [0.5]})
            if iteration in tests:
                data = {"network": "q", "top1": 50.0, "seconds": 1.0}
                if tests[iteration] is not None:
                    data["loss_q"] = tests[iteration]
                writer.append(RecordKind.EVALUATION, iteration, data)
    return run_id


def test_epochs_have_the_mean_of_training_and_the_last_test(tmp_path: Path) -> None:
    run_id = stored_run(tmp_path, [9, 9, 1, 3, 5, 7, -1], {2: 8.0, 3: 2.5, 4: 2.0, 7: -0.5})
    table = q_loss_by_epoch(tmp_path, run_id)
    assert table.columns.tolist() == COLUMNS
    assert table["epoch"].tolist() == [2, 3, 4]
    assert table["training"].tolist() == [2, 6, -1]
    assert table["test"].tolist() == pytest.approx([2.0, math.nan, -0.5], nan_ok=True)


def test_runs_of_one_setting_are_averaged_and_an_iteration_counts_as_played_last(
    tmp_path: Path,
) -> None:
    first = stored_run(tmp_path, [9, 9, 1, 3], {4: 2.0})
    second = stored_run(tmp_path, [9, 9, 3, 5, 8, 8], {4: None})
    with RunWriter(tmp_path, first) as writer:  # gone back, and played anew
        writer.append(RecordKind.STEP, 4, {"loss_q": 5.0, "h_prime": [0.5]})
    table = q_loss_by_epoch(tmp_path, first, second)
    assert table["training"].tolist() == [(3 + 4) / 2, 8]
    assert table["test"].tolist() == pytest.approx([2.0, math.nan], nan_ok=True)


def test_no_run_no_epoch_and_an_unknown_run_is_refused(tmp_path: Path) -> None:
    assert q_loss_by_epoch(tmp_path).columns.tolist() == COLUMNS
    assert len(q_loss_by_epoch(tmp_path, stored_run(tmp_path, [9, 9], {2: 8.0}))) == 0
    with pytest.raises(InputError, match="no-such-run"):
        q_loss_by_epoch(tmp_path, "no-such-run")
