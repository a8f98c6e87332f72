from __future__ import annotations

from pathlib import Path

import pytest
import torch

from adadfq_core.errors import InputError
from adadfq_core.home import ASSETS
from adadfq_core.zoo import fashion_mnist


def test_the_bundled_test_split() -> None:
    images, labels = fashion_mnist.read_split(ASSETS / "data" / "fashion-mnist", "t10k")
    assert images.shape == (10_000, 1, 28, 28) and images.dtype == torch.uint8
    assert labels.bincount().tolist() == [1000] * len(fashion_mnist.CLASS_NAMES)
    scaled = images.float() / 255
    assert scaled.mean().item() == pytest.approx(fashion_mnist.MEAN[0], abs=0.005)
    assert scaled.std().item() == pytest.approx(fashion_mnist.STD[0], abs=0.005)


def test_the_class_names_are_torchvisions() -> None:
    datasets = pytest.importorskip("torchvision.datasets", reason="compares with torchvision")
    assert list(fashion_mnist.CLASS_NAMES) == datasets.FashionMNIST.classes


def test_training_images_that_are_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("torchvision.datasets", reason="comes from torchvision")
    monkeypatch.setattr(fashion_mnist, "DEBIAN_FOLDER", tmp_path / "debian")
    monkeypatch.setattr(datasets.FashionMNIST, "mirrors", [tmp_path.as_uri() + "/"])
    with pytest.raises(InputError, match="install the Debian package dataset-fashion-mnist"):
        fashion_mnist.find_training_images(tmp_path / "download")
