from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from adadfq_core.errors import InputError
from adadfq_core.runs import control, process
from adadfq_core.runs.records import CommandKind, RecordKind, RunStatus
from adadfq_core.runs.store import RunStore
from adadfq_core.runs.writer import RunWriter
from adadfq_core.settings import RunSettings

Until = Callable[[Callable[[], bool]], None]
SETTINGS = RunSettings()


@pytest.fixture
def held(root: Path, store: RunStore) -> tuple[str, RunWriter]:
    """A run that this very process holds, in state running."""
    run_id = store.create_run(SETTINGS)
    me = process.identity(os.getpid())
    assert me is not None
    writer = RunWriter(root, run_id)
    writer.attach(*me)
    writer.set_status(RunStatus.RUNNING)
    return run_id, writer


def test_a_run_is_started_paused_stepped_changed_and_stopped(
    root: Path, stub: str, until: Until
) -> None:
    run_id = control.start(root, SETTINGS, "paper", worker=stub)
    until(lambda: control.info(root, run_id).iteration > 5)

    pause = control.pause(root, run_id)
    until(lambda: control.info(root, run_id).status is RunStatus.PAUSED)
    at = control.command(root, pause).applied_iteration
    assert at == control.info(root, run_id).iteration

    change = control.set_parameters(root, run_id, {"lambda_l": "0.25"})
    control.step(root, run_id, 3)
    until(lambda: control.info(root, run_id).iteration == at + 3)
    assert control.command(root, change).applied_iteration == at
    assert control.current_settings(root, run_id) == SETTINGS.model_copy(update={"lambda_l": 0.25})
    step = control.latest(root, run_id, RecordKind.STEP)
    assert step is not None and step.data == {"lambda_l": 0.25}

    assert control.resume(root, run_id) is not None
    until(lambda: control.info(root, run_id).iteration > at + 5)
    control.stop(root, run_id)
    until(lambda: control.info(root, run_id).status is RunStatus.STOPPED)

    states = [
        r.data["status"] for r in control.read(root, run_id, kinds=[RecordKind.STATUS]).records
    ]
    assert states == ["starting", "running", "paused", "running", "stopped"]


def test_changes_hold_by_iteration_not_by_the_order_of_the_log(
    root: Path, held: tuple[str, RunWriter]
) -> None:
    run_id, writer = held
    for iteration, changes in (
        (10, {"lambda_l": 0.2}),
        (30, {"lambda_l": 0.3, "beta": 0.5}),
        # Made after a resumption from iteration 15: that of iteration 30 holds again from there.
        (20, {"lambda_l": 0.25, "lambda_u": 0.7}),
    ):
        writer.append(RecordKind.PARAMETERS, iteration, {"changes": changes})
    writer.flush()
    expected = SETTINGS.model_copy(update={"lambda_l": 0.3, "lambda_u": 0.7, "beta": 0.5})
    assert control.current_settings(root, run_id) == expected


@pytest.mark.parametrize(
    "changes",
    [
        {"data": "none"},
        {"network": "own:build"},
        {"network": "own:build", "data": "none"},
        {"network": "torchvision/resnet18"},
    ],
)
def test_learning_from_real_images_without_any_is_refused_at_once(
    root: Path, stub: str, changes: dict[str, str]
) -> None:
    settings = RunSettings(method="real", **changes)
    with pytest.raises(InputError, match=r"method = real learns from real images, .*name a data"):
        control.start(root, settings, own_code=True, worker=stub)
    assert control.list_runs(root) == []


@pytest.mark.parametrize("changes", [{}, {"network": "own:build", "data": "pictures"}])
def test_learning_from_real_images_starts_where_there_are_some(
    root: Path, stub: str, changes: dict[str, str]
) -> None:
    settings = RunSettings(method="real", **changes)
    run_id = control.start(root, settings, own_code=True, worker=stub)
    assert control.info(root, run_id).settings == settings


def test_a_killed_run_resumes_from_its_checkpoint(root: Path, stub: str, until: Until) -> None:
    run_id = control.start(root, SETTINGS, worker=stub)
    until(lambda: control.latest(root, run_id, RecordKind.CHECKPOINT) is not None)
    before = control.info(root, run_id)
    assert before.pid is not None
    psutil.Process(before.pid).kill()
    until(lambda: control.info(root, run_id).status is RunStatus.LOST)
    with pytest.raises(InputError, match=f"Run {run_id} is lost; only a run that is going"):
        control.pause(root, run_id)

    blocker = RunStore(root).create_run(SETTINGS)
    with pytest.raises(InputError, match=f"A run is already going: {blocker}"):
        control.resume(root, run_id, worker=stub)
    checkpoint = control.latest(root, run_id, RecordKind.CHECKPOINT)
    assert checkpoint is not None

    assert control.resume(root, run_id, max_active=2, worker=stub) is None
    until(lambda: control.info(root, run_id).status is RunStatus.RUNNING)
    until(lambda: control.info(root, run_id).iteration > checkpoint.iteration)
    after = control.info(root, run_id)
    assert after.pid != before.pid
    assert after.reason == ""
    starts = [
        (r.data["status"], r.iteration)
        for r in control.read(root, run_id, kinds=[RecordKind.STATUS]).records
    ]
    assert starts[-2:] == [("starting", checkpoint.iteration), ("running", checkpoint.iteration)]
    control.stop(root, run_id)
    until(lambda: control.info(root, run_id).status is RunStatus.STOPPED)


def test_a_second_run_is_refused_while_one_is_active(
    root: Path, held: tuple[str, RunWriter], stub: str
) -> None:
    with pytest.raises(InputError, match=f"A run is already going: {held[0]}"):
        control.start(root, SETTINGS, worker=stub)
    assert len(control.list_runs(root)) == 1


def test_a_lost_run_does_not_block_a_new_one(root: Path, store: RunStore, stub: str) -> None:
    dead = store.create_run(SETTINGS)
    store.note_process(dead, os.getpid(), 1.0)
    run_id = control.start(root, SETTINGS, worker=stub)
    assert control.info(root, dead).status is RunStatus.LOST
    assert control.info(root, run_id).active


def test_a_claimed_run_without_process_has_a_grace_period(
    root: Path, store: RunStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = store.create_run(SETTINGS)
    assert control.info(root, run_id).status is RunStatus.STARTING
    monkeypatch.setattr(control, "STARTING_GRACE_S", 0.0)
    info = control.info(root, run_id)
    assert (info.status, info.reason) == (RunStatus.LOST, "Its process never started.")


def test_code_of_ones_own_is_resumed_by_a_shell_alone(root: Path, stub: str, until: Until) -> None:
    settings = RunSettings(network="own:build", data="none")
    run_id = control.start(root, settings, own_code=True, worker=stub)
    until(lambda: control.info(root, run_id).iteration > 5)
    control.pause(root, run_id)
    until(lambda: control.info(root, run_id).status is RunStatus.PAUSED)
    # Its process has the code already.
    assert control.resume(root, run_id) is not None
    control.stop(root, run_id)
    until(lambda: control.info(root, run_id).status is RunStatus.STOPPED)
    with pytest.raises(InputError, match=f"Run {run_id} would run the code own:build, which only"):
        control.resume(root, run_id, worker=stub)
    assert control.info(root, run_id).status is RunStatus.STOPPED
    assert control.resume(root, run_id, own_code=True, worker=stub) is None
    until(lambda: control.info(root, run_id).status is RunStatus.RUNNING)


def test_commands_are_judged_by_the_state_they_will_meet(
    root: Path, store: RunStore, held: tuple[str, RunWriter]
) -> None:
    run_id, writer = held
    with pytest.raises(InputError, match=f"Run {run_id} is running; only a paused run can be"):
        control.step(root, run_id)
    with pytest.raises(InputError, match=f"Run {run_id} is running; only a run that is paused"):
        control.resume(root, run_id)

    control.pause(root, run_id)
    with pytest.raises(InputError, match=f"Run {run_id} is paused; only a run that is going"):
        control.pause(root, run_id)
    control.step(root, run_id, 2)
    control.resume(root, run_id)
    control.pause(root, run_id)
    control.stop(root, run_id)
    for call in (control.pause, control.resume, control.step, control.stop):
        with pytest.raises(InputError, match=f"Run {run_id} is stopping; "):
            call(root, run_id)
    with pytest.raises(InputError, match=f"Run {run_id} is stopping; settings change only"):
        control.set_parameters(root, run_id, {"beta": 1.0})

    kinds = [command.kind for command in writer.take_commands()]
    assert kinds == ["pause", "step", "resume", "pause", "stop"]


@pytest.mark.parametrize("iterations", [0, -1])
def test_a_step_of_no_iterations_is_refused(
    root: Path, held: tuple[str, RunWriter], iterations: int
) -> None:
    with pytest.raises(InputError, match=f"iterations = {iterations} is not allowed"):
        control.step(root, held[0], iterations)


@pytest.mark.parametrize("status", [RunStatus.FINISHED, RunStatus.STOPPED, RunStatus.FAILED])
def test_an_ended_run_takes_no_commands(
    root: Path, held: tuple[str, RunWriter], status: RunStatus
) -> None:
    run_id, writer = held
    writer.set_status(status, "because")
    for call in (control.pause, control.step, control.stop):
        with pytest.raises(InputError, match=f"Run {run_id} is {status}; "):
            call(root, run_id)
    with pytest.raises(InputError, match=f"Run {run_id} is {status}; settings change only"):
        control.set_parameters(root, run_id, {"beta": 1.0})
    message = "only a run that is" if status is RunStatus.FINISHED else "and has no checkpoint"
    with pytest.raises(InputError, match=f"Run {run_id} is {status}.* {message}"):
        control.resume(root, run_id)


def test_a_missing_checkpoint_file_is_named(root: Path, held: tuple[str, RunWriter]) -> None:
    run_id, writer = held
    path = writer.checkpoints / "5.pt"
    writer.append(RecordKind.CHECKPOINT, 5, {}, file=path)
    writer.set_status(RunStatus.STOPPED)
    with pytest.raises(InputError, match=r"its checkpoint '.*5.pt' is missing"):
        control.resume(root, run_id)


def test_unknown_runs_are_named_by_every_command(root: Path) -> None:
    calls = (
        control.pause,
        control.resume,
        control.step,
        control.stop,
        control.info,
        control.read,
        control.current_settings,
    )
    for call in calls:
        with pytest.raises(InputError, match="There is no run 'nope'"):
            call(root, "nope")
    with pytest.raises(InputError, match="There is no run 'nope'"):
        control.set_parameters(root, "nope", {"beta": 1.0})


def test_changes_are_judged_against_what_will_be_in_force(
    root: Path, store: RunStore, held: tuple[str, RunWriter]
) -> None:
    run_id, writer = held
    control.set_parameters(root, run_id, {"lambda_u": 0.5})
    with pytest.raises(InputError, match=r"lambda_l = 0\.6 must be below lambda_u = 0\.5"):
        control.set_parameters(root, run_id, {"lambda_l": 0.6})
    assert control.current_settings(root, run_id) == SETTINGS, "not in force yet"

    (command,) = writer.take_commands()
    writer.append(RecordKind.PARAMETERS, 1, command.payload)
    writer.mark_applied(command, 1)
    with pytest.raises(InputError, match=r"lambda_l = 0\.6 must be below lambda_u = 0\.5"):
        control.set_parameters(root, run_id, {"lambda_l": 0.6})
    control.set_parameters(root, run_id, {"lambda_l": 0.6, "lambda_u": "0.7"})

    (command,) = writer.take_commands()
    assert command.kind is CommandKind.PARAMETERS
    assert command.payload == {"changes": {"lambda_l": 0.6, "lambda_u": 0.7}}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "No setting is named"),
        ({"lambda_l": 2}, r"lambda_l = 2 is not allowed; it must be a number from 0 to 1"),
        ({"lr_g": float("nan")}, r"lr_g = nan is not allowed"),
        ({"batch": 32}, "batch cannot change while a run trains"),
        ({"lamda": 0.1}, "Unknown setting 'lamda'"),
    ],
)
def test_wrong_changes_are_refused_at_once(
    root: Path,
    store: RunStore,
    held: tuple[str, RunWriter],
    changes: dict[str, float],
    message: str,
) -> None:
    with pytest.raises(InputError, match=message):
        control.set_parameters(root, held[0], changes)
    assert store.pending(held[0]) == []
