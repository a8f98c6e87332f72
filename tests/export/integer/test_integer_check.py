from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import pytest
import torch
import torch.nn.functional as F
from onnx import numpy_helper
from torch import Tensor, nn

from adadfq_core.errors import InputError, RunFailed
from adadfq_core.export.description import describe
from adadfq_core.export.frozen import freeze
from adadfq_core.export.integer.check import check_integers
from adadfq_core.export.onnx_file import save_onnx
from adadfq_core.quant import quantize
from adadfq_core.settings import make_settings
from adadfq_core.zoo.evaluation_data import load_evaluation_data
from adadfq_core.zoo.registry import find


class _Branches(nn.Module):
    """Every kind of operation that the check covers, on images `(3, 16, 16)`."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.depthwise = nn.Conv2d(8, 8, 3, padding=2, dilation=2, groups=8, bias=False)
        self.bottleneck = nn.Conv2d(8, 4, 1)
        self.widen = nn.Conv2d(4, 8, 1)
        self.grouped = nn.Conv2d(8, 8, 3, stride=2, padding=1, groups=2)
        self.after_concat = nn.Conv2d(20, 12, 3, padding=1)
        self.largest = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.mean = nn.AvgPool2d(2)
        self.head = nn.Linear(12, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.norm(self.stem(x)))
        inner = F.relu6(self.depthwise(x))
        # A linear bottleneck: a layer that reads what has no codes.
        x = F.relu(x + self.widen(self.bottleneck(inner)))
        shortcut = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 2, 2))
        narrow = F.relu(self.grouped(x))
        x = torch.cat([shortcut, narrow], 1)
        x = F.relu(self.after_concat(x))
        x = torch.cat([self.largest(x)[:, :6], self.mean(x)[:, 6:]], 1)
        return self.head(x.mean((2, 3)))


class _Gate(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(1, 4, 3), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.first(x)).mean((2, 3))
        return self.last(x * torch.sigmoid(x))


def _with_random_numbers(network: nn.Module, seed: int) -> nn.Module:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(0.4 * torch.randn(parameter.shape, generator=generator))
    return network


@pytest.mark.parametrize("bits", range(2, 9))
def test_a_tiny_network(
    bits: int, tiny_network: Callable[..., nn.Module], exported: Callable[..., Any]
) -> None:
    made = exported(tiny_network(), bits)
    labels = made.network(made.images).argmax(1)
    found = check_integers(made.model, made.network, made.images, labels, batch=24)
    assert found.images == 64
    assert found.holds
    assert [site.codes for site in found.site_by_site] == [64 * 4 * 64, 64 * 6 * 16]
    assert min(site.percent for site in found.site_by_site) > 99
    assert found.agreement.percent > 90
    assert found.integer is not None and found.fake_quantized is not None
    assert found.fake_quantized.top1 == 100
    assert found.integer.top1 == found.agreement.percent


@pytest.mark.parametrize("bits", [3, 8])
def test_every_operation_covered(bits: int, exported: Callable[..., Any]) -> None:
    made = exported(_with_random_numbers(_Branches(), 1), bits, (3, 16, 16))
    found = check_integers(made.model, made.network, made.images)
    assert len(found.site_by_site) == 5
    assert found.holds
    assert min(site.percent for site in found.site_by_site) > 99
    assert found.integer is None


def test_images_do_not_depend_on_their_batch(
    tiny_network: Callable[..., nn.Module], exported: Callable[..., Any]
) -> None:
    made = exported(tiny_network(), 5)
    one, many = (check_integers(made.model, made.network, made.images, batch=b) for b in (1, 50))
    assert one.end_to_end == many.end_to_end


def test_a_layer_of_nothing_but_bias(
    tiny_network: Callable[..., nn.Module], exported: Callable[..., Any]
) -> None:
    """A BatchNorm with the factor 0, and a channel that no image ever wakes."""
    network = tiny_network()
    with torch.no_grad():
        network[1].weight[0], network[1].bias[0] = 0, 0.4
        network[4].weight.zero_()
        network[4].bias.fill_(-1)
    made = exported(network, 4)
    found = check_integers(made.model, made.network, made.images)
    assert found.holds
    assert found.agreement.same == 64


@pytest.mark.parametrize(
    "bits", [3, *(pytest.param(bits, marks=pytest.mark.slow) for bits in (5, 8))]
)
def test_the_bundled_network_on_real_images(bits: int, tmp_path: Path) -> None:
    entry = find("fashion-resnet20")
    data = load_evaluation_data("fashion-mnist", entry.images, 400)
    quantized = quantize(entry.load(), bits, bits, data.images[:2])
    with quantized.observing_ranges(), torch.no_grad():
        quantized(data.images[:64])
    frozen, path = freeze(quantized), tmp_path / "q.onnx"
    settings = make_settings({"weight_bits": bits, "activation_bits": bits})
    save_onnx(frozen, describe(settings, entry.images, None, "run", 1), path)
    found = check_integers(path, frozen, data.images[64:264], data.labels[64:264])
    assert len(found.site_by_site) == 19
    assert found.holds
    assert min(site.percent for site in found.site_by_site) > 99.9
    assert found.agreement.percent >= 97
    assert found.integer is not None and found.fake_quantized is not None
    assert abs(found.integer.top1 - found.fake_quantized.top1) <= 3


def _change_one_code(model: onnx.ModelProto, bit: int) -> None:
    """Flip a bit of one weight code of the second convolution, between two channels that live."""
    (codes,) = (t for t in model.graph.initializer if t.name == "3.weight.codes")
    values = numpy_helper.to_array(codes).astype(np.uint8)
    values[1, 3, 1, 1] ^= 1 << bit
    codes.CopyFrom(numpy_helper.from_array(values.astype(ml_dtypes.uint4), codes.name))


def test_one_changed_weight_is_found_where_it_is(
    tiny_network: Callable[..., nn.Module], exported: Callable[..., Any]
) -> None:
    made = exported(tiny_network(), 4)
    before = check_integers(made.model, made.network, made.images)
    _change_one_code(made.model, 3)
    after = check_integers(made.model, made.network, made.images)
    assert before.holds and not after.holds
    assert after.site_by_site[0] == before.site_by_site[0]
    assert after.site_by_site[1].largest > 1


def test_the_least_change_of_a_weight_shows_in_the_share_of_equal_codes(
    tiny_network: Callable[..., nn.Module], exported: Callable[..., Any]
) -> None:
    made = exported(tiny_network(), 4)
    before = check_integers(made.model, made.network, made.images).site_by_site[1]
    _change_one_code(made.model, 0)
    after = check_integers(made.model, made.network, made.images).site_by_site[1]
    assert before.codes - before.equal <= 2
    assert after.codes - after.equal > 50


def test_an_operation_without_integer_form_is_named(exported: Callable[..., Any]) -> None:
    made = exported(_Gate(), 4)
    with pytest.raises(InputError, match=r"covers networks of convolutions.* Sigmoid "):
        check_integers(made.model, made.network, made.images)


def test_sums_beyond_32_bits_are_refused(exported: Callable[..., Any]) -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 64 * 64, 3))
    with torch.no_grad():
        network[1].weight.fill_(1)
        network[1].weight[:, 0] = 0
    made = exported(network, 8, (3, 64, 64), count=2)
    with pytest.raises(RunFailed, match=r"more than the 2,147,483,647 that 32 bits hold"):
        check_integers(made.model, made.network, made.images)


def test_images_that_are_not_normalised_are_refused(
    tiny_network: Callable[..., nn.Module], exported: Callable[..., Any]
) -> None:
    made = exported(tiny_network(), 4)
    for wrong in (255.0, float("nan")):
        images = made.images.clone()
        images[0, 0, 0, 0] = wrong
        with pytest.raises(InputError, match=r"outside -2\.8 to 2\.8; normalise"):
            check_integers(made.model, made.network, images)


def test_a_file_of_another_network_is_refused(
    tiny_network: Callable[..., nn.Module], exported: Callable[..., Any]
) -> None:
    made, other = exported(tiny_network(), 4), exported(_Gate(), 4)
    with pytest.raises(InputError, match="give both of one export"):
        check_integers(made.model, other.network, made.images)


def test_files_that_are_none_are_refused(
    tmp_path: Path, tiny_network: Callable[..., nn.Module], exported: Callable[..., Any]
) -> None:
    made = exported(tiny_network(), 4)
    path = tmp_path / "q.onnx"
    with pytest.raises(InputError, match="There is no file"):
        check_integers(path, made.network, made.images)
    whole = made.model.SerializeToString()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"damaged|not exported"):
        check_integers(path, made.network, made.images)
    del made.model.metadata_props[:]
    path.write_bytes(made.model.SerializeToString())
    with pytest.raises(InputError, match="was not exported by this program"):
        check_integers(path, made.network, made.images)
