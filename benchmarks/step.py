"""How long does an iteration of the game take, and what share of the machine's peak does it reach?

Run `python benchmarks/step.py` on a machine that does nothing else: about fifteen minutes, with
`--quick` about three. The plain game of `plain_game.py` and the engine's play the same iterations
in turn in one process, so a machine that slows down changes both. Told are the median milliseconds
of each, the median of the ratios of neighbouring iterations, and, of the engine, the share of the
peak: the floating-point operations of the necessary work over those that matrix products of 1,024
rows would have done in the same time, with the same threads.

First both are compared: losses and updated parameters over 20 iterations, in float64, where the
mathematics shows apart from rounding, and in float32, where a value that falls half-way between
two codes may round to either.
"""

from __future__ import annotations

import copy
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import torch
from machine import machine, machine_line
from plain_game import PlainGame, plain_q
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from adadfq_core.presets import preset_settings
from adadfq_core.training.trainer import Trainer
from adadfq_core.zoo.networks import resnet20

COMPARED_ITERATIONS = 20
WARMUP_ITERATIONS = 3
SHAPES = {"resnet20": (3, 32, 32), "resnet18": (3, 224, 224)}
CLASSES = {"resnet20": 10, "resnet18": 1000}


@dataclass(frozen=True)
class Case:
    """What is measured: the network with its generator, bits, batch and threads."""

    network: str
    bits: int
    batch: int
    threads: int


@dataclass(frozen=True)
class Timing:
    """Milliseconds per iteration, their ratio, and shares of the peak of matrix products."""

    case: Case
    plain_ms: float
    engine_ms: float
    ratio: float
    gflop: float
    peak_gflops: float
    share: float
    iterations: int


def float_network(name: str) -> nn.Module:
    """P with random weights and BatchNorm statistics of noise images, which are not degenerate."""
    torch.manual_seed(0)
    if name == "resnet20":
        network: nn.Module = resnet20(3, 10)
    else:
        from torchvision.models import resnet18

        network = resnet18(weights=None)
    with torch.no_grad():
        network.train()(torch.randn(16, *SHAPES[name]))
    return network.eval()


def both_games(case: Case) -> tuple[Trainer, PlainGame]:
    """The engine after a few warm-up iterations, and the plain game with the same numbers."""
    preset = "paper-cifar" if case.network == "resnet20" else "paper-imagenet"
    settings = preset_settings(
        preset,
        {
            "weight_bits": case.bits,
            "activation_bits": case.bits,
            "batch": case.batch,
            "iterations_per_epoch": WARMUP_ITERATIONS,
            "warmup_epochs": 1,
            "threads": case.threads,
        },
    )
    network, shape = float_network(case.network), SHAPES[case.network]
    trainer = Trainer(settings, network, shape, CLASSES[case.network], torch.device("cpu"))
    for _ in range(WARMUP_ITERATIONS):
        trainer.play()
    return trainer, plain_game_of(trainer, network, shape)


def plain_game_of(trainer: Trainer, network: nn.Module, shape: tuple[int, ...]) -> PlainGame:
    """The plain game with `trainer`'s numbers, as they are at the end of its warm-up.

    Args:
        network: the float P, built of the modules that `plain_q` swaps.
        shape: of its images, `(channels, height, width)`.
    """
    players = trainer.players
    ranges = [quantizer.range() for _, quantizer in players.q.activation_quantizers()]
    network = network.to(memory_format=torch.contiguous_format)
    settings = trainer.settings
    q = plain_q(network, settings.weight_bits, ranges, torch.randn(2, *shape))
    game = PlainGame(settings, network, q, players.generator)
    state = copy.deepcopy(players.optimizer_g.state_dict())  # loading one shares its tensors
    for group in state["param_groups"]:
        group["fused"] = False
    game.optimizer_g.load_state_dict(state)
    return game


def draws(trainer: Trainer) -> Iterator[tuple[Tensor, Tensor]]:
    """The noise and the classes that `trainer` will draw."""
    random = torch.Generator()
    random.set_state(trainer.state_dict()["random"])
    settings = trainer.settings
    while True:
        noise = torch.randn(settings.batch, settings.latent_dim, generator=random)
        yield noise, torch.randint(trainer.num_classes, (settings.batch,), generator=random)


def _vector(player: nn.Module) -> Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in player.parameters()])


def _distance(ours: Tensor, theirs: Tensor) -> float:
    return float((ours - theirs).norm() / theirs.norm().clamp(min=1e-30))


@contextmanager
def default_dtype(dtype: torch.dtype) -> Iterator[None]:
    """Make tensors of `dtype` unless told otherwise."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def compare(case: Case, dtype: torch.dtype, iterations: int = COMPARED_ITERATIONS) -> float:
    """The largest relative difference of a loss, or of a player's parameters, over `iterations`.

    The parameters of a player are compared as one vector, by Euclidean norms.
    """
    torch.set_num_threads(case.threads)
    with default_dtype(dtype):
        trainer, game = both_games(case)
        worst = 0.0
        for _, (noise, labels) in zip(range(iterations), draws(trainer), strict=False):
            plain = game.step(noise, labels)
            scalars = trainer.play().scalars
            for own, other in zip((scalars[0], scalars[5]), plain, strict=True):
                worst = max(worst, _distance(own, other))
            players = trainer.players
            for own, other in ((players.generator, game.generator), (players.q, game.q)):
                worst = max(worst, _distance(_vector(own), _vector(other)))
    return worst


def seconds_of(act: Callable[[], Any]) -> float:
    """What `act` takes."""
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def peak_flops(threads: int, repeats: int = 20) -> float:
    """Floating-point operations a second of float32 matrix products, the best of `repeats`."""
    torch.set_num_threads(threads)
    a, b = torch.randn(1024, 1024), torch.randn(1024, 1024)
    return 2 * 1024**3 / min(seconds_of(lambda: a @ b) for _ in range(repeats))


def necessary_flops(trainer: Trainer) -> float:
    """Operations of the convolutions and matrix products of one iteration of the engine.

    It makes one forward pass of each network and no gradient that is not used, so what it does is
    what is necessary.
    """
    with FlopCounterMode(display=False) as counter:
        trainer.play()
    return float(counter.get_total_flops())


def measure(case: Case, seconds: float, fewest: int) -> Timing:
    """Both games in turn for `seconds`, at least `fewest` iterations each."""
    torch.set_num_threads(case.threads)
    trainer, game = both_games(case)
    flops = necessary_flops(trainer)
    peak = peak_flops(case.threads)
    source = draws(trainer)
    plain: list[float] = []
    engine: list[float] = []
    until = time.perf_counter() + seconds
    while time.perf_counter() < until or len(engine) < fewest + 1:
        noise, labels = next(source)
        plain.append(seconds_of(partial(game.step, noise, labels)))
        engine.append(seconds_of(trainer.play))
    plain, engine = plain[1:], engine[1:]  # the first allocate
    took = statistics.median(engine)
    return Timing(
        case=case,
        plain_ms=statistics.median(plain) * 1e3,
        engine_ms=took * 1e3,
        ratio=statistics.median(a / b for a, b in zip(plain, engine, strict=True)),
        gflop=flops / 1e9,
        peak_gflops=peak / 1e9,
        share=flops / took / peak,
        iterations=len(engine),
    )


def cases(quick: bool) -> list[Case]:
    """What is measured; the large generator at the smaller batch alone, since it is slow."""
    small = [
        Case("resnet20", bits, batch, threads)
        for bits in ((3,) if quick else (3, 5))
        for batch in (16, 64)
        for threads in (1, 2)
    ]
    return small if quick else [*small, *(Case("resnet18", 4, 16, threads) for threads in (1, 2))]


def main(
    quick: Annotated[bool, typer.Option("--quick", help="3 bits and ResNet-20 alone.")] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="File for all numbers.")] = None,
) -> None:
    """Measure the engine's iteration against the plain one."""
    from rich.console import Console
    from rich.table import Table

    distances = {
        str(dtype).removeprefix("torch."): compare(Case("resnet20", 3, 16, 1), dtype)
        for dtype in (torch.float64, torch.float32)
    }
    timings = [measure(case, seconds=10 if quick else 30, fewest=5) for case in cases(quick)]
    table = Table(
        "network", "bits", "batch", "threads", "plain, ms", "engine, ms", "ratio", "share of peak"
    )
    for each in timings:
        case = [str(value) for value in asdict(each.case).values()]
        times = (f"{each.plain_ms:.0f}", f"{each.engine_ms:.0f}", f"{each.ratio:.2f}")
        table.add_row(*case, *times, f"{each.share:.0%}")
    console = Console()
    console.print(machine_line())
    for name, worst in distances.items():
        console.print(
            f"largest difference over {COMPARED_ITERATIONS} iterations, {name}: {worst:.1e}"
        )
    console.print(table)
    if json_file is not None:
        timed = [asdict(each) for each in timings]
        everything = {"machine": machine(), "differences": distances, "timings": timed}
        json_file.write_text(json.dumps(everything, indent=1), encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
