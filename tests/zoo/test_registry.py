from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from adadfq_core.errors import InputError
from adadfq_core.training.evaluation import top1
from adadfq_core.zoo.assets import faults
from adadfq_core.zoo.bundled import BUNDLED
from adadfq_core.zoo.evaluation_data import load_evaluation_data
from adadfq_core.zoo.formats import ImageFormat
from adadfq_core.zoo.registry import find, names


def test_the_bundled_files_are_intact() -> None:
    assert faults() == []


def test_find() -> None:
    assert find("fashion-resnet20").name == "fashion-resnet20"
    assert find("torchvision/resnet18") is find("torchvision/resnet18")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("nope", r"^Unknown network 'nope'; choose one of fashion-resnet20, .*torchvision/NAME or"),
        ("", "Unknown network ''; choose one of"),
        ("other/resnet18", "Unknown network 'other/resnet18'.*; choose one of"),
        ("cifar-resnet20", r"\(perhaps cifar10-resnet20 or .*\?\); choose one of"),
        ("resnet18", r"\(perhaps torchvision/resnet18 or pytorchcv/resnet18\?\)"),
        ("torchvision/resnet19", r"\(perhaps torchvision/resnet18 or "),
        ("torchvision/fcn_resnet50", r"Unknown network 'torchvision/fcn_resnet50'"),
        ("torchvision/", "Unknown network 'torchvision/'"),
    ],
)
def test_unknown_names(name: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        find(name)


def test_the_offered_names() -> None:
    assert len(set(names())) == len(names())
    assert names()[: len(BUNDLED)] == tuple(BUNDLED)
    assert {"efficientnet-lite0", "torchvision/resnet18", "pytorchcv/resnet20_cifar10"} < set(
        names()
    )


def test_bundled_networks_need_no_slow_import() -> None:
    program = (
        "import sys; from adadfq_core.zoo.registry import find, names; names();"
        "[find(name) for name in ('fashion-resnet20', 'cifar10-resnet20')];"
        "sys.exit(bool({'torchvision', 'pytorchcv', 'pyarrow'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


@pytest.mark.parametrize("name", BUNDLED)
def test_every_bundled_entry_builds_what_it_says(name: str) -> None:
    entry = find(name)
    network = entry.build().eval()
    images = torch.zeros(2, *entry.images.shape)
    assert entry.name == name
    assert network(images).shape == (2, len(entry.images.classes))
    assert len(entry.images.mean) == len(entry.images.std) == entry.images.shape[0]


def test_weights_that_are_not_there_yet(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("adadfq_core.zoo.bundled.ASSETS", tmp_path)
    assert not find("cifar10-resnet20").weights.is_here()
    with pytest.raises(InputError, match=r"cifar10-resnet20\.safetensors are missing; .*zoo train"):
        find("cifar10-resnet20").load()


def test_the_stated_accuracy_is_the_card_s() -> None:
    assert find("fashion-resnet20").top1 == 94.78


def test_resnet20_has_twenty_layers() -> None:
    network = find("fashion-resnet20").build()
    kernels = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    shortcuts = [m for m in kernels if isinstance(m, nn.Conv2d) and m.kernel_size == (1, 1)]
    assert len(kernels) - len(shortcuts) == 20
    assert 0.26e6 < sum(p.numel() for p in network.parameters()) < 0.28e6


@pytest.mark.parametrize(
    ("mean", "std"), [((0.286,), (0.353,)), ((0.49, 0.48, 0.45), (0.25, 0.24, 0.26))]
)
def test_normalising_there_and_back(mean: tuple[float, ...], std: tuple[float, ...]) -> None:
    channels = len(mean)
    image_format = ImageFormat((channels, 16, 16), ("a",), mean, std)
    pixels = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16).repeat(2, channels, 1, 1)
    images = image_format.normalise(pixels)
    assert images.dtype == torch.float32
    assert torch.equal(image_format.pixels(images), pixels)
    for channel in range(channels):
        low, high = images[:, channel].min().item(), images[:, channel].max().item()
        assert low == pytest.approx(-mean[channel] / std[channel])
        assert high == pytest.approx((1 - mean[channel]) / std[channel])


def test_values_beyond_black_and_white_clip() -> None:
    image_format = ImageFormat((1, 1, 2), ("a",), (0.5,), (0.25,))
    images = torch.tensor([-9.0, 9.0]).view(1, 1, 1, 2)
    assert image_format.pixels(images).flatten().tolist() == [0, 255]


def accuracy(count: int) -> float:
    entry = find("fashion-resnet20")
    network = entry.load()
    assert not network.training
    data = load_evaluation_data("fashion-mnist", entry.images, None)
    assert data.images.pixels.shape == (10_000, 1, 28, 28) and data.labels.shape == (10_000,)
    assert data.labels.bincount().tolist() == [1000] * 10
    return top1(network, data.images[:count], data.labels[:count])


def test_the_bundled_network_on_two_thousand_images() -> None:
    assert accuracy(2000) >= 93


@pytest.mark.slow
def test_the_bundled_network_on_all_test_images() -> None:
    assert accuracy(10_000) >= 93.5
