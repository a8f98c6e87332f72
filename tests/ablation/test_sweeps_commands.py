"""The shell's commands for stored sweeps, and their deletion."""

from __future__ import annotations

import io
from pathlib import Path

import pandas as pd
import pytest
from stored_runs import held_run, stored_run
from typer.testing import CliRunner

from adadfq_core import runs
from adadfq_core.__main__ import application
from adadfq_core.ablation import control
from adadfq_core.ablation.plan import Plan
from adadfq_core.ablation.states import CellStatus, SweepStatus
from adadfq_core.ablation.sweeps import SweepStore
from adadfq_core.errors import InputError


@pytest.fixture
def ended(tmp_path: Path) -> tuple[SweepStore, str, list[str]]:
    """A sweep of two cells with a run each, which has ended."""
    plan = Plan(
        axes=("lambda_l", "lambda_u"),
        points=({"lambda_l": 0.1, "lambda_u": 0.8}, {"lambda_l": 0.2, "lambda_u": 0.8}),
    )
    store = SweepStore(tmp_path)
    sweep_id = store.create(plan, [], name="margins", workers=1, threads=1, ray_address="")
    run_ids = [stored_run(tmp_path), stored_run(tmp_path)]
    for index, run_id in enumerate(run_ids):
        store.cell_started(sweep_id, index)
        store.cell_ended(sweep_id, index, CellStatus.FINISHED, "", run_id)
    store.end(store.info(sweep_id), SweepStatus.FINISHED, "")
    return store, sweep_id, run_ids


def _said(*words: str) -> str:
    told = CliRunner().invoke(application, ["sweeps", *words], catch_exceptions=False)
    assert told.exit_code == 0
    return told.stdout


def test_sweeps_are_listed(ended: tuple[SweepStore, str, list[str]]) -> None:
    store, sweep_id, _ = ended
    (line,) = _said("list", "--run-dir", str(store.root)).splitlines()
    assert line.split("\t")[:5] == [
        *(sweep_id, "finished", "2 of 2", "lambda_l lambda_u", "margins")
    ]


def test_results_are_printed(ended: tuple[SweepStore, str, list[str]]) -> None:
    store, sweep_id, run_ids = ended
    place = ("--run-dir", str(store.root))
    frame = pd.read_csv(io.StringIO(_said("table", sweep_id, *place)))
    assert frame["run_id"].tolist() == run_ids
    assert frame["lambda_l"].tolist() == [0.1, 0.2]
    both = ("--rows", "lambda_u", "--columns", "lambda_l")
    assert "λ_u" in _said("table", sweep_id, *both, "--format", "markdown", *place)
    assert r"\toprule" in _said("table", sweep_id, *both, "--format", "latex", *place)
    assert "mean" in _said("table", sweep_id, *both, *place)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--rows", "lambda_u"), "needs both axes"),
        (("--format", "latex"), "--format latex needs --rows and --columns"),
        (
            ("--rows", "lambda_u", "--columns", "lambda_l", "--format", "word"),
            "--format word is not allowed; use csv, markdown or latex",
        ),
    ],
)
def test_tables_that_cannot_be_are_told(
    ended: tuple[SweepStore, str, list[str]], words: tuple[str, ...], message: str
) -> None:
    store, sweep_id, _ = ended
    told = CliRunner().invoke(
        application, ["sweeps", "table", sweep_id, *words, "--run-dir", str(store.root)]
    )
    assert isinstance(told.exception, InputError)
    assert message in str(told.exception)


@pytest.mark.parametrize("with_runs", [False, True])
def test_a_deleted_sweep_is_gone_and_its_runs_only_if_asked(
    ended: tuple[SweepStore, str, list[str]], with_runs: bool
) -> None:
    store, sweep_id, run_ids = ended
    flags = ["--with-runs"] * with_runs
    freed = _said("delete", sweep_id, *flags, "--yes", "--run-dir", str(store.root))
    assert freed.endswith("MB freed\n")
    assert control.list_sweeps(store.root) == []
    assert store.cells(sweep_id) == []
    assert not store.folder(sweep_id).exists()
    left = {info.run_id for info in runs.list_runs(store.root)}
    assert left == (set() if with_runs else set(run_ids))


def test_a_running_sweep_is_not_deleted_nor_its_runs(
    ended: tuple[SweepStore, str, list[str]],
) -> None:
    store, sweep_id, run_ids = ended
    store.reclaim(sweep_id, 1, 1, "")
    with pytest.raises(InputError, match="is running and cannot be deleted; stop it first"):
        control.delete(store.root, sweep_id, with_runs=True)
    with pytest.raises(InputError, match="is running and cannot be deleted"):
        store.delete(sweep_id)
    assert len(runs.list_runs(store.root)) == len(run_ids)


def test_a_sweep_with_an_active_run_keeps_everything(
    ended: tuple[SweepStore, str, list[str]],
) -> None:
    store, sweep_id, _ = ended
    with held_run(store.root) as writer:
        store.cell_has_run(sweep_id, 1, writer.run_id)
        with pytest.raises(InputError, match="cannot be deleted; stop it first"):
            control.delete(store.root, sweep_id, with_runs=True)
    assert control.info(store.root, sweep_id).status is SweepStatus.FINISHED
    assert len(runs.list_runs(store.root)) == 3


def test_nobody_is_asked_in_a_pipe(ended: tuple[SweepStore, str, list[str]]) -> None:
    store, sweep_id, _ = ended
    told = CliRunner().invoke(
        application, ["sweeps", "delete", sweep_id, "--run-dir", str(store.root)]
    )
    assert isinstance(told.exception, InputError)
    assert "say --yes" in str(told.exception)
