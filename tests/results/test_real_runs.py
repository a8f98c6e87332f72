"""Tables of real runs: small stand-ins for those that take a graphics card and the data."""

from __future__ import annotations

import csv
import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from shells import shell

from adadfq_core import runs
from adadfq_core.errors import InputError
from adadfq_core.results.cells import find_table
from adadfq_core.runs import RunStatus
from adadfq_core.zoo.registry import find

pytestmark = pytest.mark.slow

TINY = (
    *("epochs=2", "iterations_per_epoch=2", "warmup_epochs=1", "batch=2", "generator_width=4"),
    *("threads=1", "evaluation_images=10", "evaluate_every=2", "checkpoint_every=1"),
)
NETWORK = """
import torch
from torch import nn

def build():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, 2, 1), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(64, 5)
    )
"""


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADADFQ_HOME", str(tmp_path / "home"))


def pictures(path: Path, side: int, classes: int) -> Path:
    """A Parquet file with ten pictures of noise."""
    random = np.random.default_rng(0)
    rows = []
    for number in range(10):
        buffer = io.BytesIO()
        pixels = random.integers(0, 256, (side, side, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(buffer, "PNG")
        rows.append({"image": {"bytes": buffer.getvalue()}, "label": number % classes})
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def table(out: Path, name: str = "main") -> list[dict[str, str]]:
    with (out / f"{name}.csv").open(newline="", encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


def options(*settings: str) -> list[str]:
    return [word for each in settings for word in ("--set", each)]


def own_network(tmp_path: Path) -> list[str]:
    (tmp_path / "mine.py").write_text(NETWORK)
    data = pictures(tmp_path / "pictures.parquet", 8, 5)
    shape = options("image_shape=3,8,8", *TINY)
    return ["--network", f"{tmp_path / 'mine.py'}:build", "--data", str(data), *shape]


@pytest.mark.parametrize("name", ["main", "ablation"])
def test_every_row_of_a_table_runs(name: str, tmp_path: Path) -> None:
    words = ["results", "--table", name, "--seeds", "1", "--bits", "3", "--preset", "quick"]
    words += [*own_network(tmp_path), "--out", str(tmp_path / "out")]
    done = shell(*words)
    assert done.returncode == 0, done.stderr
    rows = table(tmp_path / "out", name)
    assert [row["method"] for row in rows] == list(find_table(name).methods)
    assert all(row["seeds_measured"] == "1" and row["loss"] for row in rows)
    count = len(runs.list_runs(tmp_path / "home" / "runs"))
    # Q as calibrated is that of the run which then trains it.
    assert count == len({row["settings"] for row in rows})
    again = shell(*words)
    assert again.returncode == 0 and table(tmp_path / "out", name) == rows
    assert len(runs.list_runs(tmp_path / "home" / "runs")) == count


@pytest.mark.parametrize(
    ("network", "side", "classes", "paper"),
    [
        ("pytorchcv/resnet20_cifar100", 32, 100, "17.59"),
        ("pytorchcv/resnet18", 64, 1000, "33.37"),
    ],
)
def test_the_rows_of_larger_data(
    network: str, side: int, classes: int, paper: str, tmp_path: Path
) -> None:
    """The zoo's architecture with random weights, on noise: what is tried is the way."""
    try:
        entry = find(network)
    except InputError as error:
        pytest.skip(str(error))
    torch.manual_seed(0)
    save_file(entry.build().state_dict(), tmp_path / "p.safetensors")
    data = pictures(tmp_path / "pictures.parquet", side, classes)
    done = shell(
        *("results", "--network", network, "--weights", str(tmp_path / "p.safetensors")),
        *("--data", str(data), "--preset", "paper-imagenet", "--methods", "AdaDFQ", "--bits", "3"),
        *("--seeds", "1", "--out", str(tmp_path / "out"), *options(*TINY)),
    )
    assert done.returncode == 0, done.stderr
    (row,) = table(tmp_path / "out")
    assert (row["seeds_measured"], row["paper_loss"]) == ("1", paper)


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_ctrl_c_stops_the_run_and_the_command_goes_on_from_there(tmp_path: Path) -> None:
    root = tmp_path / "home" / "runs"
    words = ["results", "--seeds", "1", "--bits", "3", "--preset", "quick", "--methods", "AdaDFQ"]
    words += [*own_network(tmp_path), "--out", str(tmp_path / "out")]
    slow = [*words, *options("iterations_per_epoch=40")]
    process = subprocess.Popen(
        [sys.executable, "-m", "adadfq_core", *slow, *options("slow_motion=100")],
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 120
    while not any(info.iteration >= 3 for info in runs.list_runs(root)):
        assert time.monotonic() < deadline and process.poll() is None, "timed out"
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=120)
    assert process.returncode == 1 and "the same command goes on from there" in told, told
    (run,) = runs.list_runs(root)
    assert run.status is RunStatus.STOPPED
    assert table(tmp_path / "out")[0]["seeds_measured"] == "0"
    done = shell(*slow, *options("slow_motion=100"))
    assert done.returncode == 0, done.stderr
    (finished,) = runs.list_runs(root)
    assert (finished.run_id, finished.status) == (run.run_id, RunStatus.FINISHED)
    assert table(tmp_path / "out")[0]["seeds_measured"] == "1"
