"""Top-1 accuracy with its confidence interval, and how often two networks answer the same."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

# 97.5 % quantile of the normal distribution: 2.5 % are left out at either end.
_Z = 1.959964


@dataclass(frozen=True)
class Accuracy:
    """How many of some images a network classed right."""

    correct: int
    images: int

    @property
    def top1(self) -> float:
        """Top-1 in percent."""
        return 100 * self.correct / self.images

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % confidence interval of `top1`, in percent (Wilson, JASA 22, 1927)."""
        share, n = self.correct / self.images, self.images
        centre = share + _Z**2 / (2 * n)
        half = _Z * math.sqrt(share * (1 - share) / n + _Z**2 / (4 * n**2))
        whole = 1 + _Z**2 / n
        # Round-off may lead past an end that the interval touches.
        return max(0.0, 100 * (centre - half) / whole), min(100.0, 100 * (centre + half) / whole)


def accuracy(logits: Tensor, labels: Tensor) -> Accuracy:
    """Of logits `(N, C)` against classes `(N,)`, N at least 1."""
    return Accuracy(int((logits.argmax(1) == labels).sum()), len(labels))


@dataclass(frozen=True)
class Agreement:
    """How alike the logits of two networks for the same images are.

    Attributes:
        same: images of which both predict the same class.
        images: all.
        largest_difference: of a logit.
    """

    same: int
    images: int
    largest_difference: float

    @property
    def percent(self) -> float:
        """Images with the same prediction in percent."""
        return 100 * self.same / self.images


def agreement(first: Tensor, second: Tensor) -> Agreement:
    """Of two networks' logits `(N, C)`, N at least 1."""
    same = int((first.argmax(1) == second.argmax(1)).sum())
    return Agreement(same, len(first), float(torch.abs(first - second).max()))
