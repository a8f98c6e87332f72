from __future__ import annotations

import torch

from adadfq_core.runs.recorder import SHEET_BYTES, SHEET_IMAGES, sheet_samples


def test_a_small_batch_is_kept_whole_and_sorted_by_class() -> None:
    labels = torch.tensor([2, 0, 1, 0])
    assert sheet_samples(labels, (1, 28, 28)).tolist() == [1, 3, 2, 0]


def test_of_a_large_batch_every_class_is_kept() -> None:
    labels = torch.arange(1000) % 10
    kept = sheet_samples(labels, (3, 32, 32))
    assert len(kept) == len(set(kept.tolist())) == SHEET_IMAGES
    assert set(labels[kept].tolist()) == set(range(10))
    assert labels[kept].tolist() == sorted(labels[kept].tolist())


def test_of_large_images_a_few_megabytes_are_kept() -> None:
    labels = torch.arange(64)
    kept = sheet_samples(labels, (3, 224, 224))
    assert 1 < len(kept) < 64 and len(kept) * 3 * 224 * 224 <= SHEET_BYTES
    assert len(sheet_samples(labels, (3, 4096, 4096))) == 1
