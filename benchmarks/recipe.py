"""What else brings Q closer to P? Ideas that the engine does not have, each tried in its game.

`python benchmarks/recipe.py --network cifar10-resnet20 --bits 3 mse-weights learned-ranges` plays a
run of the preset for each name and appends what it saw to `results/recipe.csv`; names joined by `+`
are one run with all of them. `--set name=value` changes settings of all runs, as for `train`.

An idea that helps moves into the engine as a setting; those that do not stay here, where the next
one who has them finds what they gave.
"""

from __future__ import annotations

import copy
import csv
import random
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import typer

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from adadfq_core.game import step
from adadfq_core.game.methods import Losses
from adadfq_core.game.objectives import quantized_network_loss
from adadfq_core.presets import preset_settings
from adadfq_core.quant.fake_quant import NARROWEST_RANGE, fake_quantize, levels, widen_to_zero
from adadfq_core.quant.layers import QuantizedLayer, output_first
from adadfq_core.quant.ranges import ActivationQuantizer, weight_range
from adadfq_core.runs.loading import load_real_images, make_trainer
from adadfq_core.shell.network_options import Assignments, assigned
from adadfq_core.training.evaluation import top1
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
# Narrower ranges that are tried for the smallest squared error, as shares of the whole one.
SHARES = torch.linspace(0.3, 1.0, 36).tolist()
# How fast a learned range moves: a share of its width for each step of one of its gradient.
RANGE_RATE = 3.0


def _nothing(trainer: Trainer) -> None:
    """An idea that has no part at this time."""


@dataclass(frozen=True)
class Idea:
    """Changes to the settings, and what is done to a trainer at its start and after its warm-up."""

    about: str
    changes: dict[str, Any] = field(default_factory=dict)
    at_start: Callable[[Trainer], None] = _nothing
    after_warmup: Callable[[Trainer], None] = _nothing


def rounded(x: Tensor) -> Tensor:
    """`x` rounded, with the gradient of the identity."""
    return x + (x.round() - x).detach()


def learned_quantize(x: Tensor, low: Tensor, high: Tensor, bits: int) -> Tensor:
    """Fake quantization whose range gets a gradient too (Esser et al., LSQ, arXiv 1902.08153).

    With a zero point (Bhalgat et al., LSQ+, arXiv 2004.09576); none flows to clipped inputs.
    """
    top = levels(bits)
    width = (high - low).clamp(min=NARROWEST_RANGE) / top
    zero = rounded(low / width)
    return torch.clamp(rounded(x / width), zero, zero + top) * width


def slowed(x: Tensor, share: float) -> Tensor:
    """`x` with a gradient of `share` times its own."""
    return x * share + (x * (1 - share)).detach()


class RangedLayer(QuantizedLayer):
    """A quantized layer with ranges of its own: shares of the minima and maxima at the start.

    `rate` 0 leaves them as they are found; else they are learned.
    """

    shares: Tensor
    low: Tensor
    high: Tensor

    def take_ranges(self, shares: Tensor, rate: float) -> None:
        """From now on, use `shares` `(2, out)` of the present ranges."""
        weight = output_first(self.layer, self.layer.weight)
        self.low, self.high = (bound.clone() for bound in weight_range(weight))
        self.rate = rate
        self.register_buffer("first_shares", shares.clone())
        self.moved = nn.Parameter(torch.zeros_like(shares), requires_grad=rate > 0)

    def quantized_output_first(self) -> Tensor:
        weight = output_first(self.layer, self.layer.weight)
        view = (-1, *[1] * (weight.ndim - 1))
        first: Tensor = self.first_shares  # type: ignore[assignment]
        if not self.rate:
            low, high = self.low * first[0], self.high * first[1]
            return fake_quantize(weight, self.bits, low, high, channel_axis=0)
        share = first + self.rate * slowed(
            self.moved, (weight[0].numel() * levels(self.bits)) ** -0.5
        )
        low, high = widen_to_zero(self.low * share[0], self.high * share[1])
        return learned_quantize(weight, low.view(view), high.view(view), self.bits)


class RangedActivation(ActivationQuantizer):
    """An activation's quantizer with a share of its calibrated range, found or learned."""

    def take_range(self, share: float, rate: float) -> None:
        """From now on, use `share` of the present range."""
        self.rate, self.share = rate, share
        self.moved = nn.Parameter(torch.zeros(2), requires_grad=rate > 0)

    def forward(self, x: Tensor) -> Tensor:
        low, high = self.range()
        if not self.rate:
            return fake_quantize(x, self.bits, low * self.share, high * self.share)
        slow = (x[0].numel() * levels(self.bits)) ** -0.5
        share = self.share + self.rate * slowed(self.moved, slow)
        return learned_quantize(x, *widen_to_zero(low * share[0], high * share[1]), self.bits)


class MaskedActivation(ActivationQuantizer):
    """An activation's quantizer that passes no gradient where it clips."""

    def forward(self, x: Tensor) -> Tensor:
        low, high = self.range()
        return fake_quantize(torch.clamp(x, low, high), self.bits, low, high)


def layers_of(trainer: Trainer) -> list[QuantizedLayer]:
    """Q's layers in the order of its graph."""
    return [m for m in trainer.players.q.modules() if isinstance(m, QuantizedLayer)]


def activations_of(trainer: Trainer) -> list[ActivationQuantizer]:
    """Q's activation quantizers in the order of its graph."""
    return [quantizer for _, quantizer in trainer.players.q.activation_quantizers()]


def begin_anew(trainer: Trainer) -> None:
    """Let optimizer and average know of parameters that Q has got."""
    players = trainer.players
    known = {id(p) for group in players.optimizer_q.param_groups for p in group["params"]}
    new = [p for p in players.q.parameters() if p.requires_grad and id(p) not in known]
    if new:
        players.optimizer_q.add_param_group({"params": new, "weight_decay": 0.0})
    trainer._average = copy.deepcopy(players.q).requires_grad_(False)


def best_weight_shares(layer: QuantizedLayer) -> Tensor:
    """The share of each channel's range `(2, out)` with the smallest squared error."""
    weight = output_first(layer.layer, layer.layer.weight).detach()
    low, high = weight_range(weight)
    errors = torch.stack(
        [
            (fake_quantize(weight, layer.bits, low * s, high * s, channel_axis=0) - weight)
            .square()
            .flatten(1)
            .sum(1)
            for s in SHARES
        ]
    )
    best = torch.tensor(SHARES)[errors.argmin(0)]
    return torch.stack([best, best])


@torch.no_grad()
def best_activation_shares(trainer: Trainer, batches: int = 8) -> list[float]:
    """The share of each activation's range with the smallest squared error on G's images."""
    quantizers = activations_of(trainer)
    errors = torch.zeros(len(quantizers), len(SHARES))

    def measure(place: int) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        def hook(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            assert isinstance(module, ActivationQuantizer)
            x, (low, high) = inputs[0], module.range()
            for number, share in enumerate(SHARES):
                code = fake_quantize(x, module.bits, low * share, high * share)
                errors[place, number] += (code - x).square().mean()

        return hook

    hooks = [q.register_forward_pre_hook(measure(i)) for i, q in enumerate(quantizers)]
    for _ in range(batches):
        trainer.players.q(step.imagine(trainer.players, *trainer._noise()))
    for hook in hooks:
        hook.remove()
    return [SHARES[number] for number in errors.argmin(1).tolist()]


def range_weights(*, search: bool, rate: float) -> Callable[[Trainer], None]:
    """Give Q's layers ranges of their own."""

    def twist(trainer: Trainer) -> None:
        for layer in layers_of(trainer):
            channels = len(output_first(layer.layer, layer.layer.weight))
            shares = best_weight_shares(layer) if search else torch.ones(2, channels)
            layer.__class__ = RangedLayer
            assert isinstance(layer, RangedLayer)
            layer.take_ranges(shares, rate)
        begin_anew(trainer)

    return twist


def range_activations(*, search: bool, rate: float) -> Callable[[Trainer], None]:
    """Give Q's activations ranges that are not those of the calibration."""

    def twist(trainer: Trainer) -> None:
        quantizers = activations_of(trainer)
        shares = best_activation_shares(trainer) if search else [1.0] * len(quantizers)
        for quantizer, share in zip(quantizers, shares, strict=True):
            quantizer.__class__ = RangedActivation
            assert isinstance(quantizer, RangedActivation)
            quantizer.take_range(share, rate)
        begin_anew(trainer)

    return twist


def both(*twists: Callable[[Trainer], None]) -> Callable[[Trainer], None]:
    """One twist after the other."""

    def twist(trainer: Trainer) -> None:
        for each in twists:
            each(trainer)

    return twist


def mask_activations(trainer: Trainer) -> None:
    """Let clipped activations pass no gradient."""
    for quantizer in activations_of(trainer):
        quantizer.__class__ = MaskedActivation
    begin_anew(trainer)


def distil_features(weight: float, *, last_alone: bool) -> Callable[[Trainer], None]:
    """Q also learns what P's BatchNorm layers put out, in units of each one's spread."""

    def twist(trainer: Trainer) -> None:
        players = trainer.players
        seen: dict[str, list[Tensor]] = {"p": [], "q": []}

        def keep(name: str) -> Callable[[nn.Module, Any, Tensor], None]:
            def hook(module: nn.Module, inputs: Any, output: Tensor) -> None:
                if torch.is_grad_enabled():  # not in evaluations
                    seen[name].append(output)

            return hook

        norms = [m for m in players.p.modules() if isinstance(m, _BatchNorm)]
        layers = [layer for layer in layers_of(trainer) if layer.norm is not None]
        assert len(norms) == len(layers)
        for norm in norms:
            norm.register_forward_hook(keep("p"))
        for layer in layers:
            layer.register_forward_hook(keep("q"))
        plain = step.losses

        def with_features(*args: Any, **kwargs: Any) -> Losses:
            found = plain(*args, **kwargs)
            pairs = list(zip(seen["p"][-len(norms) :], seen["q"][-len(norms) :], strict=True))
            pairs = pairs[-1:] if last_alone else pairs
            distances = [F.mse_loss(q, p.detach()) / p.detach().var() for p, q in pairs]
            for kept in seen.values():
                kept.clear()
            return replace(found, q=found.q + weight * torch.stack(distances).mean())

        step.losses = with_features

    return twist


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


def remember(images: int, kept: int = 64) -> Callable[[Trainer], None]:
    """Q also learns from so many earlier images in each iteration."""

    def twist(trainer: Trainer) -> None:
        held: list[Tensor] = []
        plain = trainer.play
        chance = random.Random(trainer.settings.seed)

        def play() -> step.Outcome:
            outcome = plain()
            players, settings = trainer.players, trainer.settings
            held.append(outcome.images)
            del held[:-kept]
            if trainer.iteration > settings.warmup_iterations:
                count = images // settings.batch
                batch = torch.cat([chance.choice(held) for _ in range(count)])
                with torch.no_grad():
                    target = players.p(batch)
                loss = quantized_network_loss(target, players.q(batch), settings.temperature)
                gradients = step._gradients(players.optimizer_q, loss, keep_graph=False)
                step._apply(players.optimizer_q, gradients)
                trainer._follow(train_q=True)
            return outcome

        trainer.play = play  # type: ignore[method-assign]

    return twist


_SEARCHED = both(range_weights(search=True, rate=0), range_activations(search=True, rate=0))
_LEARNED = both(
    range_weights(search=True, rate=RANGE_RATE), range_activations(search=True, rate=RANGE_RATE)
)

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
    "search-weights": Idea(
        "weight ranges of least squared error, fixed after the warm-up",
        after_warmup=range_weights(search=True, rate=0),
    ),
    "search-activations": Idea(
        "activation ranges of least squared error on G's images",
        after_warmup=range_activations(search=True, rate=0),
    ),
    "search": Idea("both ranges of least squared error", after_warmup=_SEARCHED),
    "learn-from-minmax": Idea(
        "ranges learned, from minimum and maximum",
        after_warmup=both(
            range_weights(search=False, rate=RANGE_RATE),
            range_activations(search=False, rate=RANGE_RATE),
        ),
    ),
    "learn": Idea("ranges learned, from those of least squared error", after_warmup=_LEARNED),
    "mask": Idea("no gradient through clipped activations", after_warmup=mask_activations),
    "features": Idea(
        "all BatchNorm outputs distilled", at_start=distil_features(100, last_alone=False)
    ),
    "last-features": Idea(
        "the last BatchNorm's distilled", at_start=distil_features(100, last_alone=True)
    ),
    "mix": Idea("half of the images between two classes", at_start=mix_classes(0.5)),
    "remember": Idea("32 earlier images in each of Q's moves", at_start=remember(32)),
}


def play(
    network: str, bits: int, preset: str, names: str, seed: int, given: dict[str, Any]
) -> None:
    """One run with the ideas `names`, joined by `+`; prints and keeps what it saw."""
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
    row = {
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
    print("\t".join(f"{row[name]}" for name in COLUMNS), flush=True)
    new = not RESULTS.exists()
    with RESULTS.open("a", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        if new:
            writer.writeheader()
        writer.writerow(row)


def main(
    names: Annotated[list[str], typer.Argument(help=" · ".join(IDEAS))],
    network: Annotated[str, typer.Option()] = "fashion-resnet20",
    bits: Annotated[int, typer.Option()] = 3,
    preset: Annotated[str, typer.Option()] = "quick",
    seed: Annotated[int, typer.Option()] = 0,
    threads: Annotated[int, typer.Option()] = 1,
    changes: Assignments = None,
) -> None:
    """Play one run for each of `names`."""
    torch.set_num_threads(threads)
    for each in names:
        play(network, bits, preset, each, seed, assigned(changes))


if __name__ == "__main__":
    typer.run(main)
