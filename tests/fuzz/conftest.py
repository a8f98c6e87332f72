"""One way to try many inputs, the stores that they are tried on, and how many were tried."""

from __future__ import annotations

import shutil
import socket
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import pytest
from command_line import Shell, start_nothing
from hostile import Hunt, Place
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from samples import write_samples
from stored_runs import held_run, stored_run

from adadfq_core import runs
from adadfq_core.ablation.plan import Plan
from adadfq_core.ablation.states import SweepStatus
from adadfq_core.ablation.sweeps import SweepStore
from adadfq_core.runs.records import RunStatus

TRIED = "inputs tried"
LONG = 10
"""How many times the inputs of the default suite are tried by a slow test."""


@pytest.fixture(params=[1, pytest.param(LONG, marks=pytest.mark.slow)], ids=["quick", "long"])
def hunt(request: pytest.FixtureRequest, record_property: Callable[[str, object], None]) -> Hunt:
    """Try a check on drawn inputs: always the same ones, first those that are named."""
    share: int = request.param

    def try_all(
        check: Callable[[Any], None],
        inputs: st.SearchStrategy[Any],
        examples: int,
        named: Sequence[Any] = (),
        long: int = LONG,
    ) -> None:
        tried = 0

        def trial(drawn: Any) -> None:
            nonlocal tried
            tried += 1
            check(drawn)

        trial = given(inputs)(trial)
        for each in reversed(named):
            trial = example(each)(trial)
        most = examples if share == 1 else examples * long
        quiet = settings(
            max_examples=most,
            derandomize=True,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        try:
            quiet(trial)()
        finally:
            record_property(TRIED, tried)

    return try_all


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    tried: Counter[str] = Counter()
    for reports in terminalreporter.stats.values():
        for report in reports:
            if getattr(report, "when", None) == "call":
                counts = (n for name, n in report.user_properties if name == TRIED)
                tried[report.nodeid.partition("::")[0]] += sum(counts)
    for file, count in sorted(tried.items()):
        if count:
            terminalreporter.write_line(f"{file}: {count:,} inputs tried")


@pytest.fixture(scope="session")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home folder: a store with runs of several states and a sweep, and files to read."""
    home = tmp_path_factory.mktemp("pristine") / "home"
    root, files = home / "runs", home / "files"
    run_id = stored_run(root)
    stored_run(root, status=RunStatus.FAILED)
    with held_run(root) as writer:
        writer.set_status(RunStatus.FINISHED)
    runs.set_labels(root, run_id, ["kept"], "as it was")
    sweeps = SweepStore(root)
    points = tuple({"lambda_l": low, "beta": beta} for low in (0.1, 0.2) for beta in (0.5, 1.0))
    plan = Plan(preset="quick", axes=("lambda_l", "beta"), points=points)
    sweep_id = sweeps.create(plan, [], name="margins", workers=1, threads=1, ray_address="")
    sweeps.cell_has_run(sweep_id, 0, run_id)
    sweeps.end(sweeps.info(sweep_id), SweepStatus.STOPPED, "by hand")
    write_samples(files)
    runs.export_run(root, run_id, files / "run.adadfq.zip")
    return home


@pytest.fixture
def place(pristine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """A home folder with a store, a folder to stand in, and both as they are at first."""
    home, here = tmp_path / "home", tmp_path / "here"
    shutil.copytree(pristine, home)
    here.mkdir()
    monkeypatch.setenv("ADADFQ_HOME", str(home))
    monkeypatch.chdir(here)
    return Place(home, here, pristine)


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is looked up on a network."""

    def refuse(*_: object, **__: object) -> NoReturn:
        raise socket.gaierror(socket.EAI_NONAME, "no network in this test")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.fixture
def shell(place: Place, monkeypatch: pytest.MonkeyPatch, offline: None) -> Shell:
    """The command line, up to where a command would start a process."""
    start_nothing(monkeypatch)
    return Shell(place, monkeypatch)
