from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from adadfq_core.ablation import probe as probing
from adadfq_core.ablation.probe import MEASURED, probe
from adadfq_core.errors import RunFailed
from adadfq_core.presets import preset_settings
from adadfq_core.settings import RunSettings


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADADFQ_HOME", str(tmp_path / "home"))


def small(**changes: int | str) -> RunSettings:
    tiny = {"batch": 2, "generator_width": 4, "latent_dim": 4, "threads": 1}
    return preset_settings("interactive", {**tiny, "evaluation_images": 100, **changes})


def children() -> set[int]:
    return {process.pid for process in psutil.Process().children(recursive=True)}


@pytest.mark.parametrize(
    ("workers", "beside"), [(1, ""), pytest.param(2, ", 2 runs at once", marks=pytest.mark.slow)]
)
def test_runs_are_measured_at_once_and_leave_nothing(
    workers: int, beside: str, tmp_path: Path
) -> None:
    before = children()
    pace = probe(small(), workers)
    assert pace.measured == f"{MEASURED} iterations played just now{beside}"
    assert 1 < pace.ms_per_iteration < 5_000
    assert 1 < pace.ms_per_evaluation < 20_000
    assert 0.2 < pace.startup_s < 120
    assert children() <= before
    assert not list(tmp_path.rglob("runs.db"))


def test_what_cannot_be_played_is_said(capfd: pytest.CaptureFixture[str]) -> None:
    before = children()
    with pytest.raises(RunFailed, match=r"^Unknown network 'no-such-network'"):
        probe(small(network="no-such-network"), 1)
    assert children() <= before
    assert "Traceback" not in capfd.readouterr().err


def test_a_process_that_ends_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probing, "_MODULE", "adadfq_core.no_such_module")
    with pytest.raises(RunFailed, match="that measured the pace ended with exit code 1; close"):
        probe(small(), 1)


def test_a_process_that_cannot_be_started_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/no/such/python")
    with pytest.raises(RunFailed, match=r"could not be started \(No such file or directory\)"):
        probe(small(), 2)
