"""How soon is Q as accurate as the paper's protocol makes it after 5, 20 and 60 of its epochs?

These run against each other: the paper's protocol in the plain game of `plain_game.py`, the same
protocol in the engine, and the interactive preset. Two commands:

`python benchmarks/race.py record` plays what is missing and writes top-1 of Q on the network's own
test images against iterations to `results/race`. It takes hours; what was interrupted goes on where
it was. The plain game computes what the engine computes (see `step.py`), so one curve of the
paper's protocol serves both.

`python benchmarks/race.py compare` measures the time of one iteration of all, within the warm-up
and after it, in turn in one process on a machine that does nothing else, and turns iterations into
seconds. Nobody's evaluations are counted.
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
from dataclasses import asdict, dataclass
from functools import partial
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
PROTOCOLS = {"paper": "paper-cifar", "interactive": "interactive"}
MARKS = (5, 20, 60)
PAPER_EPOCH = preset_settings(PROTOCOLS["paper"]).iterations_per_epoch
EVALUATE_EVERY = {"paper": PAPER_EPOCH, "interactive": 50}
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

    def until(self, epochs: int) -> int:
        """The last iteration of its curve, where the paper's protocol is played for `epochs`."""
        whole = self.settings.iterations
        return min(whole, epochs * PAPER_EPOCH) if self.protocol == "paper" else whole


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


def play(racer: Racer, data: str, epochs: int, states: Path) -> Iterator[Point]:
    """What is missing of `racer`'s curve up to `epochs` of the paper's, or to the preset's end.

    Args:
        data: labelled images that measure Q, as in the settings; "" takes those of the network.
        states: folder of the trainers' states, from which an interrupted racer goes on.
    """
    settings = racer.settings.model_copy(update={"data": data})
    loaded = load_float_network(settings)
    images, _ = load_real_images(settings, loaded.images, loaded.data)
    if images is None:
        raise SystemExit(f"{racer.network} has no test images at hand.")
    trainer = make_trainer(settings, loaded, torch.device("cpu"), None)
    kept = states / f"{racer.name}.pt"
    if kept.is_file():
        trainer.load_state_dict(torch.load(kept, weights_only=True))
    while trainer.iteration < racer.until(epochs):
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
    data: Annotated[
        list[str] | None, typer.Option(help="NETWORK=DATA for one that has no images of its own.")
    ] = None,
    folder: Annotated[Path, typer.Option(help="Where the curves go.")] = CURVES,
    states: Annotated[Path, typer.Option(help="Where unfinished runs are kept.")] = Path(
        "race-states"
    ),
) -> None:
    """Play what is missing and write the curves."""
    torch.set_num_threads(threads)
    images = dict(text.split("=", 1) for text in data or ())
    for each in (folder, states):
        each.mkdir(parents=True, exist_ok=True)
    for seed in range(seeds):
        for named, width, protocol in itertools.product(
            [network] if network else NETWORKS, [bits] if bits else BITS, PROTOCOLS
        ):
            racer = Racer(named, width, protocol, seed)
            path = folder / f"{racer.name}.csv"
            points = read_curve(path)
            # A whole curve needs no state, which is not kept beside it.
            if not points or points[-1].iteration < racer.until(epochs):
                for point in play(racer, images.get(named, ""), epochs, states):
                    points = [p for p in points if p.iteration < point.iteration] + [point]
                    write_curve(path, points)
            if points:
                typer.echo(f"{racer.name}\t{points[-1].iteration}\t{points[-1].top1:.2f} %")


@dataclass(frozen=True)
class Pace:
    """How long iterations take.

    Attributes:
        warmup_iterations: how many of the first are of G's move alone.
        warmup_ms: of one of these, in milliseconds.
        ms: of one behind them.
    """

    warmup_iterations: int
    warmup_ms: float
    ms: float

    def seconds(self, iterations: float) -> float:
        """Of so many iterations from the start."""
        warmup = min(iterations, self.warmup_iterations)
        return (warmup * self.warmup_ms + (iterations - warmup) * self.ms) / 1e3


def paces(network: str, bits: int, seconds: float) -> dict[str, Pace]:
    """Of the plain game and each of `PROTOCOLS`, by medians.

    Each plays in turn with the others, so a machine that slows down changes all.
    """
    warming: dict[str, Trainer] = {}
    playing: dict[str, Trainer] = {}
    for protocol in PROTOCOLS:
        settings = Racer(network, bits, protocol, 0).settings
        short = settings.model_copy(
            update={"iterations_per_epoch": WARMUP_ITERATIONS, "warmup_epochs": 1}
        )
        loaded = load_float_network(settings)
        warming[protocol] = make_trainer(settings, loaded, torch.device("cpu"), None)
        playing[protocol] = make_trainer(short, loaded, torch.device("cpu"), None)
        for _ in range(WARMUP_ITERATIONS):
            playing[protocol].play()
    paper = playing["paper"]
    loaded = load_float_network(paper.settings)
    plain = plain_game_of(paper, loaded.network, loaded.images.shape)
    source = draws(paper)
    names = ("plain", *PROTOCOLS)
    warmup_times: dict[str, list[float]] = {name: [] for name in names}
    times: dict[str, list[float]] = {name: [] for name in names}
    until = time.perf_counter() + seconds
    while time.perf_counter() < until or len(times["plain"]) < 6:
        noise, labels = next(source)
        warmup_times["plain"].append(seconds_of(partial(plain.move_g, noise, labels)))
        times["plain"].append(seconds_of(partial(plain.step, noise, labels)))
        for protocol in PROTOCOLS:
            warmup_times[protocol].append(seconds_of(warming[protocol].play))
            times[protocol].append(seconds_of(playing[protocol].play))
    warmups = {name: trainer.settings.warmup_iterations for name, trainer in warming.items()}
    # The plain game plays the paper's protocol. The first of each allocate.
    return {
        name: Pace(
            warmups[name if name in warmups else "paper"],
            1e3 * statistics.median(warmup_times[name][1:]),
            1e3 * statistics.median(times[name][1:]),
        )
        for name in names
    }


def reached(points: list[Point], accuracy: float) -> float:
    """The first iteration recorded at which `accuracy` was reached; infinite if never."""
    return next((p.iteration for p in points if p.top1 >= accuracy), math.inf)


def at(points: list[Point], pace: Pace, seconds: float) -> float | None:
    """Top-1 at the last evaluation within so many seconds; `None` before the first."""
    seen = [p.top1 for p in points if pace.seconds(p.iteration) <= seconds]
    return seen[-1] if seen else None


def most_behind(fast: list[Point], pace: Pace, slow: list[Point], slow_pace: Pace) -> float:
    """The most, in points of top-1, by which `fast` is below `slow` at equal time."""
    behind = 0.0
    for point in slow:
        own = at(fast, pace, slow_pace.seconds(point.iteration))
        if own is not None:
            behind = max(behind, point.top1 - own)
    return behind


@dataclass(frozen=True)
class Field:
    """All racers of one network, number of bits and seed.

    Attributes:
        curves: by protocol.
        paces: by protocol and of the plain game.
    """

    network: str
    bits: int
    seed: int
    curves: dict[str, list[Point]]
    paces: dict[str, Pace]

    def marks(self) -> list[tuple[int, float]]:
        """The marks that the paper's protocol has come to, in its epochs, with its top-1 there."""
        tops = {point.iteration: point.top1 for point in self.curves["paper"]}
        iterations = {mark: mark * PAPER_EPOCH for mark in MARKS}
        return [(mark, tops[last]) for mark, last in iterations.items() if last in tops]

    def seconds(self, top1: float) -> dict[str, float]:
        """How long the plain game and each protocol took to `top1`, infinite where it never did."""
        iterations = {name: reached(curve, top1) for name, curve in self.curves.items()}
        # The plain game computes what the engine does, so it has the same curve.
        taken = {"plain": iterations["paper"], **iterations}
        return {name: self.paces[name].seconds(count) for name, count in taken.items()}

    def behind(self) -> float:
        """The most by which the preset is below the plain game at equal time, in points."""
        fast, slow = self.curves["interactive"], self.curves["paper"]
        return most_behind(fast, self.paces["interactive"], slow, self.paces["plain"])


def fields(folder: Path, seconds: float) -> Iterator[Field]:
    """All of `folder` with both curves; times are measured for `seconds` a network."""
    timed: dict[tuple[str, int], dict[str, Pace]] = {}
    for path in sorted(folder.glob("*-paper-seed*.csv")):
        name, seed = path.stem.split("-paper-seed")
        network, pair = name.rsplit("-", 1)
        bits = int(pair[0])
        racers = {name: Racer(network, bits, name, int(seed)) for name in PROTOCOLS}
        curves = {name: read_curve(folder / f"{each.name}.csv") for name, each in racers.items()}
        if not all(curves.values()):
            continue
        if (network, bits) not in timed:
            timed[network, bits] = paces(network, bits, seconds)
        yield Field(network, bits, int(seed), curves, timed[network, bits])


@app.command()
def compare(
    seconds: Annotated[float, typer.Option(help="Of timing, for each network.")] = 60,
    threads: Annotated[int, typer.Option()] = 2,
    folder: Annotated[Path, typer.Option(help="Where the curves are.")] = CURVES,
    json_file: Annotated[Path | None, typer.Option("--json", help="File for all numbers.")] = None,
) -> None:
    """Measure times of an iteration and tell who reached which mark when.

    The last line of a seed tells by how many points, at most, the preset is below the plain game
    at equal time.
    """
    torch.set_num_threads(threads)
    console = Console()
    rows = []
    found = itertools.groupby(fields(folder, seconds), lambda each: (each.network, each.bits))
    for (network, bits), group in found:
        table = Table("seed", "epochs", "top-1, %", "plain", "engine", "interactive")
        for each in group:
            behind = each.behind()
            for mark, top in each.marks():
                took = each.seconds(top)
                cells = [_told(took[name], took["plain"]) for name in PROTOCOLS]
                plain = f"{took['plain']:.0f} s"
                table.add_row(str(each.seed), str(mark), f"{top:.2f}", plain, *cells)
                about = {"network": network, "bits": bits, "seed": each.seed}
                about |= {"epochs": mark, "top1": top, "behind": behind}
                timed = {name: asdict(pace) for name, pace in each.paces.items()}
                rows.append({**about, "seconds": took, "paces": timed})
            points = f"{behind:.2f} points"
            table.add_row(str(each.seed), "behind", "", "", "", points, end_section=True)
            ms = ", ".join(
                f"{name} {pace.warmup_ms:.0f} / {pace.ms:.0f}" for name, pace in each.paces.items()
            )
        console.print(
            f"{network}, {bits} bits, ms per iteration of the warm-up / behind it, {threads} "
            f"threads: {ms}"
        )
        console.print(table)
    if json_file is not None:
        json_file.write_text(json.dumps(rows, indent=1), encoding="utf-8")


def _told(seconds: float, plain: float) -> str:
    if seconds == math.inf:
        return "never"
    ratio = plain / seconds
    return f"{seconds:.0f} s {ratio:.{1 if ratio < 10 else 0}f}x"


if __name__ == "__main__":
    app()
