from __future__ import annotations

import re
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torchvision import models

from adadfq_core.errors import InputError
from adadfq_core.zoo.downloads import Checksum, Download
from adadfq_core.zoo.registry import find, load_network, names
from adadfq_core.zoo.torchvision_zoo import OFFERED, short_names

NETWORKS = (
    "resnet18",
    "mobilenet_v3_small",
    "shufflenet_v2_x1_0",
    "efficientnet_b0",
    "vgg11_bn",
    "densenet121",
    "regnet_y_400mf",
)
SMALL = ("mobilenet_v3_small", "shufflenet_v2_x1_0")


@pytest.mark.parametrize("short_name", NETWORKS)
def test_facts(short_name: str) -> None:
    entry = find(f"torchvision/{short_name}")
    images = entry.images
    assert entry.name == f"torchvision/{short_name}" and entry.dataset == "ImageNet-1k"
    assert images.shape == (3, 224, 224) and images.resize == 256
    assert len(set(images.classes)) == 1000 and images.classes[0] == "tench"
    assert images.mean == (0.485, 0.456, 0.406) and images.std == (0.229, 0.224, 0.225)
    assert images.interpolation == ("bicubic" if short_name == "efficientnet_b0" else "bilinear")
    assert entry.licence == "BSD-3-Clause" and entry.url.startswith("https://")
    assert entry.source == "torchvision, weights IMAGENET1K_V1"
    assert entry.top1 is not None and 65 < entry.top1 < 80 and entry.data is None
    heads = [module for module in entry.build().modules() if isinstance(module, nn.Linear)]
    assert heads[-1].out_features == 1000


@pytest.mark.parametrize("short_name", SMALL)
def test_small_networks_give_logits(short_name: str) -> None:
    network = find(f"torchvision/{short_name}").build().eval()
    with torch.inference_mode():
        assert network(torch.zeros(1, 3, 224, 224)).shape == (1, 1000)


def test_every_network_has_facts_and_a_checksum() -> None:
    assert set(OFFERED) < set(short_names()) and len(short_names()) >= 80
    for short_name in short_names():
        entry = find(f"torchvision/{short_name}")
        assert isinstance(entry.weights, Download)
        assert re.fullmatch("[0-9a-f]{8,}", entry.weights.checksum.digits), short_name
        assert entry.weights.file_name == entry.weights.url.split("/")[-1]
        assert (entry.images.resize or 0) >= entry.images.shape[1] > 200
        assert entry.top1 is not None and len(entry.images.classes) == 1000
    assert len({find(f"torchvision/{name}").weights for name in short_names()}) == len(
        short_names()
    )


def test_weights_of_another_licence() -> None:
    assert find("torchvision/vit_h_14").licence == "CC-BY-NC-4.0"
    assert find("torchvision/vit_b_16").licence == "BSD-3-Clause"


def test_the_normalisation_of_networks_that_do_their_own() -> None:
    entry = find("torchvision/googlenet")
    network = entry.build().eval()
    original = models.GoogLeNet(transform_input=True, aux_logits=False, init_weights=False).eval()
    original.load_state_dict(network.state_dict())
    pixels = torch.randint(0, 256, (2, 3, 64, 64), generator=torch.Generator().manual_seed(0))
    usual = find("torchvision/resnet18").images.normalise(pixels)
    with torch.inference_mode():
        logits = network(entry.images.normalise(pixels))
        torch.testing.assert_close(logits, original(usual), rtol=1e-4, atol=1e-4)
    assert logits.shape == (2, 1000)


def with_auxiliary(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {**state, "aux1.fc1.weight": torch.zeros(2), "aux2.conv.bn.bias": torch.zeros(2)}


def with_old_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    old = {re.sub(r"(layer\d+\.(?:norm|conv))([12])", r"\1.\2", k): v for k, v in state.items()}
    assert old.keys() != state.keys()
    return old


@pytest.mark.parametrize(
    ("short_name", "published"),
    [
        ("googlenet", with_auxiliary),
        ("densenet121", with_old_names),
        ("mnasnet0_5", lambda state: state),
        ("shufflenet_v2_x1_0", lambda state: state),
    ],
)
def test_loading_as_published(
    short_name: str, published: object, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ADADFQ_HOME", str(tmp_path))
    monkeypatch.setattr(Checksum, "matches", lambda *_: True)
    entry = find(f"torchvision/{short_name}")
    torch.manual_seed(0)
    network = entry.build()
    assert isinstance(entry.weights, Download) and not entry.weights.is_here()
    entry.weights.path.parent.mkdir()
    state = network.state_dict()
    changed = OrderedDict(published(state))
    changed._metadata = state._metadata
    torch.save(changed, entry.weights.path)
    loaded = load_network(entry)
    assert not loaded.training
    assert all(torch.equal(value, state[key]) for key, value in loaded.state_dict().items())


def test_a_damaged_file_and_one_of_another_network(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ADADFQ_HOME", str(tmp_path))
    entry = find("torchvision/shufflenet_v2_x1_0")
    assert isinstance(entry.weights, Download)
    entry.weights.path.parent.mkdir()
    entry.weights.path.write_bytes(b"nonsense")
    with pytest.raises(InputError, match=r"is not the file from https://.*expected SHA-256"):
        load_network(entry)
    monkeypatch.setattr(Checksum, "matches", lambda *_: True)
    with pytest.raises(InputError, match=r"shufflenet.* does not hold a network's weights"):
        load_network(entry)
    torch.save({"fc.weight": torch.zeros(3)}, entry.weights.path)
    with pytest.raises(InputError, match=r"does not hold this network's weights: .*Missing"):
        load_network(entry)
    torch.save({"epoch": 3}, entry.weights.path)
    with pytest.raises(InputError, match="does not hold a state dict of tensors"):
        load_network(entry)


def test_the_offered_networks_have_entries() -> None:
    assert {f"torchvision/{name}" for name in OFFERED} < set(names())
