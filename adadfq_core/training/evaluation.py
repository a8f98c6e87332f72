"""Accuracy of a network on labelled images."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

EVALUATION_BATCH = 250


@torch.inference_mode()
def predictions(
    network: nn.Module, images: Tensor, between_batches: Callable[[], None] | None = None
) -> Tensor:
    """Most likely class `(N,)` of each normalised image `(N, C, H, W)`.

    Args:
        between_batches: called after every batch, so that a long evaluation can keep its caller
            alive; an exception from it ends the evaluation.
    """
    parts = []
    for batch in torch.split(images, EVALUATION_BATCH):
        parts.append(network(batch).argmax(1))
        if between_batches is not None:
            between_batches()
    return torch.cat(parts)


def top1(
    network: nn.Module,
    images: Tensor,
    labels: Tensor,
    between_batches: Callable[[], None] | None = None,
) -> float:
    """Top-1 accuracy in percent on normalised images `(N, C, H, W)` with labels `(N,)`.

    `network` is used in the mode it is in. See `predictions` for `between_batches`.
    """
    hits = predictions(network, images, between_batches) == labels
    return 100.0 * int(hits.sum()) / len(labels)
