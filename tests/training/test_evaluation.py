from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from adadfq_core.training.evaluation import predictions, top1


class FirstPixels(nn.Module):
    """Logits are the first pixels of the image."""

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1)[:, :3]


@pytest.mark.parametrize("count", [1, 250, 501, 1000])
def test_every_image_counts_once(count: int) -> None:
    images = torch.randn(count, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    expected = images.flatten(1)[:, :3].argmax(1)
    calls = []
    found = predictions(FirstPixels(), images, lambda: calls.append(1))
    assert torch.equal(found, expected)
    assert len(calls) == -(-count // 250)
    labels = expected.clone()
    assert top1(FirstPixels(), images, labels) == 100
    labels[-1] = (labels[-1] + 1) % 3
    assert top1(FirstPixels(), images, labels) == pytest.approx(100 * (count - 1) / count)


def test_an_exception_between_batches_ends_it() -> None:
    def stop() -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        top1(FirstPixels(), torch.randn(600, 1, 2, 2), torch.zeros(600, dtype=torch.int64), stop)
