from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from picture_samples import image_format

from adadfq_core.errors import InputError
from adadfq_core.zoo.data import open_data
from adadfq_core.zoo.data.idx import read_idx, read_split


def idx(values: np.ndarray, kind: int = 8) -> bytes:
    header = bytes([0, 0, kind, values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape)
    return header + values.astype(np.uint8).tobytes()


@pytest.fixture
def values() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (5, 4, 3))


def write(path: Path, raw: bytes) -> Path:
    path.write_bytes(gzip.compress(raw) if path.suffix == ".gz" else raw)
    return path


@pytest.mark.parametrize("name", ["a.gz", "a"])
def test_round_trip(tmp_path: Path, values: np.ndarray, name: str) -> None:
    read = read_idx(write(tmp_path / name, idx(values)))
    assert read.dtype == np.uint8 and np.array_equal(read, values)


def test_damaged_files_are_refused(tmp_path: Path, values: np.ndarray) -> None:
    path = tmp_path / "a.gz"
    with pytest.raises(InputError, match=r"Cannot read .*a\.gz \(No such file or directory\); re"):
        read_idx(path)
    path.write_bytes(idx(values))
    with pytest.raises(InputError, match=r"Cannot read .*a\.gz \(Not a gzipped file .*\); restore"):
        read_idx(path)
    whole = gzip.compress(idx(values))
    for cut in (1, 5, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:cut])
        with pytest.raises(InputError, match=r"a\.gz"):
            read_idx(path)


def test_every_flipped_byte_is_refused_or_harmless(tmp_path: Path, values: np.ndarray) -> None:
    path = tmp_path / "a.gz"
    whole = gzip.compress(idx(values), mtime=0)
    for position in range(len(whole)):
        data = bytearray(whole)
        data[position] ^= 0xFF
        path.write_bytes(data)
        try:
            assert np.array_equal(read_idx(path), values), position
        except InputError:
            continue


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "not an IDX file"),
        (b"\0\0\x08", "not an IDX file"),
        (b"\x01\0\x08\x01\0\0\0\x01\x07", "not an IDX file"),
        (idx(np.zeros(4), kind=0x0D), "not an IDX file of unsigned bytes"),
        (b"\0\0\x08\x03\0\0\0\x01", "cut off inside its header"),
        (idx(np.zeros(4))[:-1], "holds 3 values where its header states 4"),
        (idx(np.zeros(4)) + b"\0", "holds 5 values where its header states 4"),
    ],
)
def test_wrong_content_is_named(tmp_path: Path, raw: bytes, words: str) -> None:
    with pytest.raises(InputError, match=words):
        read_idx(write(tmp_path / "a.gz", raw))


def write_split(
    folder: Path, images: np.ndarray, labels: np.ndarray, prefix: str = "t10k", end: str = ".gz"
) -> None:
    write(folder / f"{prefix}-images-idx3-ubyte{end}", idx(images))
    write(folder / f"{prefix}-labels-idx1-ubyte{end}", idx(labels))


@pytest.mark.parametrize("end", ["", ".gz"])
def test_a_split(tmp_path: Path, values: np.ndarray, end: str) -> None:
    write_split(tmp_path, values, np.arange(5), end=end)
    images, labels = read_split(tmp_path, "t10k")
    assert images.shape == (5, 1, 4, 3) and images.dtype == torch.uint8
    assert labels.dtype == torch.int64 and labels.tolist() == [0, 1, 2, 3, 4]
    assert np.array_equal(images[:, 0].numpy(), values)


@pytest.mark.parametrize("shape", [(5, 0, 3), (5, 4)])
def test_a_split_without_pictures_is_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    write_split(tmp_path, np.zeros(shape), np.arange(5))
    with pytest.raises(InputError, match=r"they must be \(N, H, W\)"):
        read_split(tmp_path, "t10k")


def test_labels_of_another_split_are_refused(tmp_path: Path, values: np.ndarray) -> None:
    write_split(tmp_path, values, np.arange(4))
    with pytest.raises(InputError, match=r"\(5, 4, 3\) and labels of shape \(4,\)"):
        read_split(tmp_path, "t10k")


@pytest.mark.parametrize(
    ("prefixes", "chosen"),
    [(("train", "t10k"), "t10k"), (("emnist-test", "train"), "train"), (("emnist",), "emnist")],
)
def test_a_folder_prefers_its_test_split(
    tmp_path: Path, values: np.ndarray, prefixes: tuple[str, ...], chosen: str
) -> None:
    for prefix in prefixes:
        pixels = values if prefix == chosen else np.zeros_like(values)
        write_split(tmp_path, pixels, np.arange(5), prefix)
    data = open_data(str(tmp_path), image_format((1, 4, 3), tuple("abcde")))
    assert np.array_equal(data.pixels[:, 0].numpy(), values)
    assert data.labels.tolist() == [0, 1, 2, 3, 4]
    assert (data.classes, data.skipped, data.found) == ((), (), 5)


def test_a_folder_of_two_unknown_splits_is_refused(tmp_path: Path, values: np.ndarray) -> None:
    for prefix in ("a", "b"):
        write_split(tmp_path, values, np.arange(5), prefix)
    with pytest.raises(InputError, match="holds the IDX files of a, b and none of t10k or train"):
        open_data(str(tmp_path), image_format((1, 4, 3), ()))


def test_grey_images_for_a_colour_network(tmp_path: Path, values: np.ndarray) -> None:
    write_split(tmp_path, values, np.arange(5))
    data = open_data(str(tmp_path), image_format((3, 4, 3), ()))
    for channel in range(3):
        assert np.array_equal(data.pixels[:, channel].numpy(), values)


def test_an_empty_split_is_refused(tmp_path: Path) -> None:
    write_split(tmp_path, np.zeros((0, 4, 3)), np.zeros(0))
    with pytest.raises(InputError, match="holds no pictures"):
        open_data(str(tmp_path), image_format((1, 4, 3), ()))


def test_missing_labels_are_named(tmp_path: Path, values: np.ndarray) -> None:
    write(tmp_path / "t10k-images-idx3-ubyte.gz", idx(values))
    with pytest.raises(InputError, match=r"Cannot read .*t10k-labels-idx1-ubyte\.gz"):
        open_data(str(tmp_path), image_format((1, 4, 3), ()))
