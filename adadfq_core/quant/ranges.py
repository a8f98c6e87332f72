"""Ranges of weights and activations, always widened to contain zero."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from adadfq_core.quant.fake_quant import fake_quantize, widen_to_zero
from adadfq_core.quant.range_shares import RangeShares, fake_quantize_clipping, range_errors

MOVING_AVERAGE = 0.9


def weight_range(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Smallest and largest weight of each output channel (axis 0), widened to zero; `(out,)`."""
    low, high = weight.detach().flatten(1).aminmax(dim=1)
    return widen_to_zero(low, high)


class ActivationQuantizer(nn.Module):
    """Fake quantization of one activation call site, one range for the whole tensor.

    While `observing`, the range follows the batches' minima and maxima by an exponential moving
    average with bias correction: both sums start at 0 and are divided by `1 - 0.9^n` when read,
    never in place, so that a constant input's range is that constant from the first batch on.
    Afterwards the range is frozen, or shares of it are used (`share_ranges`). Before the first
    observed batch each batch is quantized with its own minimum and maximum. Any shape in, the same
    shape out.
    """

    average_min: Tensor
    average_max: Tensor
    batches: Tensor

    def __init__(self, bits: int) -> None:
        super().__init__()
        self.bits = bits
        self.observing = False
        self._calibrated = False
        self.shares: RangeShares | None = None
        self._errors: list[Tensor] | None = None
        self.register_buffer("average_min", torch.zeros(()))
        self.register_buffer("average_max", torch.zeros(()))
        self.register_buffer("batches", torch.zeros((), dtype=torch.int64))

    def share_ranges(self, *, learned: bool) -> None:
        """From now on use shares of the observed range."""
        self.shares = RangeShares((), self.average_min.device, learned=learned)

    def measure_errors(self) -> None:
        """From now on, note what error each share of the range would cause."""
        self._errors = []

    def take_best(self) -> None:
        """Use the share with the smallest mean squared error that was noted, and note no more."""
        errors, self._errors = self._errors, None
        if errors and self.shares is not None:
            self.shares.take_best(torch.stack(errors).mean(0))

    def range(self) -> tuple[Tensor, Tensor]:
        """The range in force, widened to zero: two scalars in units of the activation."""
        low, high = self._observed()
        if self.shares is not None:
            with torch.no_grad():
                low, high = self.shares(low, high, 1, self.bits)
        return low, high

    def _observed(self) -> tuple[Tensor, Tensor]:
        weight = 1 - MOVING_AVERAGE ** self.batches.to(torch.float64)
        weight = torch.where(self.batches > 0, weight, 1.0)
        low = (self.average_min / weight).to(self.average_min.dtype)
        high = (self.average_max / weight).to(self.average_max.dtype)
        return widen_to_zero(low, high)

    def _extremes(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Smallest and largest value of a batch, what its range is made of."""
        low, high = x.detach().aminmax()
        return low, high

    @torch.no_grad()
    def _observe(self, x: Tensor) -> None:
        low, high = (bound.to(self.average_min.dtype) for bound in self._extremes(x))
        self.average_min.lerp_(low, 1 - MOVING_AVERAGE)
        self.average_max.lerp_(high, 1 - MOVING_AVERAGE)
        self.batches += 1

    def forward(self, x: Tensor) -> Tensor:
        if self.observing:
            self._observe(x)
        # Kept once true, so that the count is not copied off the device at every pass.
        self._calibrated = self._calibrated or bool(self.batches > 0)
        if self._errors is not None:
            self._errors.append(range_errors(x, self.bits, *self._observed()))
        if not self._calibrated:
            return fake_quantize(x, self.bits, *widen_to_zero(*self._extremes(x)))
        if self.shares is None:
            return fake_quantize(x, self.bits, *self._observed())
        bounds = self.shares(*self._observed(), x[0].numel(), self.bits)
        return fake_quantize_clipping(x, self.bits, *bounds)

    def extra_repr(self) -> str:
        return f"bits={self.bits}"
