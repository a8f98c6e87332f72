from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from logged_runs import log_step, new_run
from typer.testing import CliRunner, Result

from adadfq_core.errors import InputError
from adadfq_core.runs.records import RunStatus
from adadfq_core.runs.writer import RunWriter
from adadfq_core.shell.sinks import log_to_mlflow, write_tensorboard

Shell = Callable[..., Result]


@pytest.fixture
def shell(root: Path) -> Shell:
    """Give a command its arguments, in the store of the test."""
    application = typer.Typer()
    application.command("tensorboard")(write_tensorboard)
    application.command("mlflow")(log_to_mlflow)

    def call(*arguments: object) -> Result:
        texts = [str(argument) for argument in arguments]
        return CliRunner().invoke(application, [*texts, "--run-dir", str(root)])

    return call


@pytest.fixture
def ended_runs(root: Path) -> list[str]:
    """Two runs that have finished."""
    run_ids = []
    for _ in range(2):
        with new_run(root) as writer:
            log_step(writer, 1)
            writer.set_status(RunStatus.FINISHED)
            run_ids.append(writer.run_id)
    return run_ids


def test_event_files_of_several_runs(shell: Shell, ended_runs: list[str], tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="needs the extra package tensorboard")
    out = tmp_path / "out"
    first, second = ended_runs
    result = shell("tensorboard", first, second, first, "--out", out, "--follow")
    assert result.exit_code == 0, result.output
    assert result.stdout == f"{first}\t{out / first}\n{second}\t{out / second}\n"
    assert all(len(list((out / run_id).glob("*tfevents*"))) == 1 for run_id in ended_runs)


def test_ctrl_c_leaves_a_run_that_is_followed(
    shell: Shell, writer: RunWriter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("tensorboard", reason="needs the extra package tensorboard")

    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("adadfq_core.sinks.following.time.sleep", interrupt)
    writer.set_status(RunStatus.RUNNING)
    result = shell("tensorboard", writer.run_id, "--out", tmp_path / "out", "--follow")
    assert result.exit_code == 0
    assert "the same command goes on from here" in result.stderr


def test_runs_of_a_sweep_on_an_mlflow_store(
    shell: Shell, ended_runs: list[str], tmp_path: Path
) -> None:
    mlflow = pytest.importorskip("mlflow", reason="needs the extra package mlflow-skinny")
    uri = (tmp_path / "mlflow").as_uri()
    result = shell(
        "mlflow", *ended_runs, "--tracking-uri", uri, "--experiment", "x", "--sweep", "s-1"
    )
    assert result.exit_code == 0, result.output
    ids = dict(line.split("\t") for line in result.stdout.splitlines())
    assert list(ids) == ended_runs
    client = mlflow.MlflowClient(uri)
    (parent,) = {client.get_run(i).data.tags["mlflow.parentRunId"] for i in ids.values()}
    above = client.get_run(parent).info
    assert (above.run_name, above.status) == ("s-1", "FINISHED")


@pytest.mark.parametrize(
    ("package", "module", "arguments"),
    [
        ("tensorboard", "tensorboard", ("--out", "out")),
        ("mlflow-skinny", "mlflow", ("--tracking-uri", "http://x", "--experiment", "x")),
    ],
)
def test_a_missing_package_is_named(
    shell: Shell,
    ended_runs: list[str],
    monkeypatch: pytest.MonkeyPatch,
    package: str,
    module: str,
    arguments: tuple[Any, ...],
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    for name in [name for name in sys.modules if name.startswith(f"{module}.")]:
        monkeypatch.setitem(sys.modules, name, None)
    for name in ("event_file", "summaries", "tensorboard", "mlflow"):
        monkeypatch.delitem(sys.modules, f"adadfq_core.sinks.{name}", raising=False)
    result = shell(module, ended_runs[0], *arguments)
    assert isinstance(result.exception, InputError)
    assert str(result.exception).endswith(
        f"the package {package}; run 'pip install -r requirements-tracking.txt'."
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ("tensorboard", "nope", "--out", "out"),
        ("mlflow", "nope", "--tracking-uri", "http://x", "--experiment", "x"),
    ],
)
def test_an_unknown_run_is_named(shell: Shell, arguments: tuple[str, ...]) -> None:
    result = shell(*arguments)
    assert isinstance(result.exception, InputError)
    assert "There is no run 'nope'" in str(result.exception)
