"""How soon is Q as accurate as the paper's protocol makes it after 5, 20 and 60 of its epochs?

These run against each other: the paper's protocol in the plain game of `plain_game.py`, the same
protocol in the engine, and the presets interactive and best. Two commands:

`python benchmarks/race.py record` plays what is missing and writes top-1 of Q on the network's own
test images against iterations to `results/race`. It takes hours; what was interrupted goes on where
it was. The plain game computes what the engine computes (see `step.py`), so one curve of the
paper's protocol serves both.

`python benchmarks/race.py compare` measures the time of one iteration of all, in turn in one
process on a machine that does nothing else, and turns iterations into seconds. Nobody's evaluations
are counted.
"""

from __future__ import annotations

import csv
import itertools
import json
import math
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import torch
from rich.console import Console
from rich.table import Table
from step import draws, plain_game_of, seconds_of

from adadfq_core.files import replace_atomically
from adadfq_core.presets import preset_settings
from adadfq_core.runs.loading import load_real_images, make_trainer
from adadfq_core.settings import RunSettings
from adadfq_core.training.evaluation import top1
from adadfq_core.training.trainer import Trainer
from adadfq_core.zoo.loading import load_float_network

CURVES = ROOT / "benchmarks" / "results" / "race"
CONTENDERS = ("interactive", "best")
PROTOCOLS = {"paper": "paper-cifar", **{name: name for name in CONTENDERS}}
MARKS = (5, 20, 60)
PAPER_EPOCH = preset_settings(PROTOCOLS["paper"]).iterations_per_epoch
EVALUATE_EVERY = {"paper": PAPER_EPOCH, **dict.fromkeys(CONTENDERS, 50)}
NETWORKS = ("fashion-resnet20", "cifar10-resnet20")
BITS = (3, 4)
SEEDS = 3
WARMUP_ITERATIONS = 3

app = typer.Typer(add_completion=False, no_args_is_help=True, help=__doc__)


@dataclass(frozen=True)
class Racer:
    """One curve: which network, at how many bits, by which protocol, with which seed."""

    network: str
    bits: int
    protocol: str
    seed: int

    @property
    def settings(self) -> RunSettings:
        """Of its run."""
        return preset_settings(
            PROTOCOLS[self.protocol],
            {
                "network": self.network,
                "weight_bits": self.bits,
                "activation_bits": self.bits,
                "seed": self.seed,
            },
        )

    @property
    def name(self) -> str:
        """Of its files."""
        return f"{self.network}-{self.bits}w{self.bits}a-{self.protocol}-seed{self.seed}"


@dataclass(frozen=True)
class Point:
    """Top-1 of Q, in percent, after so many iterations."""

    iteration: int
    top1: float


def read_curve(path: Path) -> list[Point]:
    """What was recorded of a racer so far."""
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return [Point(int(row["iteration"]), float(row["top1"])) for row in csv.DictReader(file)]


def write_curve(path: Path, points: list[Point]) -> None:
    """Write `points` where `read_curve` finds them."""
    with replace_atomically(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["iteration", "top1"])
        writer.writerows([point.iteration, f"{point.top1:.2f}"] for point in points)


def play(racer: Racer, epochs: int, states: Path) -> Iterator[Point]:
    """What is missing of `racer`'s curve up to `epochs` of the paper's, or to the preset's end.

    Args:
        states: folder of the trainers' states, from which an interrupted racer goes on.
    """
    settings = racer.settings
    loaded = load_float_network(settings)
    images, _ = load_real_images(settings, loaded.images, loaded.data)
    if images is None:
        raise SystemExit(f"{racer.network} has no test images at hand.")
    trainer = make_trainer(settings, loaded, torch.device("cpu"), None)
    kept = states / f"{racer.name}.pt"
    if kept.is_file():
        trainer.load_state_dict(torch.load(kept, weights_only=True))
    until = settings.iterations
    if racer.protocol == "paper":
        until = min(until, epochs * PAPER_EPOCH)
    while trainer.iteration < until:
        trainer.play()
        if trainer.iteration % EVALUATE_EVERY[racer.protocol] == 0:
            accuracy = top1(trainer.quantized_network(), images.images, images.labels)
            yield Point(trainer.iteration, accuracy)
            with replace_atomically(kept) as path:
                torch.save(trainer.state_dict(), path)


@app.command()
def record(
    network: Annotated[str | None, typer.Option(help="This one alone.")] = None,
    bits: Annotated[int | None, typer.Option(help="These alone.")] = None,
    seeds: Annotated[int, typer.Option(help="Seeds 0 to this, less one.")] = SEEDS,
    epochs: Annotated[int, typer.Option(help="Of the paper's protocol.")] = MARKS[-1],
    threads: Annotated[int, typer.Option()] = 1,
    folder: Annotated[Path, typer.Option(help="Where the curves go.")] = CURVES,
    states: Annotated[Path, typer.Option(help="Where unfinished runs are kept.")] = Path(
        "race-states"
    ),
) -> None:
    """Play what is missing and write the curves."""
    torch.set_num_threads(threads)
    for each in (folder, states):
        each.mkdir(parents=True, exist_ok=True)
    for seed in range(seeds):
        for named, width, protocol in itertools.product(
            [network] if network else NETWORKS, [bits] if bits else BITS, PROTOCOLS
        ):
            racer = Racer(named, width, protocol, seed)
            path = folder / f"{racer.name}.csv"
            points = read_curve(path)
            for point in play(racer, epochs, states):
                points = [p for p in points if p.iteration < point.iteration] + [point]
                write_curve(path, points)
            if points:
                typer.echo(f"{racer.name}\t{points[-1].iteration}\t{points[-1].top1:.2f} %")


def milliseconds(network: str, bits: int, seconds: float) -> dict[str, float]:
    """Median milliseconds of one iteration after the warm-up: plain, and each of `PROTOCOLS`.

    Each plays in turn with the others, so a machine that slows down changes all.
    """
    trainers: dict[str, Trainer] = {}
    for protocol in PROTOCOLS:
        settings = Racer(network, bits, protocol, 0).settings
        settings = settings.model_copy(
            update={"iterations_per_epoch": WARMUP_ITERATIONS, "warmup_epochs": 1}
        )
        loaded = load_float_network(settings)
        trainers[protocol] = make_trainer(settings, loaded, torch.device("cpu"), None)
        for _ in range(WARMUP_ITERATIONS):
            trainers[protocol].play()
    paper = trainers["paper"]
    loaded = load_float_network(paper.settings)
    plain = plain_game_of(paper, loaded.network, loaded.images.shape)
    source = draws(paper)
    times: dict[str, list[float]] = {name: [] for name in ("plain", *PROTOCOLS)}
    until = time.perf_counter() + seconds
    while time.perf_counter() < until or len(times["plain"]) < 6:
        noise, labels = next(source)
        times["plain"].append(seconds_of(lambda n=noise, y=labels: plain.step(n, y)))  # type: ignore[misc]
        for protocol, trainer in trainers.items():
            times[protocol].append(seconds_of(trainer.play))
    # The first allocate.
    return {name: 1e3 * statistics.median(taken[1:]) for name, taken in times.items()}


def reached(points: list[Point], accuracy: float) -> float:
    """The first iteration recorded at which `accuracy` was reached; infinite if never."""
    return next((p.iteration for p in points if p.top1 >= accuracy), math.inf)


def at(points: list[Point], iterations: float) -> float | None:
    """Top-1 at the last evaluation within so many iterations; `None` before the first."""
    seen = [p.top1 for p in points if p.iteration <= iterations]
    return seen[-1] if seen else None


def never_below(fast: list[Point], slow: list[Point], ms: float, slow_ms: float) -> float:
    """The most, in points of top-1, by which `fast` is below `slow` at equal time."""
    behind = 0.0
    for point in slow:
        own = at(fast, point.iteration * slow_ms / ms)
        if own is not None:
            behind = max(behind, point.top1 - own)
    return behind


@app.command()
def compare(
    seconds: Annotated[float, typer.Option(help="Of timing, for each network.")] = 60,
    threads: Annotated[int, typer.Option()] = 2,
    folder: Annotated[Path, typer.Option(help="Where the curves are.")] = CURVES,
    json_file: Annotated[Path | None, typer.Option("--json", help="File for all numbers.")] = None,
) -> None:
    """Measure times of an iteration and tell who reached which mark when."""
    torch.set_num_threads(threads)
    table = Table("network", "bits", "seed", "mark", "top-1, %", *("plain, s", "engine, s"))
    for name in CONTENDERS:
        for column in (f"{name}, s", f"plain / {name}", "behind at equal time"):
            table.add_column(column)
    rows = []
    timed: dict[tuple[str, int], dict[str, float]] = {}
    for path in sorted(folder.glob("*-paper-seed*.csv")):
        paper = read_curve(path)
        name, rest = path.stem.split("-paper-seed")
        network, pair = name.rsplit("-", 1)
        bits, seed = int(pair[0]), int(rest)
        if (network, bits) not in timed:
            timed[network, bits] = milliseconds(network, bits, seconds)
        ms = timed[network, bits]
        curves = {
            each: read_curve(path.with_name(path.name.replace("-paper-", f"-{each}-")))
            for each in CONTENDERS
        }
        behind = {
            each: never_below(curve, paper, ms[each], ms["plain"]) for each, curve in curves.items()
        }
        for mark in MARKS:
            accuracy = at(paper, mark * PAPER_EPOCH)
            if accuracy is None or paper[-1].iteration < mark * PAPER_EPOCH:
                continue
            first = reached(paper, accuracy)
            plain_s, engine_s = (first * ms[name] / 1e3 for name in ("plain", "paper"))
            about = {"network": network, "bits": bits, "seed": seed, "mark": mark, "top1": accuracy}
            row = {**about, "plain": plain_s, "engine": engine_s}
            cells = [_seconds(plain_s), _seconds(engine_s)]
            for each, curve in curves.items():
                took = reached(curve, accuracy) * ms[each] / 1e3
                row[each] = {"seconds": took, "ratio": plain_s / took, "behind": behind[each]}
                cells += [_seconds(took), f"{plain_s / took:.1f}", f"{behind[each]:.2f}"]
            rows.append(row)
            told = (network, str(bits), str(seed), f"{mark} epochs", f"{accuracy:.2f}")
            table.add_row(*told, *cells)
    console = Console()
    for (network, bits), ms in timed.items():
        told_ms = ", ".join(f"{name} {value:.0f}" for name, value in ms.items())
        console.print(f"{network}, {bits} bits, {threads} threads, ms per iteration: {told_ms}")
    console.print(table)
    if json_file is not None:
        times = [{"network": n, "bits": b, **ms} for (n, b), ms in timed.items()]
        json_file.write_text(json.dumps({"times": times, "rows": rows}, indent=1), encoding="utf-8")


def _seconds(value: float) -> str:
    return f"{value:.0f}" if value < math.inf else "never"


if __name__ == "__main__":
    app()
