"""Real sweeps: a process that drives them, and real runs of the bundled network."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from shells import shell

from adadfq_core import runs
from adadfq_core.ablation import control
from adadfq_core.ablation.plan import Plan
from adadfq_core.ablation.results import results_frame
from adadfq_core.ablation.states import CellStatus, SweepStatus
from adadfq_core.ablation.sweeps import SweepStore
from adadfq_core.errors import InputError
from adadfq_core.presets import preset_settings
from adadfq_core.runs import RunStatus

TIMEOUT_SECONDS = 180
TINY = {
    **{"epochs": 3, "iterations_per_epoch": 5, "warmup_epochs": 1, "batch": 4},
    **{"generator_width": 4, "evaluation_images": 100, "checkpoint_every": 5},
    **{"evaluate_every": 5, "value_every": 1000},
}


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADADFQ_HOME", str(tmp_path / "home"))


def _wait(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not what():
        assert time.monotonic() < deadline, "timed out"
        time.sleep(0.05)


def _plan(**changes: object) -> Plan:
    return Plan(
        preset="quick",
        changes={**TINY, **changes},
        axes=("lambda_l", "lambda_u"),
        points=tuple(
            {"lambda_l": low, "lambda_u": high} for low in (0.0, 0.6) for high in (0.5, 0.9)
        ),
    )


def _finished(root: Path, sweep_id: str) -> bool:
    return control.info(root, sweep_id).status is not SweepStatus.RUNNING


def test_a_killed_sweep_goes_on_with_what_is_missing(tmp_path: Path) -> None:
    plan = _plan()
    sweep_id = control.start(tmp_path, plan, workers=1)
    _wait(lambda: control.cells(tmp_path, sweep_id)[0].status is CellStatus.FINISHED)
    first = control.cells(tmp_path, sweep_id)[0]
    psutil.Process(control.info(tmp_path, sweep_id).pid).kill()
    _wait(lambda: control.info(tmp_path, sweep_id).status is SweepStatus.LOST)
    assert "killed by SIGKILL" in control.info(tmp_path, sweep_id).reason
    control.resume(tmp_path, sweep_id, workers=2)
    _wait(lambda: _finished(tmp_path, sweep_id))
    assert control.info(tmp_path, sweep_id).status is SweepStatus.FINISHED
    cells = control.cells(tmp_path, sweep_id)
    assert [cell.status for cell in cells] == ["finished", "finished", "refused", "finished"]
    assert "lambda_l = 0.6 must be below lambda_u = 0.5" in cells[2].reason
    assert cells[0] == first
    # No result twice, none lost: each run of the store is a cell's.
    assert {info.run_id for info in runs.list_runs(tmp_path)} == {
        cell.run_id for cell in cells if cell.run_id
    }
    frame = results_frame(tmp_path, sweep_id).set_index("cell")
    assert list(frame.columns[:6]) == [
        *("status", "reason", "run_id", "seed", "lambda_l", "lambda_u")
    ]
    assert frame["top1_q_last"].notna().tolist() == [True, True, False, True]
    assert frame.loc[[0, 1, 3], "top1_p"].between(90, 100).all()
    with pytest.raises(InputError, match="Nothing is missing of sweep"):
        control.resume(tmp_path, sweep_id)
    # The same settings and seed give the same numbers outside of a sweep.
    settings = plan.settings(plan.cells[3]).model_copy(update={"threads": 1})
    run_id = runs.start(tmp_path, settings)
    _wait(lambda: not runs.info(tmp_path, run_id).active)
    alone = runs.latest(tmp_path, run_id, runs.RecordKind.STEP)
    swept = runs.latest(tmp_path, cells[3].run_id, runs.RecordKind.STEP)
    assert alone is not None and swept is not None
    assert alone.data["loss_q"] == swept.data["loss_q"]
    assert alone.data["h_prime"] == swept.data["h_prime"]


def test_a_stopped_sweep_resumes_its_runs_from_their_checkpoints(tmp_path: Path) -> None:
    sweep_id = control.start(tmp_path, _plan(slow_motion=200), workers=1)
    _wait(
        lambda: any(info.iteration >= 6 for info in runs.list_runs(tmp_path)),
    )
    control.stop(tmp_path, sweep_id)
    _wait(lambda: _finished(tmp_path, sweep_id))
    assert control.info(tmp_path, sweep_id).status is SweepStatus.STOPPED
    (run,) = runs.list_runs(tmp_path)
    assert run.status is RunStatus.STOPPED
    assert [cell.status for cell in control.cells(tmp_path, sweep_id)] == [
        *("waiting", "waiting", "refused", "waiting")
    ]
    with pytest.raises(InputError, match="is stopped; there is nothing to stop"):
        control.stop(tmp_path, sweep_id)
    control.resume(tmp_path, sweep_id)
    _wait(lambda: runs.info(tmp_path, run.run_id).status is RunStatus.FINISHED)
    assert control.cells(tmp_path, sweep_id)[0].run_id == run.run_id
    control.stop(tmp_path, sweep_id)
    _wait(lambda: _finished(tmp_path, sweep_id))


def test_a_killed_run_is_resumed_by_its_sweep(tmp_path: Path) -> None:
    sweep_id = control.start(tmp_path, _plan(slow_motion=100), workers=1)
    _wait(lambda: any(info.iteration >= 6 for info in runs.list_runs(tmp_path)))
    (run,) = runs.list_runs(tmp_path)
    psutil.Process(run.pid).kill()
    _wait(lambda: control.cells(tmp_path, sweep_id)[0].status is CellStatus.FINISHED)
    cell = control.cells(tmp_path, sweep_id)[0]
    assert (cell.run_id, cell.attempts) == (run.run_id, 2)
    control.stop(tmp_path, sweep_id)
    _wait(lambda: _finished(tmp_path, sweep_id))


def test_a_run_that_diverges_fails_its_cell_alone(tmp_path: Path) -> None:
    plan = Plan(
        preset="quick", changes=TINY, axes=("lr_q",), points=({"lr_q": 1.0}, {"lr_q": 1e-4})
    )
    sweep_id = control.start(tmp_path, plan, workers=2)
    _wait(lambda: _finished(tmp_path, sweep_id))
    info = control.info(tmp_path, sweep_id)
    assert (info.status, info.reason) == (
        SweepStatus.FINISHED,
        "1 of 2 cells failed; resume the sweep to try again.",
    )
    failed, finished = control.cells(tmp_path, sweep_id)
    assert (failed.status, finished.status) == (CellStatus.FAILED, CellStatus.FINISHED)
    assert failed.attempts == 1
    assert "became nan at iteration" in failed.reason


def test_a_paused_run_of_somebody_takes_no_place(tmp_path: Path) -> None:
    own = runs.start(tmp_path, preset_settings("quick", {**TINY, "slow_motion": 500}))
    _wait(lambda: runs.info(tmp_path, own).iteration >= 1)
    sweep_id = control.start(tmp_path, _plan(), workers=1)
    _wait(lambda: "Waits for a place" in control.info(tmp_path, sweep_id).reason)
    assert len(runs.list_runs(tmp_path)) == 1
    runs.pause(tmp_path, own)
    _wait(lambda: len(runs.list_runs(tmp_path)) == 2)
    control.stop(tmp_path, sweep_id)
    _wait(lambda: _finished(tmp_path, sweep_id))
    runs.stop(tmp_path, own)
    _wait(lambda: not runs.info(tmp_path, own).active)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"workers": 0}, r"workers = 0 is not allowed; .* from 1 to 256"),
        ({"threads": 300}, r"threads = 300 is not allowed; .* from 1 to 256"),
        ({"ray_address": "my cluster"}, r"'my cluster' is not the address of a Ray cluster"),
        ({"name": "x" * 121}, r"name has 121 characters; at most 120"),
    ],
)
def test_bad_sweeps_are_refused_before_anything_is_stored(
    tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        control.start(tmp_path, _plan(), **changes)  # type: ignore[arg-type]
    assert control.list_sweeps(tmp_path) == []


def test_code_of_ones_own_is_for_the_shell_alone(tmp_path: Path) -> None:
    plan = _plan(network="my_networks:resnet")
    with pytest.raises(InputError, match="A network of your own would run code"):
        control.start(tmp_path, plan)
    # Nor does a page go on with what a shell has begun.
    store = SweepStore(tmp_path)
    sweep_id = store.create(plan, [], name="", workers=1, threads=1, ray_address="")
    store.end(store.info(sweep_id), SweepStatus.STOPPED, "")
    with pytest.raises(InputError, match="A network of your own would run code"):
        control.resume(tmp_path, sweep_id)


def test_a_plan_without_any_cell_that_can_run_is_refused(tmp_path: Path) -> None:
    plan = Plan(axes=("lambda_l",), points=({"lambda_l": 0.9},))
    with pytest.raises(InputError, match=r"No cell .* lambda_l = 0.9 must be below lambda_u"):
        control.start(tmp_path, plan)


def test_unknown_sweeps_are_told(tmp_path: Path) -> None:
    for ask in (control.info, control.cells, control.stop, control.resume):
        with pytest.raises(InputError, match="There is no sweep 'none'"):
            ask(tmp_path, "none")


def test_the_shell_sweeps_and_reports(tmp_path: Path) -> None:
    tiny = [word for name, value in TINY.items() for word in ("--set", f"{name}={value}")]
    told = shell(
        *("ablate", "--over", "lambda_l=0:0.2:2", "--seeds", "4,7", "--preset", "quick"),
        *(*tiny, "--workers", "2", "--run-dir", str(tmp_path), "--name", "two", "--json"),
    )
    assert told.returncode == 0, told.stderr
    result = json.loads(told.stdout)
    assert result["status"] == "finished"
    assert [(row["lambda_l"], row["seed"]) for row in result["cells"]] == [
        *((0.0, 4), (0.2, 4), (0.0, 7), (0.2, 7))
    ]
    assert all(row["top1_q_last"] is not None for row in result["cells"])
    assert "4 runs" in told.stderr
    (sweep,) = control.list_sweeps(tmp_path)
    assert (sweep.sweep_id, sweep.name, sweep.workers) == (result["sweep_id"], "two", 2)
    assert sweep.plan.changes["epochs"] == 3


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "Name what to vary"),
        (("--over", "lambda_l=0:0.4:5", "--points", "x.csv"), "Name what to vary"),
        (("--over", "lambda_l=0.1", "--design", "spiral"), "--design spiral is not allowed"),
        (("--over", "lambda_l=0.1", "--seeds", "many"), "--seeds many is neither"),
        (("--over", "lambda_l=0.1", "--seeds", "0"), "--seeds 0 asks for no run"),
        (("--over", "lambda_l=0.1", "--preset", "fast"), "Unknown preset 'fast'"),
        (("--over", "lambda_l=0.9"), "No cell of the sweep can run"),
        (("--over", "lambda_l=0.1", "--network", "resnet19"), "resnet19"),
        (("--resume", "none"), "There is no sweep 'none'"),
    ],
)
def test_bad_words_of_the_shell_are_one_sentence_and_exit_code_2(
    tmp_path: Path, words: tuple[str, ...], message: str
) -> None:
    told = shell("ablate", *words, "--run-dir", str(tmp_path))
    assert told.returncode == 2
    assert message in told.stderr
    assert "Traceback" not in told.stderr
