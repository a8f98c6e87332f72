from __future__ import annotations

import hashlib
import pickle
import urllib.request
from pathlib import Path
from types import SimpleNamespace
from urllib.error import URLError

import numpy as np
import psutil
import pytest
from picture_samples import image_format, noise, plain, write_picture

from adadfq_core.errors import InputError
from adadfq_core.zoo.class_names import CIFAR10
from adadfq_core.zoo.data import open_data
from adadfq_core.zoo.fashion_mnist import CLASS_NAMES


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (
            "nowhere",
            "The data set 'nowhere' does not exist; use a .parquet file, a folder with IDX",
        ),
        ("CIFAR-11", "one of cifar10, cifar100, fashion-mnist"),
        ("", "The data set '' does not exist"),
        ("a\0b", "does not exist"),
        ("x" * 5000, "does not exist"),
        ("gone.parquet", r"'gone\.parquet' does not exist"),
    ],
)
def test_unknown_data_sets(spec: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        open_data(spec, image_format())


def test_a_file_of_another_kind(tmp_path: Path) -> None:
    path = tmp_path / "pets.zip"
    path.write_bytes(b"PK")
    with pytest.raises(InputError, match=r"pets\.zip' is of an unknown kind; use a \.parquet file"):
        open_data(str(path), image_format())


@pytest.mark.parametrize("limit", [0, -3])
def test_limits_below_one(limit: int) -> None:
    with pytest.raises(InputError, match=f"limit = {limit} is not allowed; it must be a whole"):
        open_data("cifar10", image_format(), limit)


def test_networks_of_other_channels() -> None:
    with pytest.raises(InputError, match="takes images of 4 channels"):
        open_data("cifar10", image_format((4, 8, 8)))


def test_a_home_folder_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("a", "b"):
        write_picture(tmp_path / "pets" / name / "0.png", noise())
    assert open_data("~/pets", image_format(classes=())).found == 2
    assert open_data("~/pets/", image_format(classes=())).found == 2


def test_more_than_the_memory_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b"):
        for number in range(50):
            write_picture(tmp_path / name / f"{number}.png", plain(number))
    free = SimpleNamespace(available=3 * 8 * 8 * 60)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: free)
    with pytest.raises(InputError, match=r"The 100 pictures .*3 x 8 x 8.* set a limit of 30 pic"):
        open_data(str(tmp_path), image_format(classes=()))
    assert open_data(str(tmp_path), image_format(classes=()), 30).found == 30
    free.available = 1
    with pytest.raises(InputError, match=r"set a limit of 1 pictures\.$"):
        open_data(str(tmp_path), image_format(classes=()))


def test_fashion_mnist_needs_no_download() -> None:
    data = open_data("fashion-mnist", image_format((1, 28, 28), CLASS_NAMES), 2000)
    assert data.pixels.shape == (2000, 1, 28, 28) and data.classes == CLASS_NAMES
    assert data.labels.unique().tolist() == list(range(10))


@pytest.fixture
def data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    def refuse(*_: object, **__: object) -> None:
        raise URLError("no internet")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    monkeypatch.setenv("ADADFQ_HOME", str(tmp_path))
    return tmp_path / "data"


@pytest.mark.parametrize(
    ("spec", "archive"),
    [("cifar10", "cifar-10-python.tar.gz"), ("cifar100", "cifar-100-python.tar.gz")],
)
def test_without_internet_the_file_is_named(data_folder: Path, spec: str, archive: str) -> None:
    pytest.importorskip("torchvision", reason="CIFAR comes from torchvision")
    with pytest.raises(InputError) as caught:
        open_data(spec, image_format((3, 32, 32), ()))
    text = str(caught.value)
    assert f"{spec.upper()} is not in {data_folder} and could not be downloaded (" in text
    assert "no internet" in text and f"or put {archive} into that folder." in text


def test_cifar10_in_the_data_folder(data_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("torchvision.datasets", reason="CIFAR comes from torchvision")
    images = np.random.default_rng(0).integers(0, 256, (4, 3, 32, 32), dtype=np.uint8)
    folder = data_folder / "cifar-10-batches-py"
    folder.mkdir(parents=True)

    def write(name: str, content: dict[str, object]) -> str:
        raw = pickle.dumps(content)
        (folder / name).write_bytes(raw)
        return hashlib.md5(raw).hexdigest()

    batch = write("test_batch", {"data": images.reshape(4, -1), "labels": [0, 9, 5, 1]})
    meta = write("batches.meta", {"label_names": list(CIFAR10)})
    monkeypatch.setattr(datasets.CIFAR10, "train_list", [])
    monkeypatch.setattr(datasets.CIFAR10, "test_list", [["test_batch", batch]])
    monkeypatch.setattr(datasets.CIFAR10, "meta", {**datasets.CIFAR10.meta, "md5": meta})
    data = open_data("cifar10", image_format((3, 32, 32), CIFAR10))
    assert np.array_equal(data.pixels.numpy(), images)
    assert data.labels.tolist() == [0, 9, 5, 1] and data.classes == CIFAR10
