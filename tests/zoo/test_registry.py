from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from adadfq_core.errors import InputError
from adadfq_core.training.evaluation import top1
from adadfq_core.zoo.assets import faults
from adadfq_core.zoo.networks import SmallResNet
from adadfq_core.zoo.registry import (
    ZOO,
    ImageFormat,
    find,
    load_evaluation_data,
    load_network,
    load_weights,
)


def test_the_bundled_files_are_intact() -> None:
    assert faults() == []


def test_find() -> None:
    assert find("fashion-resnet20").name == "fashion-resnet20"
    with pytest.raises(InputError, match=r"Unknown network 'nope'; choose one of .*resnet20"):
        find("nope")


@pytest.mark.parametrize("name", ZOO)
def test_every_entry_builds_what_it_says(name: str) -> None:
    entry = find(name)
    network = entry.build().eval()
    images = torch.zeros(2, *entry.images.shape)
    assert network(images).shape == (2, len(entry.images.classes))


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


def test_weights_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    network = SmallResNet(1, 3, widths=(2,), blocks=(1,))
    path = tmp_path / "a.safetensors"
    with pytest.raises(InputError, match="does not hold this network's weights"):
        load_weights(network, path)
    path.write_bytes(b"not a safetensors file")
    with pytest.raises(InputError, match="does not hold this network's weights"):
        load_weights(network, path)
    other = SmallResNet(1, 4, widths=(2,), blocks=(1,))
    save_file(other.state_dict(), path)
    with pytest.raises(InputError, match=r"head\.weight"):
        load_weights(network, path)
    load_weights(other, path)


def accuracy(count: int) -> float:
    entry = find("fashion-resnet20")
    network = load_network(entry)
    assert not network.training
    data = load_evaluation_data(entry)
    assert data.images.shape == (10_000, 1, 28, 28) and data.labels.shape == (10_000,)
    assert data.labels.bincount().tolist() == [1000] * 10
    return top1(network, data.images[:count], data.labels[:count])


def test_the_bundled_network_on_two_thousand_images() -> None:
    assert accuracy(2000) >= 93


@pytest.mark.slow
def test_the_bundled_network_on_all_test_images() -> None:
    assert accuracy(10_000) >= 93.5
