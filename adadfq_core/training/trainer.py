"""A run's state and its progress, one iteration at a time."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from adadfq_core.bit_overrides import parse_bit_overrides
from adadfq_core.errors import InputError
from adadfq_core.game.batchnorm_loss import BatchNormStatisticsLoss
from adadfq_core.game.feature_distance import FeatureDistance
from adadfq_core.game.generator import Generator
from adadfq_core.game.step import (
    Look,
    Outcome,
    Players,
    Turn,
    imagine,
    look_at,
    prepare_turn,
)
from adadfq_core.quant.capture import capture
from adadfq_core.quant.convert import quantize_graph
from adadfq_core.quant.network import QuantizedNetwork
from adadfq_core.settings import REAL_IMAGES_MISSING, RunSettings
from adadfq_core.training.replay import ReplayMemory
from adadfq_core.training.schedules import learning_rate_factor
from adadfq_core.zoo.evaluation_data import EvaluationData

# For the mean of the last layer, of which every image gives one sample a channel.
RECALIBRATION_BATCHES = 16


@dataclass(frozen=True)
class HalfMove:
    """One player's move, looked at before and after.

    Attributes:
        player: "g" or "q".
        outcome: what both players saw before either moved.
        before, after: for G's move the images that the same noise gives, for Q's its answers to
            the same images.
        value_before, value_after: the game's value `H(theta_g, theta_q)`, the mean H' of the
            images that G makes (or of the real ones in their place), around the move; scalars.
        milliseconds: what the move took, without the looks before and after it: the two moves
            of an iteration take what it takes when it is played at once. G's includes the
            gradients of both players.
    """

    player: Literal["g", "q"]
    outcome: Outcome
    before: Look
    after: Look
    value_before: Tensor
    value_after: Tensor
    milliseconds: float


class Trainer:
    """The game between G and Q against a frozen P, resumable at every iteration.

    The same settings give the same numbers on the same CPU and thread count; a trainer that
    loads another's `state_dict` continues bit for bit as that one would.

    Args:
        settings: see `RunSettings`; `change` replaces it during the run.
        network: P, whatever `quant.capture` can capture; it is not changed.
        image_shape: `(channels, height, width)` of P's input.
        num_classes: C.
        device: where everything lives.
        real: what Q learns from where the method has no generator, on `device`; else not used.

    Raises:
        InputError: the network does not fit the images or the classes, or the method needs real
            images and there are none.
    """

    def __init__(
        self,
        settings: RunSettings,
        network: nn.Module,
        image_shape: tuple[int, int, int],
        num_classes: int,
        device: torch.device,
        real: EvaluationData | None = None,
    ) -> None:
        if real is None and not settings.has_generator:
            raise InputError(REAL_IMAGES_MISSING)
        self._real = real
        self.iteration = 0
        self.num_classes = num_classes
        self.device = device
        network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        example = _example(image_shape, settings.seed).to(device)
        p = capture(network, example)
        p.requires_grad_(False)
        _check_logits(p, example, num_classes)
        q = quantize_graph(
            p,
            settings.weight_bits,
            settings.activation_bits,
            parse_bit_overrides(settings.bit_overrides),
        )
        if settings.ranges != "minmax":
            q.share_ranges(learned=settings.ranges == "learned")
        q.requires_grad_(True)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)
            generator = Generator(
                num_classes,
                image_shape,
                settings.latent_dim,
                settings.generator_width,
                class_shift=settings.class_shift,
            )
        generator = generator.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.players = Players(
            p=p,
            q=q,
            generator=generator,
            batchnorm_loss=BatchNormStatisticsLoss(p),
            optimizer_g=torch.optim.Adam(
                generator.parameters(),
                lr=settings.lr_g,
                betas=(settings.adam_beta1, settings.adam_beta2),
                fused=True,
            ),
            optimizer_q=torch.optim.SGD(
                q.parameters(),
                lr=settings.lr_q,
                momentum=settings.q_momentum,
                nesterov=settings.q_momentum > 0,
                weight_decay=settings.q_weight_decay,
                fused=True,
            ),
            features=FeatureDistance(p, q) if settings.feature_weight else None,
        )
        self.settings = self._possible(settings)
        self._average = copy.deepcopy(q).requires_grad_(False)
        self._memory = ReplayMemory(settings.replay, device) if settings.replay else None
        # On the CPU whatever the device: one stream of numbers for every machine.
        self._random = torch.Generator().manual_seed(settings.seed)

    @property
    def warming_up(self) -> bool:
        """Whether the next iteration belongs to the warm-up, in which G alone learns."""
        return self.iteration < self.settings.warmup_iterations

    @property
    def finished(self) -> bool:
        """Whether all iterations are done."""
        return self.iteration >= self.settings.iterations

    def change(self, settings: RunSettings) -> None:
        """Use `settings` from the next iteration on (see `settings.change_live`)."""
        self.settings = self._possible(settings)

    @property
    def notices(self) -> list[str]:
        """What the user should know of this pair of network and settings, a sentence each."""
        told = []
        if self.settings.has_generator and not self.players.batchnorm_loss.layers:
            told.append(
                "P has no BatchNorm with stored statistics, so gamma is forced to 0 and nothing "
                "ties the generated images to the training data but P's logits."
            )
        if self.settings.adaptive_batchnorm and not self.players.batchnorm_loss.layers:
            told.append(
                "P has no BatchNorm with stored statistics, so adaptive_batchnorm changes nothing."
            )
        if self.players.features and not self.players.features.layers:
            told.append(
                "P has no BatchNorm with stored statistics, so feature_weight changes nothing."
            )
        if self.settings.activation_clipping and not self.settings.has_generator:
            told.append("There is no generator, so activation_clipping changes nothing.")
        left = [r for r in self.players.q.coverage.left_alone if r.part == "weights"]
        if left:
            names = ", ".join(f"{row.name} ({row.reason})" for row in left[:3])
            more = f" and {len(left) - 3} more" if len(left) > 3 else ""
            told.append(f"Left in float: {names}{more}.")
        return told

    def _possible(self, settings: RunSettings) -> RunSettings:
        """`settings` with gamma 0 where P has nothing that it could weigh."""
        if self.players.batchnorm_loss.layers:
            return settings
        return settings.model_copy(update={"gamma": 0.0})

    @property
    def learning_rates(self) -> tuple[float, float]:
        """G's and Q's learning rates of the latest iteration, schedule included.

        0 for a G that has no part in the game.
        """
        players = self.players
        rates = [o.param_groups[0]["lr"] for o in (players.optimizer_g, players.optimizer_q)]
        return rates[0] if self.settings.has_generator else 0.0, rates[1]

    def play(self) -> Outcome:
        """Play the next iteration and count it."""
        turn, _, _ = self._begin()
        outcome = turn.play()
        self._end(outcome)
        return outcome

    def play_halves(self) -> Iterator[HalfMove]:
        """The next iteration as G's move and then Q's, each told before the next is made.

        In the warm-up Q's move changes nothing; a method without a generator has Q's move alone.
        It leads to the same state, bit for bit, as `play`, and must be run to its end.
        """
        players = self.players
        began = time.perf_counter()
        turn, noise, labels = self._begin()
        seen = turn.outcome
        before = Look(seen.images, seen.p_logits, seen.q_logits, seen.h_prime)
        value, images = before.h_prime.mean(), before.images
        if noise is not None:
            turn.move_g()
            took = time.perf_counter() - began
            made = look_at(players, imagine(players, noise, labels))
            changed = made.h_prime.mean()
            yield HalfMove("g", seen, before, made, value, changed, took * 1e3)
            value, images = changed, made.images
            began = time.perf_counter()
        turn.move_q()
        self._end(seen)
        took = time.perf_counter() - began
        changed = look_at(players, images).h_prime.mean()
        # Last, so that whoever taps P's features finds those of this iteration's images.
        answered = look_at(players, seen.images)
        yield HalfMove("q", seen, before, answered, value, changed, took * 1e3)

    def _begin(self) -> tuple[Turn, Tensor | None, Tensor]:
        """The next iteration's turn, before anyone has moved, with G's noise and the classes.

        There is no noise where the images are real.
        """
        settings = self.settings
        factor = learning_rate_factor(settings, self.iteration)
        _set_learning_rate(self.players.optimizer_g, settings.lr_g * factor)
        _set_learning_rate(self.players.optimizer_q, settings.lr_q * factor)
        noise = None
        if settings.has_generator:
            noise, labels = self._noise()
            images = self.players.generator(noise, labels)
        else:
            images, labels = self._real_batch()
        train_q = not self.warming_up
        replayed = self._memory.draw(self._random) if self._memory and train_q else None
        turn = prepare_turn(
            self.players, images, labels, settings, train_q=train_q, replayed=replayed
        )
        return turn, noise, labels

    def _noise(self) -> tuple[Tensor, Tensor]:
        """What G makes a batch from: noise `(B, latent_dim)` and classes `(B,)`."""
        settings = self.settings
        noise = torch.randn(settings.batch, settings.latent_dim, generator=self._random)
        labels = torch.randint(self.num_classes, (settings.batch,), generator=self._random)
        return noise.to(self.device), labels.to(self.device)

    def _real_batch(self) -> tuple[Tensor, Tensor]:
        """Real images `(B, channels, H, W)`, drawn with replacement, and their classes `(B,)`."""
        assert self._real is not None
        shape = (self.settings.batch,)
        chosen = torch.randint(len(self._real.labels), shape, generator=self._random)
        chosen = chosen.to(self.device)
        return self._real.images[chosen], self._real.labels[chosen]

    def _end(self, outcome: Outcome) -> None:
        if self._memory:
            self._memory.add(outcome)
        self._follow(not self.warming_up)
        self.iteration += 1
        if self.iteration == self.settings.warmup_iterations:
            self._recalibrate()

    def _recalibrate(self) -> None:
        """Let Q make up for what quantization changed of its means, as the settings ask for it."""
        settings, q = self.settings, self.players.q
        if settings.ranges != "minmax":
            with q.searching_ranges():
                self._pass_images()
        # BatchNorm last: what a bias loses in front of it then leaves its mean as well.
        if settings.bias_correction:
            with q.correcting_biases(behind_batchnorm=not settings.adaptive_batchnorm):
                self._pass_images()
        if settings.adaptive_batchnorm:
            with q.measuring_batchnorm():
                self._pass_images()
        self._follow(train_q=False)

    @torch.no_grad()
    def _pass_images(self) -> None:
        """Let Q answer images that no one learns from."""
        players = self.players
        for _ in range(RECALIBRATION_BATCHES):
            if self.settings.has_generator:
                images = imagine(players, *self._noise())
            else:
                images, _ = self._real_batch()
            players.q(images)

    @torch.no_grad()
    def _follow(self, train_q: bool) -> None:
        """Move the averaged Q towards Q (a copy of it before Q's first move)."""
        if not self.settings.q_average:
            return
        weight = 1 - self.settings.q_average if train_q else 1.0
        targets = [p.data for p in self.players.q.parameters()]
        torch._foreach_lerp_([p.data for p in self._average.parameters()], targets, weight)

    def quantized_network(self) -> QuantizedNetwork:
        """The network that is evaluated and exported: Q, or its moving average."""
        if not self.settings.q_average:
            return self.players.q
        for own, current in zip(self._average.buffers(), self.players.q.buffers(), strict=True):
            own.copy_(current)
        return self._average

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next iterations depend on, for `torch.save`."""
        players = self.players
        return {
            "iteration": self.iteration,
            "settings": self.settings.model_dump(),
            "q": players.q.state_dict(),
            "q_average": self._average.state_dict(),
            "generator": players.generator.state_dict(),
            "optimizer_g": players.optimizer_g.state_dict(),
            "optimizer_q": players.optimizer_q.state_dict(),
            "replay": self._memory.state_dict() if self._memory else {},
            "random": self._random.get_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a `state_dict` of a trainer with the same network and fixed settings."""
        players = self.players
        self.settings = self._possible(RunSettings.model_validate(state["settings"]))
        players.q.load_state_dict(state["q"])
        self._average.load_state_dict(state["q_average"])
        players.generator.load_state_dict(state["generator"])
        players.optimizer_g.load_state_dict(state["optimizer_g"])
        players.optimizer_q.load_state_dict(state["optimizer_q"])
        if self._memory:
            self._memory.load_state_dict(state["replay"])
        random: Tensor = state["random"]
        self._random.set_state(random.cpu())
        self.iteration = state["iteration"]


def _example(image_shape: tuple[int, int, int], seed: int) -> Tensor:
    """Two noise images: what they show does not matter, but zeros could hide a difference."""
    return torch.randn(2, *image_shape, generator=torch.Generator().manual_seed(seed))


def _check_logits(p: nn.Module, example: Tensor, num_classes: int) -> None:
    with torch.no_grad():
        shape = tuple(p(example).shape)
    if shape != (len(example), num_classes):
        raise InputError(
            f"The network gives an output of shape {shape} for {len(example)} images; for "
            f"{num_classes} classes it must be ({len(example)}, {num_classes})."
        )


def _set_learning_rate(optimizer: torch.optim.Optimizer, value: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = value
