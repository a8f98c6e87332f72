"""A report written from a shell, of a real run whose files are really made and measured."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from adadfq_core.errors import RunFailed
from adadfq_core.export.opening import open_exported
from adadfq_core.export.taking import Taken, take
from adadfq_core.presets import preset_settings
from adadfq_core.runs.loading import load_real_images, make_trainer
from adadfq_core.runs.records import RecordKind, RunStatus
from adadfq_core.training import checkpoints
from adadfq_core.zoo.loading import load_float_network
from app.export.run_report import write_report
from tests.stored_runs import held_run

IMAGES = 20


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def taken(root: Path) -> Taken:
    """Q of a run of one iteration."""
    tiny = {"epochs": 2, "iterations_per_epoch": 1, "warmup_epochs": 1, "batch": 4}
    settings = preset_settings("quick", {**tiny, "generator_width": 4, "evaluation_images": IMAGES})
    loaded = load_float_network(settings)
    lessons = load_real_images(settings, loaded.images, loaded.data).lessons
    trainer = make_trainer(settings, loaded, torch.device("cpu"), lessons)
    trainer.play()
    trainer.play()
    with held_run(root, settings) as writer:
        data = {"images": IMAGES, "spec": loaded.data, "skipped": [], "skipped_count": 0}
        told = {"classes": loaded.images.classes, "coverage": [], "data": data}
        writer.append(RecordKind.NETWORK, 0, told)
        path = writer.checkpoints / "00000001.pt"
        digest = checkpoints.save(trainer.state_dict(), path)
        writer.append(RecordKind.CHECKPOINT, 1, {"sha256": digest}, file=path)
        writer.set_status(RunStatus.STOPPED)
    return take(root, writer.run_id)


def test_a_place_that_cannot_be_written_is_told_at_once(
    root: Path, taken: Taken, tmp_path: Path
) -> None:
    with pytest.raises(RunFailed, match=r"could not be written \(No such file or directory\)"):
        write_report(root, taken, tmp_path / "missing" / "report.html")


@pytest.mark.slow
def test_the_network_within_the_report_is_q(root: Path, taken: Taken, tmp_path: Path) -> None:
    out = tmp_path / "report.html"
    write_report(root, taken, out)
    assert list(tmp_path.iterdir()) == [out]
    text = out.read_text(encoding="utf-8")
    assert "Files and checks" in text and "Computed with integers alone" in text
    assert taken.real is not None
    images = taken.real.images[:IMAGES]
    with torch.no_grad():
        expected = taken.q(images).numpy()
    np.testing.assert_allclose(open_exported(out).predict(images).numpy(), expected, atol=1e-4)


def test_a_report_needs_no_streamlit() -> None:
    code = "import sys, app.export.run_report; sys.exit('streamlit' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
