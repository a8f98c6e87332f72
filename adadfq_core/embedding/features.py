"""Penultimate-layer features of a network, as its forward passes go by."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from adadfq_core.errors import InputError


class PenultimateFeatures:
    """Keeps the input of a network's last linear layer from its latest forward pass.

    Args:
        network: any network with a linear layer; a hook stays on it until `remove`.

    Raises:
        InputError: the network has no linear layer.
    """

    def __init__(self, network: nn.Module) -> None:
        heads = [module for module in network.modules() if isinstance(module, nn.Linear)]
        if not heads:
            raise InputError(
                f"{type(network).__name__} has no linear layer, so it has no penultimate features."
            )
        self._latest = torch.zeros(0)
        self._hook = heads[-1].register_forward_pre_hook(self._keep)

    def _keep(self, _layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        self._latest = inputs[0].detach()

    def latest(self) -> Tensor:
        """Features `(B, D)` of the latest forward pass."""
        return self._latest

    def remove(self) -> None:
        """Take the hook off the network."""
        self._hook.remove()


@torch.inference_mode()
def real_features(network: nn.Module, images: Tensor, batch: int = 250) -> Tensor:
    """Penultimate features `(N, D)` of normalised images `(N, C, H, W)`, on the CPU."""
    tap = PenultimateFeatures(network)
    try:
        parts = []
        for part in torch.split(images, batch):
            network(part)
            parts.append(tap.latest().cpu())
        return torch.cat(parts)
    finally:
        tap.remove()
