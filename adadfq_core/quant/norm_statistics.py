"""The stored statistics of a BatchNorm, measured anew from what passes through it."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class NormStatistics:
    """Keeps a layer's running mean and variance those of all values that were taken so far.

    The statistics of several batches are those of their union (Chan et al., Updating Formulae and
    a Pairwise Algorithm for Computing Sample Variances, 1979), with the unbiased variance that
    BatchNorm stores in training.

    Args:
        norm: normalises with stored statistics of C channels (see `quant.operations`); they are
            overwritten in place.
    """

    def __init__(self, norm: nn.Module) -> None:
        mean, variance = norm.running_mean, norm.running_var
        assert isinstance(mean, Tensor) and isinstance(variance, Tensor)
        self._running_mean, self._running_var = mean, variance
        self._count = 0
        self._mean = torch.zeros_like(mean, dtype=torch.float64)
        self._squares = torch.zeros_like(self._mean)

    @torch.no_grad()
    def take(self, x: Tensor) -> None:
        """Count the values of `x`, `(B, C, ...)`, in the statistics."""
        values = x.detach().movedim(1, 0).flatten(1).to(torch.float64)
        count = values.shape[1]
        mean = values.mean(1)
        squares = (values - mean.unsqueeze(1)).square().sum(1)
        total = self._count + count
        apart = mean - self._mean
        self._squares += squares + apart.square() * (self._count * count / total)
        self._mean += apart * (count / total)
        self._count = total
        self._running_mean.copy_(self._mean)
        if total > 1:  # one value has no variance; what was stored stays
            self._running_var.copy_(self._squares / (total - 1))
