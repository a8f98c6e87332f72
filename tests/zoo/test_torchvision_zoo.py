from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torchvision import models

from adadfq_core.errors import InputError
from adadfq_core.zoo import torchvision_zoo
from adadfq_core.zoo.downloads import Checksum, Download
from adadfq_core.zoo.registry import find, names
from adadfq_core.zoo.torchvision_zoo import OFFERED, short_names


@pytest.mark.parametrize("short_name", OFFERED)
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
    # Shapes alone, which is quick; RegNet computes its widths with tensors.
    with torch.device("cpu" if "regnet" in short_name else "meta"):
        network = entry.build().eval()
    assert network.to("meta")(torch.zeros(1, 3, 224, 224, device="meta")).shape == (1, 1000)


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
    with torch.device("meta"):
        original = models.GoogLeNet(transform_input=True, aux_logits=False, init_weights=False)
    original.load_state_dict(network.state_dict(), assign=True)
    original.eval()
    pixels = torch.randint(0, 256, (2, 3, 64, 64), generator=torch.Generator().manual_seed(0))
    usual = find("torchvision/resnet18").images.normalise(pixels)
    with torch.inference_mode():
        logits = network(entry.images.normalise(pixels))
        torch.testing.assert_close(logits, original(usual), rtol=1e-4, atol=1e-4)
    assert logits.shape == (2, 1000)


def with_auxiliary(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {**state, "aux1.fc1.weight": torch.zeros(2), "aux2.conv.bn.bias": torch.zeros(2)}


def with_old_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """As the files of DenseNet and of the vision transformers name their weights."""
    old = {}
    for name, value in state.items():
        name = re.sub(r"(layer\d+\.(?:norm|conv))([12])", r"\1.\2", name)
        old[name.replace("mlp.0.", "mlp.linear_1.").replace("mlp.3.", "mlp.linear_2.")] = value
    assert old.keys() != state.keys()
    return old


def without_change(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return dict(state)


@pytest.mark.parametrize(
    ("short_name", "build", "published"),
    [
        ("googlenet", None, with_auxiliary),
        ("densenet121", partial(models.DenseNet, 4, (2, 2), 8), with_old_names),
        ("vit_b_32", partial(models.VisionTransformer, 32, 16, 2, 2, 8, 16), with_old_names),
        ("mnasnet0_5", None, without_change),
        ("shufflenet_v2_x1_0", None, without_change),
    ],
)
def test_loading_as_published(
    short_name: str,
    build: Callable[[], nn.Module] | None,
    published: Callable[[dict[str, Tensor]], dict[str, Tensor]],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("ADADFQ_HOME", str(tmp_path))
    monkeypatch.setattr(Checksum, "matches", lambda *_: True)
    if build is not None:  # one of the same layers that is quicker to build
        monkeypatch.setattr(torchvision_zoo, "_build", lambda _name: build())
    entry = find(f"torchvision/{short_name}")
    assert isinstance(entry.weights, Download) and not entry.weights.is_here()
    entry.weights.path.parent.mkdir()
    state = torchvision_zoo._build(short_name).state_dict()
    torch.save(OrderedDict(published(state)), entry.weights.path)
    loaded = entry.load()
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
        entry.load()
    monkeypatch.setattr(Checksum, "matches", lambda *_: True)
    with pytest.raises(InputError, match=r"shufflenet.* cannot be read \(.*; it is cut off"):
        entry.load()
    torch.save({"fc.weight": torch.zeros(3)}, entry.weights.path)
    with pytest.raises(InputError, match=r"does not hold this network's weights: \d+ missing"):
        entry.load()
    torch.save({"epoch": 3}, entry.weights.path)
    with pytest.raises(InputError, match=r"shufflenet.* holds no tensors"):
        entry.load()


def test_the_offered_networks_have_entries() -> None:
    assert {f"torchvision/{name}" for name in OFFERED} < set(names())
