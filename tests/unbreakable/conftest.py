from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from stored import Stored, questions
from workers import Nursery, ended, small

from adadfq_core import runs
from adadfq_core.ablation.plan import Plan
from adadfq_core.ablation.states import SweepStatus
from adadfq_core.ablation.sweeps import SweepStore
from adadfq_core.runs import RecordKind, RunStatus, control
from adadfq_core.runs.loading import checkpoint_state
from adadfq_core.runs.store import DATABASE, RunStore


@pytest.fixture(scope="session")
def _nursery() -> Iterator[Nursery]:
    nursery = Nursery()
    yield nursery
    nursery.close()


@pytest.fixture
def nursery(_nursery: Nursery, monkeypatch: pytest.MonkeyPatch) -> Nursery:
    """Where the workers of this test's runs come from."""
    monkeypatch.setattr(control, "spawn_worker", _nursery.spawn)
    _nursery.fault = "-"
    return _nursery


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "runs"


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 12 MB, which can be made larger."""
    place = tmp_path / "disk"
    place.mkdir()
    if sys.platform != "linux" or os.geteuid():
        pytest.skip("only root may mount a small disk")
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(place)], capture_output=True
    )
    if done.returncode:
        pytest.skip(f"no small disk can be mounted ({done.stderr.decode().strip()})")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.fixture(scope="session")
def undisturbed(_nursery: Nursery, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A run of `small` settings that nothing happened to: its store and its name."""
    root = tmp_path_factory.mktemp("undisturbed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(control, "spawn_worker", _nursery.spawn)
        run_id = runs.start(root, small())
        assert ended(root, run_id) is RunStatus.FINISHED
    return root, run_id


@pytest.fixture(scope="session")
def stored(_nursery: Nursery, tmp_path_factory: pytest.TempPathFactory) -> Stored:
    root = tmp_path_factory.mktemp("whole") / "runs"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(control, "spawn_worker", _nursery.spawn)
        settings = small(data="", evaluation_images=20, evaluate_every=10)
        run_id = runs.start(root, settings)
        runs.set_parameters(root, run_id, {"lambda_l": 0.25})
        assert ended(root, run_id) is RunStatus.FINISHED
    runs.set_labels(root, run_id, tags=["kept"], note="as it was")
    sweeps = SweepStore(root)
    plan = Plan(
        preset="quick", changes={}, design="list", axes=("beta",), points=({"beta": 0.5},) * 3
    )
    sweep_id = sweeps.create(plan, [], name="margins", workers=1, threads=1, ray_address="")
    sweeps.cell_has_run(sweep_id, 0, run_id)
    sweeps.end(sweeps.info(sweep_id), SweepStatus.STOPPED, "by hand")
    answers = {name: ask() for name, ask in questions(root, run_id, sweep_id).items()}
    checkpoints = runs.read(root, run_id, kinds=[RecordKind.CHECKPOINT]).records
    states = {each.iteration: checkpoint_state(RunStore(root), each) for each in checkpoints}
    assert len(states) > 3 and answers["command"].applied_iteration is not None
    assert not (root / f"{DATABASE}-wal").exists()
    return Stored(root, run_id, sweep_id, answers, states)
