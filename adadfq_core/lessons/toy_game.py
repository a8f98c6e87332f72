"""The game in the plane: two classes, a small P, its quantized twin Q, and samples to move by hand.

A toy for one lesson. Every loss and the quantization are those of the engine; only the networks are
small and G is left out: what it would make, the samples, is moved itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from adadfq_core.errors import RunFailed
from adadfq_core.game.objectives import (
    agreement_loss,
    disagreement_loss,
    margin_penalty,
    normalised_entropy,
    quantized_network_loss,
)
from adadfq_core.lessons.recorded import FOLDER
from adadfq_core.quant import quantize
from adadfq_core.settings import make_settings

WEIGHTS = "toy-p.safetensors"
EDGE = 3.0
"""The plane reaches from minus this to this along both axes."""

# What follows was chosen so that samples of the agreement end hardly change Q and others do. T and
# beta are those of the interactive preset; with a beta of 0 G stops at the first place inside the
# margin, and ten rounds from there often leave Q as far from P as it was.
SETTINGS = make_settings(
    {"weight_bits": 3, "activation_bits": 3, "temperature": 5.0, "beta": 0.2, "batch": 16}
)
_HIDDEN = 32
_SPREAD = 0.7
_LR_Q, _MOMENTUM, _STEPS_Q = 3e-4, 0.9, 15
_LR_G, _STEPS_G = 0.05, 10
_PLACES = 41


def _axis() -> Tensor:
    return torch.linspace(-EDGE, EDGE, _PLACES)


def plane() -> Tensor:
    """All places of the plane that are looked at, `(n * n, 2)`, rows of equal y together."""
    y, x = torch.meshgrid(_axis(), _axis(), indexing="ij")
    return torch.stack([x.ravel(), y.ravel()], dim=1)


def unlearned_p() -> nn.Sequential:
    """P before it has learned anything: from the plane to the logits of two classes."""
    return nn.Sequential(
        nn.Linear(2, _HIDDEN),
        nn.ReLU(),
        nn.Linear(_HIDDEN, _HIDDEN),
        nn.ReLU(),
        nn.Linear(_HIDDEN, 2),
    )


def load_p(folder: Path = FOLDER) -> nn.Module:
    """P: a small network that tells the two sides of a wavy line apart.

    Raises:
        RunFailed: its weights are missing or damaged.
    """
    p = unlearned_p()
    try:
        p.load_state_dict(load_file(folder / WEIGHTS))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise RunFailed(
            f"The toy network '{WEIGHTS}' cannot be read ({error}); put back the file of this "
            "version."
        ) from error
    return p.eval().requires_grad_(False)


@dataclass(frozen=True, eq=False)
class View:
    """The plane as it stands; `n` places along each axis.

    Attributes:
        axis: `(n,)`, the places' coordinates along x and along y.
        h_prime: `(n, n)`, H' of each place, rows of equal y; its zero is the place or sample on
            which P and Q disagree most.
        p_lead, q_lead: `(n, n)`, how far the second class leads in logits; 0 on the boundary.
        samples: `(B, 2)`.
        sample_h_prime: `(B,)`, on the scale of the plane.
    """

    axis: np.ndarray
    h_prime: np.ndarray
    p_lead: np.ndarray
    q_lead: np.ndarray
    samples: np.ndarray
    sample_h_prime: np.ndarray

    @property
    def inside(self) -> np.ndarray:
        """`(B,)`: which samples lie inside the margin."""
        return (self.sample_h_prime >= SETTINGS.lambda_l) & (
            self.sample_h_prime <= SETTINGS.lambda_u
        )


class ToyGame:
    """A game against Q: place samples or let them move, then let Q learn from them.

    Attributes:
        inside: for each time that Q has learned, how many samples then lay inside the margin.
        disagreement: share of the plane's places, in percent, to which P and Q give different
            answers: at the start and after each lesson.
    """

    def __init__(self, p: nn.Module) -> None:
        self._p = p
        self._plane = plane()
        with torch.no_grad():
            self._p_plane: Tensor = p(self._plane)
        self._q = quantize(p, SETTINGS.weight_bits, SETTINGS.activation_bits, self._plane)
        self._q.requires_grad_(True)
        with torch.no_grad(), self._q.observing_ranges():
            self._q(self._plane)
        self._optimizer = torch.optim.SGD(
            self._q.parameters(), lr=_LR_Q, momentum=_MOMENTUM, nesterov=True
        )
        seeded = torch.Generator().manual_seed(0)
        self._cloud = _SPREAD * torch.randn(SETTINGS.batch, 2, generator=seeded)
        self._labels = torch.arange(SETTINGS.batch) % 2
        self._samples = torch.zeros(SETTINGS.batch, 2)
        self.place(0.0, 0.0)
        self.inside: list[int] = []
        self.disagreement = [self._measured()]

    def place(self, x: float, y: float) -> None:
        """Put the cloud of samples around (`x`, `y`), none of them beyond the plane's edge."""
        self._samples = (self._cloud + torch.tensor([x, y], dtype=torch.float32)).clamp(-EDGE, EDGE)

    def move_g(self) -> None:
        """Let the optimizer move each sample by itself, down G's loss without `L_BNS`."""
        with torch.no_grad():
            elsewhere = self._p_plane - self._q(self._plane)
        samples = self._samples.clone().requires_grad_(True)
        optimizer = torch.optim.Adam([samples], lr=_LR_G, betas=(0.5, 0.999))
        for _ in range(_STEPS_G):
            p_logits, q_logits = self._p(samples), self._q(samples)
            # The plane's places only set the scale of H', as they do in the picture.
            h_prime = normalised_entropy(torch.cat([p_logits - q_logits, elsewhere]))
            balance = SETTINGS.alpha_ds * disagreement_loss(p_logits, q_logits, self._labels)
            balance = balance + SETTINGS.alpha_as * agreement_loss(p_logits, q_logits, self._labels)
            margin = margin_penalty(h_prime[: len(samples)], SETTINGS.lambda_l, SETTINGS.lambda_u)
            (samples.grad,) = torch.autograd.grad(margin + SETTINGS.beta * balance, [samples])
            optimizer.step()
            with torch.no_grad():
                samples.clamp_(-EDGE, EDGE)
        self._samples = samples.detach()

    def learn_q(self) -> None:
        """Let Q take a few steps down `L_Q` on the samples, and measure the plane again."""
        self.inside.append(int(self.view().inside.sum()))
        with torch.no_grad():
            p_logits = self._p(self._samples)
        for _ in range(_STEPS_Q):
            self._optimizer.zero_grad()
            loss = quantized_network_loss(p_logits, self._q(self._samples), SETTINGS.temperature)
            torch.autograd.backward(loss)
            self._optimizer.step()
        self.disagreement.append(self._measured())

    @torch.no_grad()
    def view(self) -> View:
        """What there is to see now."""
        q_plane = self._q(self._plane)
        differences = self._p(self._samples) - self._q(self._samples)
        h_prime = normalised_entropy(torch.cat([differences, self._p_plane - q_plane]))
        count = len(self._samples)

        def square(values: Tensor) -> np.ndarray:
            return values.reshape(_PLACES, _PLACES).numpy()

        return View(
            axis=_axis().numpy(),
            h_prime=square(h_prime[count:]),
            p_lead=square(self._p_plane[:, 1] - self._p_plane[:, 0]),
            q_lead=square(q_plane[:, 1] - q_plane[:, 0]),
            samples=self._samples.numpy().copy(),
            sample_h_prime=h_prime[:count].numpy(),
        )

    @torch.no_grad()
    def _measured(self) -> float:
        differs = self._p_plane.argmax(1) != self._q(self._plane).argmax(1)
        return 100 * float(differs.double().mean())
