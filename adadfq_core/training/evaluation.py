"""Accuracy of a network on labelled images."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

import torch
from torch import Tensor, nn

EVALUATION_BATCH = 250


class Images(Protocol):
    """Normalised images `(N, C, H, W)` that are taken out by slices, as a tensor's are."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: slice) -> Tensor: ...


def answers(
    network: Callable[[Tensor], Tensor],
    images: Images,
    between_batches: Callable[[], None] | None = None,
) -> Iterator[tuple[slice, Tensor]]:
    """Logits `(n, classes)` of normalised images `(N, C, H, W)`, and which images they are of.

    Args:
        between_batches: called after every batch, so that a long evaluation can keep its caller
            alive; an exception from it ends the evaluation.
    """
    for start in range(0, len(images), EVALUATION_BATCH):
        part = slice(start, start + EVALUATION_BATCH)
        yield part, network(images[part])
        if between_batches is not None:
            between_batches()


@torch.inference_mode()
def predictions(
    network: nn.Module, images: Images, between_batches: Callable[[], None] | None = None
) -> Tensor:
    """Most likely class `(N,)` of each normalised image `(N, C, H, W)`.

    See `answers` for `between_batches`.
    """
    parts = [logits.argmax(1) for _, logits in answers(network, images, between_batches)]
    return torch.cat(parts)


def top1(
    network: nn.Module,
    images: Images,
    labels: Tensor,
    between_batches: Callable[[], None] | None = None,
) -> float:
    """Top-1 accuracy in percent on normalised images `(N, C, H, W)` with labels `(N,)`.

    `network` is used in the mode it is in. See `answers` for `between_batches`.
    """
    return percent_right(predictions(network, images, between_batches), labels)


def percent_right(classes: Tensor, labels: Tensor) -> float:
    """How many of `classes` `(N,)` are those of `labels` `(N,)`, in percent."""
    return 100.0 * int((classes == labels).sum()) / len(labels)
