"""What else brings Q closer to P? Ideas that the engine does not have, each tried in its game.

`python benchmarks/recipe.py --network cifar10-resnet20 --bits 3 plain learned` plays a
run of the preset for each name and appends what it saw to `results/recipe.csv`; names joined by `+`
are one run with all of them. `--set name=value` changes settings of all runs, as for `train`.
`--recorded` plays the runs of that file once more and prints what they come to beside what was
seen.

An idea that helps moves into the engine as a setting; those that do not stay here, where the next
one who has them finds what they gave.
"""

from __future__ import annotations

import copy
import csv
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import torch
import torch.nn.functional as F
from torch import Tensor

from adadfq_core.errors import InputError
from adadfq_core.game import step
from adadfq_core.game.methods import Losses
from adadfq_core.game.step import Outcome
from adadfq_core.presets import preset_settings
from adadfq_core.quant.fake_quant import fake_quantize
from adadfq_core.quant.layers import QuantizedLayer
from adadfq_core.quant.range_shares import RangeShares, fake_quantize_clipping
from adadfq_core.quant.ranges import ActivationQuantizer
from adadfq_core.runs.loading import load_real_images, make_trainer
from adadfq_core.shell.network_options import Assignments, assigned
from adadfq_core.training.evaluation import top1
from adadfq_core.training.schedules import learning_rate_factor
from adadfq_core.training.trainer import Trainer
from adadfq_core.zoo.loading import load_float_network

RESULTS = ROOT / "benchmarks" / "results" / "recipe.csv"
COLUMNS = (
    "network",
    "bits",
    "preset",
    "changes",
    "idea",
    "seed",
    "p",
    "calibrated",
    "half",
    "last",
)
COLUMNS += ("iterations", "ms_per_iteration")


def _nothing(trainer: Trainer) -> None:
    """An idea that has no part at this time."""


@dataclass(frozen=True)
class Idea:
    """Changes to the settings, and what is done to a trainer at its start and after its warm-up."""

    about: str
    changes: dict[str, Any] = field(default_factory=dict)
    at_start: Callable[[Trainer], None] = _nothing
    after_warmup: Callable[[Trainer], None] = _nothing


class MaskedActivation(ActivationQuantizer):
    """An activation's quantizer that passes no gradient where it clips."""

    def forward(self, x: Tensor) -> Tensor:
        return fake_quantize_clipping(x, self.bits, *self.range())


class ChannelActivation(ActivationQuantizer):
    """An activation's quantizer with a range for each channel."""

    def _extremes(self, x: Tensor) -> tuple[Tensor, Tensor]:
        low, high = x.detach().transpose(0, 1).flatten(1).aminmax(dim=1)
        return low, high

    def _observe(self, x: Tensor) -> None:
        if not self.batches:
            self.average_min, self.average_max = x.new_zeros(2, x.shape[1]).unbind()
        super()._observe(x)

    def forward(self, x: Tensor) -> Tensor:
        if self.observing:
            self._observe(x)
        return fake_quantize(x, self.bits, *self.range(), channel_axis=1)


def layers_of(trainer: Trainer) -> list[QuantizedLayer]:
    """Q's layers in the order of its graph."""
    return [m for m in trainer.players.q.modules() if isinstance(m, QuantizedLayer)]


def activations_of(trainer: Trainer) -> list[ActivationQuantizer]:
    """Q's activation quantizers in the order of its graph."""
    return [quantizer for _, quantizer in trainer.players.q.activation_quantizers()]


def begin_anew(trainer: Trainer) -> None:
    """Let the average be a copy of what Q has become."""
    trainer._average = copy.deepcopy(trainer.players.q).requires_grad_(False)


def use_whole_ranges(trainer: Trainer) -> None:
    """Let what is learned of the ranges begin at minima and maxima."""
    for module in trainer.players.q.modules():
        if isinstance(module, RangeShares):
            module.shares.data.fill_(1)
    begin_anew(trainer)


def mask_activations(trainer: Trainer) -> None:
    """Let clipped activations pass no gradient."""
    for quantizer in activations_of(trainer):
        quantizer.__class__ = MaskedActivation
    begin_anew(trainer)


def range_each_channel(trainer: Trainer) -> None:
    """Give each channel of an activation a range of its own."""
    for quantizer in activations_of(trainer):
        quantizer.__class__ = ChannelActivation


def mix_classes(share: float) -> Callable[[Trainer], None]:
    """A share of G's images lies between two classes (Choi et al., Qimera, arXiv 2111.02625)."""

    def twist(trainer: Trainer) -> None:
        plain_noise, plain_losses = trainer._noise, step.losses

        def noise() -> tuple[Tensor, Tensor]:
            z, labels = plain_noise()
            first = F.one_hot(labels, trainer.num_classes).float()
            other = first[torch.randperm(len(first), generator=trainer._random)]
            mixed = torch.rand(len(first), 1, generator=trainer._random)
            chosen = torch.rand(len(first), 1, generator=trainer._random) < share
            return z, torch.where(chosen, mixed * first + (1 - mixed) * other, first)

        def losses(p: Tensor, q: Tensor, labels: Tensor, *args: Any, **kwargs: Any) -> Losses:
            hard = labels.argmax(1) if labels.is_floating_point() else labels
            return plain_losses(p, q, hard, *args, **kwargs)

        trainer._noise = noise  # type: ignore[method-assign]
        step.losses = losses

    return twist


def fade_features(trainer: Trainer) -> None:
    """Let the weight of P's features fall with the learning rates."""
    play, weight = trainer.play, trainer.settings.feature_weight

    def faded() -> Outcome:
        factor = learning_rate_factor(trainer.settings, trainer.iteration)
        changed = {"feature_weight": weight * factor}
        trainer.settings = trainer.settings.model_copy(update=changed)
        return play()

    trainer.play = faded  # type: ignore[method-assign]


IDEAS = {
    "plain": Idea("the preset as it is"),
    "bias": Idea("bias correction after the warm-up", {"bias_correction": True}),
    "clipping": Idea("activation clipping in the warm-up", {"activation_clipping": True}),
    "norm": Idea("BatchNorm statistics measured anew", {"adaptive_batchnorm": True}),
    "real": Idea("real images in place of G's: the ceiling", {"method": "real"}),
    "gdfq": Idea("GDFQ's losses", {"method": "gdfq"}),
    "slow": Idea("a third of Q's learning rate", {"lr_q": 1e-4}),
    "fast": Idea("three times Q's learning rate", {"lr_q": 1e-3}),
    "no-average": Idea("no EMA of Q's weights", {"q_average": 0.0}),
    "constant": Idea("no cosine schedule", {"schedule": "constant"}),
    "searched": Idea("ranges of least squared error", {"ranges": "searched"}),
    "learned": Idea("ranges learned from there", {"ranges": "learned"}),
    "learned-from-minmax": Idea(
        "ranges learned from minima and maxima",
        {"ranges": "learned"},
        after_warmup=use_whole_ranges,
    ),
    "channels": Idea("a range for each channel of activations", {}, range_each_channel, begin_anew),
    "mask": Idea("no gradient through clipped activations", after_warmup=mask_activations),
    "features": Idea("all BatchNorm outputs distilled", {"feature_weight": 100}),
    "fading": Idea("the same, less and less", {"feature_weight": 100}, at_start=fade_features),
    "mix": Idea("half of the images between two classes", at_start=mix_classes(0.5)),
    "replay": Idea("32 earlier images in each of Q's moves", {"replay": 32}),
}


def play(
    network: str, bits: int, preset: str, names: str, seed: int, given: dict[str, Any]
) -> dict[str, Any]:
    """One run with the ideas `names`, joined by `+`; returns what it saw by `COLUMNS`."""
    ideas = [IDEAS[name] for name in names.split("+")]
    changes: dict[str, Any] = {"network": network, "weight_bits": bits, "activation_bits": bits}
    for idea in ideas:
        changes |= idea.changes
    settings = preset_settings(preset, {**changes, "seed": seed, **given})
    loaded = load_float_network(settings)
    measured, lessons = load_real_images(settings, loaded.images, loaded.data)
    assert measured is not None
    plain_losses = step.losses
    trainer = make_trainer(settings, loaded, torch.device("cpu"), lessons)
    for idea in ideas:
        idea.at_start(trainer)
    seen = {"p": top1(loaded.network, measured.images, measured.labels)}
    half = (settings.iterations + settings.warmup_iterations) // 2
    seconds = 0.0
    while not trainer.finished:
        began = time.perf_counter()
        trainer.play()
        if trainer.iteration == settings.warmup_iterations:
            for idea in ideas:
                idea.after_warmup(trainer)
        seconds += time.perf_counter() - began
        moments = {settings.warmup_iterations: "calibrated", half: "half"}
        moments[settings.iterations] = "last"
        if name := moments.get(trainer.iteration):
            seen[name] = top1(trainer.quantized_network(), measured.images, measured.labels)
    step.losses = plain_losses
    return {
        "network": network,
        "bits": bits,
        "preset": preset,
        "changes": " ".join(f"{name}={value}" for name, value in given.items()),
        "idea": names,
        "seed": seed,
        **{name: f"{value:.2f}" for name, value in seen.items()},
        "iterations": settings.iterations,
        "ms_per_iteration": f"{1e3 * seconds / settings.iterations:.0f}",
    }


def keep(row: dict[str, Any]) -> None:
    """Append `row` to the results."""
    new = not RESULTS.exists()
    with RESULTS.open("a", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        if new:
            writer.writeheader()
        writer.writerow(row)


def play_recorded(changes: list[str]) -> None:
    """Play each run of the results once more; tell what was seen then as `last_then`.

    Ideas that are no longer here, and networks whose images are not at hand, are told and left out.
    """
    print("\t".join((*COLUMNS, "last_then")))
    with RESULTS.open(newline="") as file:
        rows = list(csv.DictReader(file))
    for then in rows:
        gone = sorted(set(then["idea"].split("+")) - set(IDEAS))
        if gone:
            print(f"{then['idea']}: {gone[0]} is no longer among the ideas", file=sys.stderr)
            continue
        given = assigned([*then["changes"].split(), *changes])
        bits, seed = int(then["bits"]), int(then["seed"])
        try:
            row = play(then["network"], bits, then["preset"], then["idea"], seed, given)
        except InputError as error:
            print(f"{then['network']}, {then['idea']}: {error}", file=sys.stderr)
            continue
        print(*row.values(), then["last"], sep="\t", flush=True)


def main(
    names: Annotated[list[str] | None, typer.Argument(help=" · ".join(IDEAS))] = None,
    network: Annotated[str, typer.Option()] = "fashion-resnet20",
    bits: Annotated[int, typer.Option()] = 3,
    preset: Annotated[str, typer.Option()] = "quick",
    seed: Annotated[int, typer.Option()] = 0,
    threads: Annotated[int, typer.Option()] = 1,
    changes: Assignments = None,
    recorded: Annotated[
        bool, typer.Option("--recorded", help="Play what the results have once more.")
    ] = False,
) -> None:
    """Play one run for each of `names`."""
    if recorded == bool(names):
        raise typer.BadParameter("Give names of ideas, or --recorded alone.")
    torch.set_num_threads(threads)
    if recorded:
        play_recorded(changes or [])
    for each in names or ():
        row = play(network, bits, preset, each, seed, assigned(changes))
        print(*row.values(), sep="\t", flush=True)
        keep(row)


if __name__ == "__main__":
    typer.run(main)
