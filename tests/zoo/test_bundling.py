from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image
from pyarrow import parquet
from safetensors.torch import load_file

from adadfq_core.errors import InputError
from adadfq_core.training.bundling import RECIPES, train_bundled
from adadfq_core.training.pretraining import EpochReport, Recipe
from adadfq_core.zoo.assets import faults
from adadfq_core.zoo.bundled import BUNDLED
from adadfq_core.zoo.class_names import CIFAR10

TINY = Recipe(epochs=1, batch=8, crop_padding=4, warmup_epochs=0.5)


def write_parquet(path: Path, count: int, coding: str) -> str:
    random = np.random.default_rng(0)
    coded = []
    for _ in range(count):
        buffer = io.BytesIO()
        pixels = random.integers(0, 256, (32, 32, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(buffer, coding)
        coded.append(buffer.getvalue())
    table = pa.table({"image": coded, "label": [index % 10 for index in range(count)]})
    table = table.replace_schema_metadata({"classes": ",".join(CIFAR10)})
    parquet.write_table(table, path)
    return str(path)


def test_recipes() -> None:
    assert RECIPES.keys() == BUNDLED.keys()
    fashion, cifar = RECIPES["fashion-resnet20"], RECIPES["cifar10-resnet20"]
    assert (fashion.epochs, fashion.crop_padding) == (45, 2)
    assert cifar == Recipe(epochs=45, crop_padding=4)
    wide = Recipe(epochs=52, crop_padding=4, cutout=8, label_smoothing=0.1)
    assert RECIPES["cifar10-resnet20-wide"] == wide


@pytest.mark.parametrize("coding", ["JPEG", "PNG"])
def test_training_and_bundling(tmp_path: Path, coding: str) -> None:
    train = write_parquet(tmp_path / "training.parquet", 24, coding)
    test = write_parquet(tmp_path / "test.parquet", 12, coding)
    reports: list[EpochReport] = []

    def run() -> float:
        return train_bundled(
            "cifar10-resnet20",
            tmp_path / "work",
            reports.append,
            train,
            test,
            TINY,
            tmp_path / "assets",
        )

    accuracy = run()
    assert len(reports) == 1 and reports[0].top1 == accuracy
    assert faults(tmp_path / "assets") == []
    weights = load_file(tmp_path / "assets/networks/cifar10-resnet20.safetensors")
    network = BUNDLED["cifar10-resnet20"].build()
    network.load_state_dict(weights)
    card = (tmp_path / "assets/networks/cifar10-resnet20.md").read_text(encoding="utf-8")
    assert f"| top-1 on the 12 test images | **{accuracy:.2f} %** (last epoch" in card
    assert "| training images | 24 of CIFAR-10" in card and "| crop_padding | 4 |" in card
    assert ("CIFAR-10; the pictures went through JPEG |" in card) == (coding == "JPEG")
    assert "cifar10-resnet20 --train training.parquet --test test.parquet`" in card
    assert str(tmp_path) not in card
    assert run() == accuracy and len(reports) == 1  # nothing is left to train
    checkpoint = torch.load(tmp_path / "work/cifar10-resnet20.pt", weights_only=True)
    assert checkpoint["epoch"] == 1


def test_training_pictures_have_to_be_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"CIFAR-10 are not bundled; name a data set with --train"):
        train_bundled("cifar10-resnet20", tmp_path, lambda _: None, assets=tmp_path)
    with pytest.raises(InputError, match=r"The data set 'nowhere' does not exist"):
        train_bundled("cifar10-resnet20", tmp_path, lambda _: None, "nowhere", assets=tmp_path)


def test_only_bundled_networks_are_trained(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"'torchvision/resnet18' is not a network that this"):
        train_bundled("torchvision/resnet18", tmp_path, lambda _: None, assets=tmp_path)
