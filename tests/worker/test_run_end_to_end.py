"""Real runs of the bundled network in real worker processes."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image
from shells import shell

from adadfq_core import runs
from adadfq_core.errors import InputError
from adadfq_core.presets import preset_settings
from adadfq_core.runs import RecordKind, RunStatus

TIMEOUT_SECONDS = 120


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADADFQ_HOME", str(tmp_path / "home"))


def _wait(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not what():
        assert time.monotonic() < deadline, "timed out"
        time.sleep(0.05)


def test_run_is_paused_stepped_changed_and_stopped(tmp_path: Path) -> None:
    root = tmp_path / "runs"
    run_id = runs.start(root, preset_settings("interactive", {"embed_every": 10_000}))
    _wait(lambda: runs.info(root, run_id).iteration >= 2)
    runs.pause(root, run_id)
    _wait(lambda: runs.info(root, run_id).status == RunStatus.PAUSED)
    before = runs.latest(root, run_id, RecordKind.STEP)
    number = runs.set_parameters(root, run_id, {"lambda_l": 0.3})
    _wait(lambda: runs.command(root, number).applied_iteration is not None)
    runs.step(root, run_id, 2)
    _wait(lambda: runs.latest(root, run_id, RecordKind.STEP).iteration == before.iteration + 2)
    time.sleep(0.3)
    assert runs.latest(root, run_id, RecordKind.STEP).iteration == before.iteration + 2
    assert runs.current_settings(root, run_id).lambda_l == 0.3
    assert runs.command(root, number).applied_iteration == before.iteration
    runs.stop(root, run_id)
    _wait(lambda: runs.info(root, run_id).status == RunStatus.STOPPED)
    assert runs.latest(root, run_id, RecordKind.CHECKPOINT).iteration == before.iteration + 2


def _small_run(root: Path, **changes: int | str) -> str:
    small = {
        **{"epochs": 5, "iterations_per_epoch": 6, "warmup_epochs": 1, "batch": 8, "threads": 1},
        **{"generator_width": 16, "embed_every": 1000, "checkpoint_every": 7},
        **{"evaluation_images": 500, **changes},
    }
    return runs.start(root, preset_settings("interactive", small))


def _finish(root: Path, run_id: str) -> list[runs.Record]:
    _wait(lambda: not runs.info(root, run_id).active)
    assert runs.info(root, run_id).status == RunStatus.FINISHED
    return runs.read(root, run_id, 0).records


def _scalars(records: list[runs.Record]) -> list[tuple[int, dict[str, object]]]:
    timed = ("ms", "seconds")
    return [
        (r.iteration, {name: value for name, value in r.data.items() if name not in timed})
        for r in records
        if r.kind == RecordKind.STEP
    ]


def _test_losses(records: list[runs.Record]) -> list[float]:
    """Q's losses on real images, the calibrated one's first."""
    return [
        r.data["loss_q"]
        for r in records
        if r.kind == RecordKind.EVALUATION and r.data["network"] != "p"
    ]


def _values(records: list[runs.Record]) -> list[tuple[int, dict[str, float]]]:
    return [(r.iteration, r.data) for r in records if r.kind == RecordKind.VALUE]


def test_killed_run_resumes_to_the_same_numbers_and_writes_nothing_twice(tmp_path: Path) -> None:
    root = tmp_path / "runs"
    run_id = _small_run(root, evaluate_every=10, value_every=5)
    # Iteration 16 is measured after the checkpoint of 14, so it is played again.
    _wait(
        lambda: (
            (latest := runs.latest(root, run_id, RecordKind.EVALUATION)) is not None
            and latest.iteration == 16
        )
    )
    psutil.Process(runs.info(root, run_id).pid).kill()
    _wait(lambda: runs.info(root, run_id).status == RunStatus.LOST)
    runs.resume(root, run_id)
    resumed = _finish(root, run_id)
    whole = _finish(root, _small_run(root, evaluate_every=1000, value_every=5))
    assert _scalars(resumed) == _scalars(whole)
    assert _values(resumed) == _values(whole)
    moves = {i: len(value) - 1 for i, value in _values(whole)}
    assert moves == {5: 1, 10: 2, 15: 2, 20: 2, 25: 2, 30: 2}
    assert [iteration for iteration, _ in _scalars(whole)] == list(range(1, 31))
    measured = [
        (r.iteration, r.data["network"]) for r in resumed if r.kind == RecordKind.EVALUATION
    ]
    assert measured == [(6, "p"), (6, "q_calibrated"), (16, "q"), (26, "q"), (30, "q")]
    # By a process that had not measured P itself, bit for bit the same.
    assert _test_losses(resumed)[-1] == _test_losses(whole)[-1]
    assert all(math.isfinite(loss) for loss in _test_losses(resumed))


def test_q_learns_from_one_half_of_the_real_images_and_is_measured_on_the_other(
    tmp_path: Path,
) -> None:
    root = tmp_path / "runs"
    run_id = _small_run(root, method="real", evaluate_every=1000, value_every=8)
    records = _finish(root, run_id)
    (network,) = [r.data for r in records if r.kind == RecordKind.NETWORK]
    assert network["data"]["images"] == 250
    (notice,) = [r.data["text"] for r in records if r.kind == RecordKind.NOTICE]
    assert "Q learns from 250 of the 500 real images" in notice
    assert "P, the calibrated Q and Q are measured on the other 250 alone" in notice
    steps = [data for _, data in _scalars(records)]
    assert all(step["loss_g"] == step["grad_norm_g"] == step["lr_g"] == 0 for step in steps)
    assert [step["grad_norm_q"] > 0 for step in steps] == [False] * 6 + [True] * 24
    assert [(i, set(value)) for i, value in _values(records)] == [
        (i, {"before", "after_q"}) for i in (8, 16, 24)
    ]
    sheet = runs.arrays(root, runs.latest(root, run_id, RecordKind.IMAGES))
    assert (sheet["p_logits"].argmax(1) == sheet["labels"]).mean() > 0.6


def test_run_stores_the_map_of_real_and_of_synthetic_features(tmp_path: Path) -> None:
    root = tmp_path / "runs"
    run_id = _small_run(root, evaluate_every=1000, embed_every=15)
    maps = [r for r in _finish(root, run_id) if r.kind == RecordKind.EMBEDDING]
    # Samples that arrive while the map is still being fitted give way to later ones.
    real, *_, synthetic = maps
    assert (real.data["source"], real.data["method"]) == ("real", "umap")
    assert (synthetic.data["source"], synthetic.iteration) == ("synthetic", 30)
    for record in maps:
        stored = runs.arrays(root, record)
        assert stored["positions"].shape == (len(stored["labels"]), 2)
        assert np.isfinite(stored["positions"]).all()
    adaptability = runs.arrays(root, synthetic)["adaptability"]
    assert ((adaptability >= 0) & (adaptability <= 1)).all()


def test_shell_training_raises_top1_of_q(tmp_path: Path) -> None:
    done = shell(
        *("train", "--epochs", "6", "--set", "warmup_epochs=2", "--json"),
        *("--set", "iterations_per_epoch=40", "--set", "evaluate_every=80"),
        # Two threads would wait for each other wherever other tests take the cores.
        *("--set", "evaluation_images=2000", "--set", "threads=1"),
        *("--run-dir", str(tmp_path / "runs")),
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["top1_p"] > 93.5
    assert result["top1_q_calibrated"] < result["top1_p"] - 3
    assert result["top1_q_last"] > result["top1_q_calibrated"] + 1


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("train", "--preset", "fast"), "Unknown preset 'fast'"),
        (("train", "--bits", "9,3"), "weight_bits = '9' is not allowed"),
        (("train", "--set", "lambda_l=0.9"), "must be below lambda_u"),
        (("train", "--set", "beta=-1"), "beta = '-1' is not allowed"),
        (("train", "--run-dir", "/proc/nowhere"), "/proc/nowhere"),
        (("train", "--set", "network=alexnet"), "Unknown network 'alexnet'"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(words: tuple[str, ...], sentence: str) -> None:
    done = shell(*words)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_second_start_names_the_run_that_is_going(tmp_path: Path) -> None:
    root = tmp_path / "runs"
    run_id = runs.start(root, preset_settings("interactive"))
    try:
        done = shell("train", "--run-dir", str(root))
        assert done.returncode == 2
        assert run_id in done.stderr
    finally:
        runs.stop(root, run_id)
    _wait(lambda: not runs.info(root, run_id).active)


def test_doctor_finds_everything_intact() -> None:
    done = shell("doctor")
    assert done.returncode == 0, done.stderr
    assert "bundled files\tintact" in done.stdout
    assert "runs at once\t1" in done.stdout


OWN_NETWORK = """
import torch
from torch import nn
import torch.nn.functional as F

class Own(nn.Module):
    def __init__(self):
        super().__init__()
        self.kernel = nn.Parameter(torch.randn(6, 3, 3, 3) / 5)
        self.head = nn.Linear(6, 3)

    def forward(self, x, aux=False):
        if aux:
            return x
        return self.head(F.relu(F.conv2d(x, self.kernel)).mean((2, 3)))

def build():
    torch.manual_seed(0)
    return Own()
"""


def _pictures(folder: Path) -> None:
    random = np.random.default_rng(0)
    for name in ("circle", "line", "square"):
        (folder / name).mkdir(parents=True)
        for number in range(4):
            pixels = random.integers(0, 256, (9, 7, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
    (folder / "line" / "broken.png").write_bytes(b"not a picture")


@pytest.mark.parametrize("data", ["pictures", pytest.param("none", marks=pytest.mark.slow)])
def test_a_network_of_ones_own_without_batchnorm_from_theshell(
    tmp_path: Path, data: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_network.py").write_text(OWN_NETWORK)
    _pictures(tmp_path / "pictures")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(Path(runs.__file__).parents[2]))
    root = tmp_path / "runs"
    done = shell(
        *("train", "--network", "own_network:build", "--data", data, "--json"),
        *("--epochs", "3", "--set", "warmup_epochs=1", "--set", "iterations_per_epoch=4"),
        *("--set", "image_shape=3,9,7", "--set", "batch=4", "--set", "embed_every=1000"),
        *("--set", "bit_overrides=head=7", "--run-dir", str(root)),
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    measured = result["top1_q_last"] is not None
    assert measured == (data == "pictures") == (result["top1_p"] is not None)
    records = runs.read(root, result["run_id"]).records
    (network,) = [r.data for r in records if r.kind == RecordKind.NETWORK]
    bits = {row["name"]: row["bits"] for row in network["coverage"] if row["part"] != "input"}
    assert bits == {"kernel": 3, "head": 7, "relu": 3}
    notices = [r.data["text"] for r in records if r.kind == RecordKind.NOTICE]
    assert any("no BatchNorm" in text and "gamma is forced to 0" in text for text in notices)
    steps = [r.data for r in records if r.kind == RecordKind.STEP]
    assert all(step["loss_bns"] == 0 for step in steps)
    if data == "pictures":
        assert network["classes"] == ["circle", "line", "square"]
        assert network["data"]["images"] == 12 and network["data"]["skipped_count"] == 1
        assert any("1 of 13 pictures" in text and "broken.png" in text for text in notices)
    else:
        assert network["data"] is None
        assert any("accuracy is not measured" in text for text in notices)


def test_code_of_a_users_own_is_for_the_shell_alone(tmp_path: Path) -> None:
    settings = preset_settings("interactive", {"network": "os:getcwd"})
    with pytest.raises(InputError, match="os:getcwd would run code"):
        runs.start(tmp_path / "runs", settings)


def test_eval_measures_p_alone(tmp_path: Path) -> None:
    done = shell("eval", "--set", "evaluation_images=500")
    assert done.returncode == 0, done.stderr
    figures = dict(line.split("\t") for line in done.stdout.splitlines())
    assert float(figures["top1"]) > 92 and figures["images"] == "500"
    done = shell("eval", "--network", "torchvision/resnet18", "--weights", "nowhere.pth")
    assert done.returncode == 2 and "no weights file" in done.stderr


def test_a_paused_run_is_played_half_by_half(tmp_path: Path) -> None:
    root = tmp_path / "runs"
    run_id = _small_run(root, epochs=400, evaluate_every=10_000, checkpoint_every=10_000)
    _wait(lambda: runs.info(root, run_id).iteration > 6)
    runs.pause(root, run_id)
    _wait(lambda: runs.info(root, run_id).status == RunStatus.PAUSED)
    start = runs.latest(root, run_id, RecordKind.STEP).iteration

    def halves() -> list[runs.Record]:
        return runs.read(root, run_id, kinds=[RecordKind.HALF]).records

    runs.step_half(root, run_id)
    _wait(lambda: len(halves()) == 1)
    time.sleep(0.3)
    assert runs.latest(root, run_id, RecordKind.STEP).iteration == start, "Q has yet to move"
    runs.step_half(root, run_id)
    _wait(lambda: runs.latest(root, run_id, RecordKind.STEP).iteration == start + 1)
    g, q = halves()
    assert (g.data["player"], q.data["player"]) == ("g", "q")
    assert g.iteration == q.iteration == start + 1
    assert g.data["value_after"] == q.data["value_before"]
    seen = runs.arrays(root, g)
    assert (seen["pixels_before"] != seen["pixels_after"]).any()
    answers = runs.arrays(root, q)
    assert (answers["p_logits_before"] == answers["p_logits_after"]).all()
    assert (answers["q_logits_before"] != answers["q_logits_after"]).any()

    runs.step_half(root, run_id)
    _wait(lambda: len(halves()) == 3)
    runs.stop(root, run_id)  # in the middle of a turn: Q completes it
    _wait(lambda: runs.info(root, run_id).status == RunStatus.STOPPED)
    assert len(halves()) == 4
    assert runs.latest(root, run_id, RecordKind.CHECKPOINT).iteration == start + 2


def test_slow_motion_waits_stores_every_sheet_and_obeys_at_once(tmp_path: Path) -> None:
    root = tmp_path / "runs"
    run_id = _small_run(root, epochs=400, evaluate_every=10_000, checkpoint_every=10_000)
    _wait(lambda: runs.info(root, run_id).iteration > 6)
    runs.set_parameters(root, run_id, {"slow_motion": 400})
    _wait(lambda: runs.current_settings(root, run_id).slow_motion == 400)
    start = runs.info(root, run_id).iteration
    began = time.monotonic()
    _wait(lambda: runs.info(root, run_id).iteration >= start + 4)
    assert time.monotonic() - began > 3 * 0.4
    runs.set_parameters(root, run_id, {"slow_motion": 5000})
    _wait(lambda: runs.current_settings(root, run_id).slow_motion == 5000)
    began = time.monotonic()
    runs.stop(root, run_id)
    _wait(lambda: not runs.info(root, run_id).active)
    assert time.monotonic() - began < 4
    sheets = [r.iteration for r in runs.read(root, run_id, kinds=[RecordKind.IMAGES]).records]
    assert {start + 2, start + 3} <= set(sheets)
