"""What does a run cost beside its iterations, and how does an iteration's cost grow?

Run `python benchmarks/costs.py` on a machine that does nothing else: about five minutes, with
`--quick` about two. Told are

- start-up: `python -m adadfq_core doctor` with its files in the cache, and from asking for a run
  with the interactive preset until its first iteration is in the store;
- the bundled network's 10,000 test images through Q; a checkpoint, checked and written; both beside
  the time of an iteration;
- resident memory of that run's process after 60 iterations;
- milliseconds of an iteration of the paper's CIFAR protocol against the number of classes C, the
  batch and the side of the images, each for itself, with ResNet-20 on noise.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import psutil
import typer

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import torch
from rich.console import Console
from rich.table import Table
from step import WARMUP_ITERATIONS, seconds_of

from adadfq_core import runs
from adadfq_core.presets import preset_settings
from adadfq_core.runs.loading import load_real_images, make_trainer
from adadfq_core.training import checkpoints
from adadfq_core.training.evaluation import top1
from adadfq_core.training.soundness import first_non_finite
from adadfq_core.training.trainer import Trainer
from adadfq_core.zoo.loading import load_float_network
from adadfq_core.zoo.networks import resnet20

CLASSES, BATCH, SIDE = 10, 16, 32
GROWTH = {"C": (10, 100, 1000), "batch": (16, 64, 256), "side": (32, 64, 128)}
POLL_S = 0.02
SETTLED_ITERATIONS = 60


def median_seconds(act: Any, repeats: int) -> float:
    """Of `act` called so often, after once more that fills caches."""
    act()
    return statistics.median(seconds_of(act) for _ in range(repeats))


def doctor() -> None:
    """As a user types it."""
    subprocess.run(
        [sys.executable, "-m", "adadfq_core", "doctor"], cwd=ROOT, check=True, capture_output=True
    )


def run_from_outside() -> tuple[float, float]:
    """Seconds from asking for a run until its first iteration can be read, and its megabytes."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        began = time.perf_counter()
        run_id = runs.start(root, preset_settings("interactive"))

        def wait_for(iteration: int) -> float:
            while runs.latest(root, run_id, runs.RecordKind.STEP) is None or (
                runs.info(root, run_id).iteration < iteration
            ):
                if not runs.info(root, run_id).active:
                    raise SystemExit(f"The run ended: {runs.info(root, run_id).reason}")
                time.sleep(POLL_S)
            return time.perf_counter() - began

        first = wait_for(1)
        wait_for(SETTLED_ITERATIONS)
        process = psutil.Process(runs.info(root, run_id).pid)
        megabytes = process.memory_info().rss / 1e6
        runs.stop(root, run_id)
        while runs.info(root, run_id).active:
            time.sleep(POLL_S)
        return first, megabytes


def inside(repeats: int) -> dict[str, float]:
    """Seconds of an iteration, an evaluation and a checkpoint of the interactive preset."""
    settings = preset_settings("interactive", {"warmup_epochs": 1, "iterations_per_epoch": 3})
    loaded = load_float_network(settings)
    images, _ = load_real_images(settings, loaded.images, loaded.data)
    assert images is not None, "the bundled network has its images with it"
    trainer = make_trainer(settings, loaded, torch.device("cpu"), None)
    for _ in range(WARMUP_ITERATIONS):
        trainer.play()
    seen = {
        "iteration": median_seconds(trainer.play, 10 * repeats),
        "evaluation": median_seconds(
            lambda: top1(trainer.quantized_network(), images.images, images.labels), repeats
        ),
    }
    with tempfile.TemporaryDirectory() as folder:

        def write() -> None:
            state = trainer.state_dict()
            first_non_finite(state)
            checkpoints.save(state, Path(folder) / "state.pt")

        seen["checkpoint"] = median_seconds(write, repeats)
        seen["checkpoint, MB"] = (Path(folder) / "state.pt").stat().st_size / 1e6
    return seen


def iteration_ms(classes: int, batch: int, side: int, repeats: int) -> float:
    """Median milliseconds of an iteration of the paper's CIFAR protocol after its warm-up."""
    settings = preset_settings(
        "paper-cifar",
        {"batch": batch, "warmup_epochs": 1, "iterations_per_epoch": WARMUP_ITERATIONS},
    )
    torch.manual_seed(0)
    network = resnet20(3, classes).eval()
    trainer = Trainer(settings, network, (3, side, side), classes, torch.device("cpu"))
    for _ in range(WARMUP_ITERATIONS):
        trainer.play()
    return 1e3 * median_seconds(trainer.play, repeats)


def growth(repeats: int) -> Iterable[tuple[str, int, float]]:
    """What is varied, its value and the milliseconds, all else as in the paper."""
    usual = {"C": CLASSES, "batch": BATCH, "side": SIDE}
    for name, values in GROWTH.items():
        for value in values:
            case = {**usual, name: value}
            yield name, value, iteration_ms(case["C"], case["batch"], case["side"], repeats)


def main(
    quick: Annotated[bool, typer.Option("--quick", help="Fewer repetitions.")] = False,
    threads: Annotated[int, typer.Option(min=1)] = 2,
    json_file: Annotated[Path | None, typer.Option("--json", help="File for all numbers.")] = None,
) -> None:
    """Measure and print."""
    torch.set_num_threads(threads)
    repeats = 3 if quick else 9
    first, megabytes = run_from_outside()
    seen = {
        "doctor": median_seconds(doctor, repeats),
        "first iteration stored": first,
        "run, MB": megabytes,
        **inside(repeats),
    }
    grown = list(growth(repeats))
    console = Console()
    for name, value in seen.items():
        console.print(f"{name}\t{value:.3g}{'' if 'MB' in name else ' s'}")
    table = Table("varied", "value", "ms per iteration")
    for name, value, ms in grown:
        table.add_row(name, str(value), f"{ms:.0f}")
    console.print(table)
    if json_file is not None:
        rows = [{"varied": name, "value": value, "ms": ms} for name, value, ms in grown]
        json_file.write_text(json.dumps({**seen, "growth": rows}, indent=1), encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
