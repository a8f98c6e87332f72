"""Supervised training of the bundled full-precision networks P."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from adadfq_core.files import replace_atomically
from adadfq_core.training.evaluation import top1
from adadfq_core.zoo.networks import SmallResNet


@dataclass(frozen=True)
class Recipe:
    """Supervised recipe of a bundled network. Learning rates are per step, sizes in pixels.

    Chosen for two CPU cores: bfloat16 autocast with channels-last halves an epoch's time, and
    the accuracy of the last epoch is kept (no choice by test accuracy).
    """

    epochs: int = 45
    batch: int = 128
    peak_learning_rate: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4
    warmup_epochs: float = 2.0
    crop_padding: int = 2
    horizontal_flip: bool = True
    cutout: int = 0
    label_smoothing: float = 0.0
    seed: int = 0


@dataclass(frozen=True)
class EpochReport:
    """What one epoch of pretraining brought: epochs done, mean loss in nats, top-1 in percent."""

    epoch: int
    epochs: int
    loss: float
    top1: float
    seconds: float


def random_crops(images: Tensor, size: int, generator: torch.Generator) -> Tensor:
    """One `size` x `size` crop per image of `(B, C, H, W)`, at uniformly random offsets."""
    batch, _, height, width = images.shape
    top = torch.randint(0, height - size + 1, (batch, 1, 1), generator=generator)
    left = torch.randint(0, width - size + 1, (batch, 1, 1), generator=generator)
    rows = top + torch.arange(size).view(1, size, 1)
    columns = left + torch.arange(size).view(1, 1, size)
    index = torch.arange(batch).view(batch, 1, 1)
    return images[index, :, rows, columns].permute(0, 3, 1, 2)


def cut_squares_out(images: Tensor, size: int, value: float, generator: torch.Generator) -> Tensor:
    """`images` `(B, C, H, W)` with one `size` x `size` square of each set to `value`.

    The square's centre is uniform over the image, so it may reach over the border (DeVries and
    Taylor, arXiv 1708.04552).
    """
    batch, _, height, width = images.shape
    top = torch.randint(0, height, (batch, 1, 1, 1), generator=generator) - size // 2
    left = torch.randint(0, width, (batch, 1, 1, 1), generator=generator) - size // 2
    rows, columns = torch.arange(height).view(1, 1, -1, 1), torch.arange(width).view(1, 1, 1, -1)
    inside = (rows >= top) & (rows < top + size) & (columns >= left) & (columns < left + size)
    return images.masked_fill(inside, value)


def augmented_batches(
    images: Tensor, labels: Tensor, recipe: Recipe, generator: torch.Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    """One shuffled epoch of augmented batches; the incomplete last batch is left out."""
    size = images.shape[-1]
    padding = recipe.crop_padding
    padded = F.pad(images, (padding,) * 4, value=float(images.min()))
    order = torch.randperm(len(images), generator=generator)
    for start in range(0, len(images) - recipe.batch + 1, recipe.batch):
        chosen = order[start : start + recipe.batch]
        crops = random_crops(padded[chosen], size, generator)
        if recipe.horizontal_flip:
            flip = torch.rand(len(crops), generator=generator) < 0.5
            crops = torch.where(flip.view(-1, 1, 1, 1), crops.flip(-1), crops)
        if recipe.cutout:
            crops = cut_squares_out(crops, recipe.cutout, 0.0, generator)
        yield crops.contiguous(memory_format=torch.channels_last), labels[chosen]


def _learning_rate(recipe: Recipe, progress_epochs: float) -> float:
    """Linear warm-up, then a half cosine to zero."""
    if progress_epochs < recipe.warmup_epochs:
        return recipe.peak_learning_rate * (progress_epochs + 1e-3) / recipe.warmup_epochs
    fraction = (progress_epochs - recipe.warmup_epochs) / (recipe.epochs - recipe.warmup_epochs)
    return 0.5 * recipe.peak_learning_rate * (1 + math.cos(math.pi * min(fraction, 1.0)))


def pretrain(
    network: SmallResNet,
    train: tuple[Tensor, Tensor],
    test: tuple[Tensor, Tensor],
    recipe: Recipe,
    checkpoint: Path,
    report: Callable[[EpochReport], None],
    compiled: bool = False,
) -> float:
    """Train `network` in place, resuming from `checkpoint` where that file exists.

    Args:
        train, test: normalised float images `(N, C, H, W)` with labels `(N,)`.
        checkpoint: written after every epoch, to a temporary name that is then renamed.
        report: called after every epoch.
        compiled: train through `torch.compile`, which needs a C++ compiler.

    Returns:
        top-1 accuracy in percent on `test` after the last epoch.
    """
    torch.manual_seed(recipe.seed)
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear | nn.BatchNorm2d):
            module.reset_parameters()
    network.to(memory_format=torch.channels_last)
    decayed = [p for p in network.parameters() if p.ndim > 1]
    free = [p for p in network.parameters() if p.ndim <= 1]
    groups: list[dict[str, Any]] = [
        {"params": decayed, "weight_decay": recipe.weight_decay},
        {"params": free},
    ]
    optimizer = torch.optim.SGD(
        groups,
        lr=recipe.peak_learning_rate,
        momentum=recipe.momentum,
        nesterov=True,
    )
    generator = torch.Generator().manual_seed(recipe.seed)
    first = 0
    accuracy = 0.0
    if checkpoint.exists():
        state: dict[str, Any] = torch.load(checkpoint, weights_only=True)
        network.load_state_dict(state["network"])
        optimizer.load_state_dict(state["optimizer"])
        generator.set_state(state["generator"])
        first, accuracy = state["epoch"], state["top1"]
    steps = len(train[0]) // recipe.batch
    forward = torch.compile(network) if compiled else network
    for epoch in range(first, recipe.epochs):
        began = time.monotonic()
        network.train()
        total = torch.zeros(())
        for step, (x, y) in enumerate(augmented_batches(*train, recipe, generator)):
            for group in optimizer.param_groups:
                group["lr"] = _learning_rate(recipe, epoch + step / steps)
            with torch.autocast("cpu", torch.bfloat16):
                logits = forward(x)
            loss = F.cross_entropy(logits.float(), y, label_smoothing=recipe.label_smoothing)
            optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            optimizer.step()
            total += loss.detach()
        accuracy = top1(network.eval(), *test)
        state = {
            "network": network.state_dict(),
            "optimizer": optimizer.state_dict(),
            "generator": generator.get_state(),
            "epoch": epoch + 1,
            "top1": accuracy,
            "recipe": asdict(recipe),
        }
        with replace_atomically(checkpoint) as temporary:
            torch.save(state, temporary)
        report(
            EpochReport(
                epoch + 1, recipe.epochs, float(total) / steps, accuracy, time.monotonic() - began
            )
        )
    return accuracy
