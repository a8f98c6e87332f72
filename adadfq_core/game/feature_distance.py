"""How far what Q's BatchNorm layers put out is from what P's do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from adadfq_core.game.terms import mean_of_terms
from adadfq_core.quant.network import QuantizedNetwork
from adadfq_core.quant.operations import is_batchnorm


def feature_distance(p_features: Tensor, q_features: Tensor) -> Tensor:
    """Mean squared difference in units of the variance of `p_features`, a scalar.

    The hint of Romero et al., FitNets (arXiv 1412.6550), equation 3, without a regressor, as both
    networks have the same layers; the unit makes layers of different scales count alike.

    Args:
        p_features, q_features: of one shape; only `q_features` get a gradient.
    """
    target = p_features.detach()
    # Features that are all the same have no unit; they then count as they are.
    variance = target.var()
    return F.mse_loss(q_features, target) / torch.where(variance > 0, variance, 1.0)


class FeatureDistance:
    """The mean of `feature_distance` over the BatchNorm layers of both networks.

    A layer that is used twice counts twice. `layers` is empty, and the distance 0, where P has no
    BatchNorm with stored statistics.
    """

    def __init__(self, p: nn.Module, q: QuantizedNetwork) -> None:
        self.layers = [name for name, module in p.named_modules() if is_batchnorm(module)]
        self._pairs = [(p.get_submodule(name), q.normalised(name)) for name in self.layers]
        self._p = p
        self._seen: list[tuple[list[Tensor], list[Tensor]]] = [([], []) for _ in self._pairs]

    @contextmanager
    def compared(self) -> Iterator[None]:
        """Within it, what forward passes put out is kept for `collect`."""
        # No longer, as Q is copied and exported outside.
        hooks = [
            module.register_forward_hook(_keeping(outputs))
            for pair, seen in zip(self._pairs, self._seen, strict=True)
            for module, outputs in zip(pair, seen, strict=True)
        ]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def collect(self) -> Tensor:
        """The distance of what was kept since the last call, a scalar."""
        distances: list[Tensor] = []
        for p_outputs, q_outputs in self._seen:
            distances += map(feature_distance, p_outputs, q_outputs)
            p_outputs.clear()
            q_outputs.clear()
        return mean_of_terms(distances, self._p)


def _keeping(outputs: list[Tensor]) -> Callable[[nn.Module, Any, Tensor], None]:
    return lambda module, inputs, output: outputs.append(output)
