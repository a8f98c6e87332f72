"""Penultimate-layer features of a network, as its forward passes go by."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor, fx, nn

from adadfq_core.errors import InputError
from adadfq_core.quant.layers import QuantizedLayer
from adadfq_core.quant.operations import WEIGHTED


class PenultimateFeatures:
    """Keeps what a network's last layer with weights reads in its latest forward pass.

    Maps in front of a convolutional head are averaged over their area.

    Args:
        network: captured by `quant.capture`, or the graph of a quantized network; a hook stays on
            it until `remove`.

    Raises:
        InputError: the network has no convolution or linear layer.
    """

    def __init__(self, network: fx.GraphModule) -> None:
        modules = dict(network.named_modules())
        called = [modules[str(n.target)] for n in network.graph.nodes if n.op == "call_module"]
        heads = [module for module in called if isinstance(module, (*WEIGHTED, QuantizedLayer))]
        if not heads:
            raise InputError(
                "The network has no convolution or linear layer, so it has no penultimate features."
            )
        self._latest = torch.zeros(0)
        self._hook = heads[-1].register_forward_pre_hook(self._keep)

    def _keep(self, _layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        features = inputs[0].detach()
        self._latest = features.flatten(2).mean(2) if features.ndim > 2 else features

    def latest(self) -> Tensor:
        """Features `(B, D)` of the latest forward pass."""
        return self._latest

    def remove(self) -> None:
        """Take the hook off the network."""
        self._hook.remove()


class Images(Protocol):
    """Normalised images `(N, C, H, W)` that are taken out by their indices."""

    def __getitem__(self, index: Tensor) -> Tensor: ...


@torch.inference_mode()
def real_features(
    network: fx.GraphModule,
    images: Images,
    chosen: Tensor,
    batch: int = 250,
    after_batch: Callable[[int], None] | None = None,
) -> Tensor:
    """Penultimate features `(n, D)` of the images with indices `chosen` `(n,)`, on the CPU.

    Args:
        after_batch: is told after every batch how many images are done; an exception from it ends
            the computation.
    """
    tap = PenultimateFeatures(network)
    try:
        parts = []
        for part in torch.split(chosen, batch):
            # A graph that was exported may take a batch of one for something else.
            network(images[part if len(part) > 1 else part.repeat(2)])
            parts.append(tap.latest()[: len(part)].cpu())
            if after_batch is not None:
                after_batch(sum(len(done) for done in parts))
        return torch.cat(parts)
    finally:
        tap.remove()
