"""The network, its images and its data set, as a run's settings name them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from adadfq_core.errors import InputError
from adadfq_core.settings import make_settings
from adadfq_core.zoo.evaluation_data import EvaluationData, NormalisedPixels
from adadfq_core.zoo.loading import load_float_network
from adadfq_core.zoo.registry import find
from adadfq_core.zoo.uploads import MOST_MEGABYTES, keep_upload

OWN = """
import torch
from own_blocks import WIDTH

def build():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(WIDTH, 3))

def maps():
    return torch.nn.Conv2d(2, 3, 1)
"""


@pytest.fixture
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "own_network_module.py").write_text(OWN)
    (tmp_path / "own_blocks.py").write_text("WIDTH = 2 * 4 * 5")
    monkeypatch.chdir(tmp_path.parent)  # not where the code is: the run may be resumed anywhere
    return tmp_path


def test_a_zoo_name_brings_images_and_data() -> None:
    loaded = load_float_network(make_settings({}))
    assert loaded.images == find("fashion-resnet20").images
    assert loaded.data == "fashion-mnist"
    assert not loaded.network.training


def test_settings_replace_what_the_zoo_brings(tmp_path: Path) -> None:
    entry = find("fashion-resnet20")
    network = entry.build()
    path = tmp_path / "own.safetensors"
    save_file(network.state_dict(), path)
    changes = {"weights": str(path), "data": "here.parquet", "image_mean": "0.5", "image_std": 0.25}
    changes["image_std"] = (0.25,)
    loaded = load_float_network(make_settings(changes))
    assert torch.equal(loaded.network.head.weight, network.head.weight)
    assert loaded.data == "here.parquet"
    assert (loaded.images.mean, loaded.images.std) == ((0.5,), (0.25,))
    assert loaded.images.classes == entry.images.classes


def test_no_data_is_allowed() -> None:
    assert load_float_network(make_settings({"data": "none"})).data is None


def test_a_network_of_ones_own_needs_its_shape_and_gets_class_names(own_folder: Path) -> None:
    own = {"network": "own_network_module:build", "code_folder": str(own_folder)}
    with pytest.raises(InputError, match=r"image_shape must say what it takes"):
        load_float_network(make_settings(own))
    loaded = load_float_network(make_settings({**own, "image_shape": "2,4,5"}))
    assert loaded.images.classes == ("class 0", "class 1", "class 2")
    assert loaded.images.mean == (0.0, 0.0) and loaded.images.std == (1.0, 1.0)
    assert loaded.data is None
    with pytest.raises(InputError, match=r"fails on images of shape \(3, 4, 5\)"):
        load_float_network(make_settings({**own, "image_shape": "3,4,5"}))
    maps = {**own, "network": "own_network_module:maps", "image_shape": "2,4,5"}
    with pytest.raises(InputError, match=r"logits of shape \(batch, classes\)"):
        load_float_network(make_settings(maps))


def test_one_number_for_each_channel() -> None:
    with pytest.raises(InputError, match="one number for each of the 1 channels"):
        load_float_network(make_settings({"image_mean": "0.5,0.5,0.5"}))


def test_pixels_are_normalised_as_they_are_taken_out() -> None:
    images = find("cifar10-resnet20").images
    pixels = torch.randint(256, (7, 3, 32, 32), dtype=torch.uint8)
    data = EvaluationData(NormalisedPixels(pixels, images), torch.arange(7), (), "here")
    assert len(data.images) == 7
    assert torch.equal(data.images[2:5], images.normalise(pixels[2:5]))
    chosen = data.spread(3)
    assert chosen.tolist() == [0, 2, 4]
    assert torch.equal(data.images[chosen], images.normalise(pixels[chosen]))
    assert data.spread(100).tolist() == list(range(7))
    moved = data.to(torch.device("cpu"))
    assert torch.equal(moved.images.pixels, pixels) and moved.spec == "here"


@pytest.fixture
def upload_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ADADFQ_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "uploads"


def test_an_upload_that_fits_is_kept_once(upload_home: Path, tmp_path: Path) -> None:
    entry = find("fashion-resnet20")
    torch.save({"state_dict": entry.build().state_dict()}, tmp_path / "a.pth")
    content = (tmp_path / "a.pth").read_bytes()
    path = keep_upload("../../My weights.PTH", content, entry)
    assert path.parent == upload_home and path.suffix == ".pth"
    assert keep_upload("b.pth", content, entry) == path
    assert path.read_bytes() == content and len(list(upload_home.iterdir())) == 1


def test_an_upload_that_does_not_fit_is_refused_by_its_own_name(
    upload_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = find("cifar10-resnet20")
    save_file(find("fashion-resnet20").build().state_dict(), tmp_path / "a.safetensors")
    content = (tmp_path / "a.safetensors").read_bytes()
    with pytest.raises(InputError, match=r"grey\.safetensors does not hold .*stem\.0\.weight"):
        keep_upload("grey.safetensors", content, entry)
    with pytest.raises(InputError, match=r"run\.exe is not named like a weight file"):
        keep_upload("run.exe", content, entry)
    monkeypatch.setattr("adadfq_core.zoo.uploads.MOST_MEGABYTES", 0)
    with pytest.raises(InputError, match=r"has \d+ MB; at most 0 MB"):
        keep_upload("grey.safetensors", content, entry)
    assert list(upload_home.iterdir()) == []
    assert MOST_MEGABYTES > 100
