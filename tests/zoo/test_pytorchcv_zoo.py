from __future__ import annotations

import sys
import zipfile
from collections import OrderedDict
from pathlib import Path

import pytest
import torch

from adadfq_core.errors import InputError
from adadfq_core.zoo import pytorchcv_zoo
from adadfq_core.zoo.downloads import Checksum
from adadfq_core.zoo.registry import find

PAPER = {
    "resnet20_cifar10": ("CIFAR-10", (3, 32, 32), 10, 93.89),
    "resnet20_cifar100": ("CIFAR-100", (3, 32, 32), 100, 70.33),
    "resnet18": ("ImageNet-1k", (3, 224, 224), 1000, 71.47),
    "mobilenetv2_w1": ("ImageNet-1k", (3, 224, 224), 1000, 73.03),
    "resnet50": ("ImageNet-1k", (3, 224, 224), 1000, 77.73),
}


@pytest.fixture
def package() -> None:
    pytest.importorskip("pytorchcv", reason="pytorchcv is not installed (requirements-zoo.txt)")


@pytest.fixture
def no_package(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "pytorchcv"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pytorchcv", None)
    pytorchcv_zoo._table.cache_clear()
    find.cache_clear()


@pytest.mark.parametrize("short_name", PAPER)
def test_the_paper_s_pairs_are_known_without_the_package(short_name: str, no_package: None) -> None:
    entry = find(f"pytorchcv/{short_name}")
    dataset, shape, classes, top1 = PAPER[short_name]
    assert (entry.dataset, entry.images.shape, entry.top1) == (dataset, shape, top1)
    assert len(set(entry.images.classes)) == classes
    assert entry.images.resize == (256 if shape[1] == 224 else None)
    assert entry.images.mean[0] == (0.485 if shape[1] == 224 else 0.4914)
    assert entry.licence == "MIT" and not entry.weights.is_here()
    for failing in (entry.build, entry.load, entry.weights.fetch):
        with pytest.raises(InputError, match=r"pytorchcv; run 'pip install -r requirements-zoo"):
            failing()


def test_other_networks_need_the_package(no_package: None) -> None:
    with pytest.raises(InputError, match=r"needs the package pytorchcv; run 'pip install -r"):
        find("pytorchcv/resnet56_cifar10")


def test_the_paper_s_first_pair_gives_ten_logits(package: None) -> None:
    network = find("pytorchcv/resnet20_cifar10").build().eval()
    with torch.inference_mode():
        assert network(torch.zeros(2, 3, 32, 32)).shape == (2, 10)


@pytest.mark.parametrize(
    ("short_name", "dataset", "size", "resize", "classes", "top1"),
    [
        ("resnet56_cifar10", "CIFAR-10", 32, None, 10, 95.48),
        ("resnet20_svhn", "SVHN", 32, None, 10, 96.57),
        ("inceptionv3", "ImageNet-1k", 299, 342, 1000, None),
        ("efficientnet_b1", "ImageNet-1k", 240, 273, 1000, None),
    ],
)
def test_facts_of_others_come_from_the_package(
    package: None,
    short_name: str,
    dataset: str,
    size: int,
    resize: int | None,
    classes: int,
    top1: float | None,
) -> None:
    entry = find(f"pytorchcv/{short_name}")
    assert (entry.dataset, entry.images.shape) == (dataset, (3, size, size))
    assert (entry.images.resize, len(entry.images.classes)) == (resize, classes)
    assert entry.top1 == top1


def test_every_network_has_facts(package: None) -> None:
    assert len(pytorchcv_zoo.short_names()) > 500
    assert set(PAPER) < set(pytorchcv_zoo.short_names())
    for short_name in pytorchcv_zoo.short_names():
        assert find(f"pytorchcv/{short_name}").images.shape[0] == 3


@pytest.mark.parametrize("short_name", ["pspnet_resnetd50b_voc", "resnet18_cub", "resattnet56"])
def test_what_is_no_classifier_with_weights_is_refused(package: None, short_name: str) -> None:
    with pytest.raises(InputError, match=f"Unknown network 'pytorchcv/{short_name}'"):
        find(f"pytorchcv/{short_name}")


def test_loading_an_archive_with_a_tensor_too_many(
    package: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ADADFQ_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(Checksum, "matches", lambda *_: True)
    entry = find("pytorchcv/resnet20_cifar10")
    state = entry.build().state_dict()
    torch.save(OrderedDict({**state, "extra": torch.zeros(1)}), tmp_path / "weights.pth")
    folder = tmp_path / "releases" / "download" / "v0.0.163"
    folder.mkdir(parents=True)
    name = "resnet20_cifar10-0597-9b0024ac.pth"
    with zipfile.ZipFile(folder / f"{name}.zip", "w") as archive:
        archive.write(tmp_path / "weights.pth", name)
    monkeypatch.setattr(pytorchcv_zoo, "URL", tmp_path.as_uri())
    loaded = entry.load()
    assert entry.weights.is_here() and not loaded.training
    assert all(torch.equal(value, state[key]) for key, value in loaded.state_dict().items())
    assert [path.name for path in (tmp_path / "home" / "models").iterdir()] == [name]
