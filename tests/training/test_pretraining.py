from __future__ import annotations

from pathlib import Path

import pytest
import torch

from adadfq_core.training.pretraining import (
    EpochReport,
    Recipe,
    augmented_batches,
    cut_squares_out,
    pretrain,
)
from adadfq_core.zoo.networks import SmallResNet

TINY = Recipe(epochs=2, batch=8, warmup_epochs=0.5)


def pictures(count: int = 24) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(count) % 2
    images = torch.randn(count, 1, 8, 8, generator=generator) + labels.view(-1, 1, 1, 1)
    return images, labels


def losses(recipe: Recipe, checkpoint: Path, *, compiled: bool = False) -> list[float]:
    reports: list[EpochReport] = []
    network = SmallResNet(1, 2, widths=(4, 8), blocks=(1, 1))
    pretrain(network, pictures(), pictures(8), recipe, checkpoint, reports.append, compiled)
    return [report.loss for report in reports]


@pytest.mark.parametrize("size", [1, 3, 4])
def test_one_square_of_each_image_is_cut_out_and_may_reach_over_the_border(size: int) -> None:
    images = torch.ones(400, 2, 7, 9)
    cut = cut_squares_out(images, size, -5.0, torch.Generator().manual_seed(0))
    gone = cut == -5.0
    assert torch.equal(gone[:, 0], gone[:, 1])  # all channels of a pixel
    assert torch.equal(cut[~gone], images[~gone])
    rows, columns = gone[:, 0].any(dim=2).sum(dim=1), gone[:, 0].any(dim=1).sum(dim=1)
    assert torch.equal(gone[:, 0].sum(dim=(1, 2)), rows * columns)  # a rectangle without holes
    assert rows.max() == columns.max() == size
    assert (rows.min() < size) == (columns.min() < size) == (size > 1)
    assert gone.any(dim=0).all()  # every pixel is cut out of one image or another
    assert bool((images == 1).all())


def test_a_recipe_without_cutout_draws_what_it_always_drew() -> None:
    images, labels = pictures(16)
    first = next(augmented_batches(images, labels, TINY, torch.Generator().manual_seed(3)))
    cut = next(
        augmented_batches(
            images, labels, Recipe(batch=8, cutout=4), torch.Generator().manual_seed(3)
        )
    )
    assert torch.equal(first[1], cut[1])
    changed = cut[0] != first[0]
    assert changed.any() and bool((cut[0][changed] == 0).all())
    assert not bool((first[0] == 0).any())


def test_smoothed_labels_keep_the_loss_above_their_entropy(tmp_path: Path) -> None:
    plain = losses(Recipe(epochs=12, batch=8, warmup_epochs=0.5), tmp_path / "plain.pt")
    smooth = losses(
        Recipe(epochs=12, batch=8, warmup_epochs=0.5, label_smoothing=0.4), tmp_path / "smooth.pt"
    )
    # Targets 0.8 and 0.2, whose entropy no answer can undercut.
    entropy = -(0.8 * torch.tensor(0.8).log() + 0.2 * torch.tensor(0.2).log()).item()
    assert min(smooth) > entropy > plain[-1]


@pytest.mark.slow
def test_a_compiled_network_learns_the_same(tmp_path: Path) -> None:
    plain = losses(TINY, tmp_path / "plain.pt")
    assert losses(TINY, tmp_path / "fast.pt", compiled=True) == pytest.approx(plain, rel=0.02)
