from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from picture_samples import CLASSES, coded, image_format, noise, plain, write_picture
from PIL import Image

from adadfq_core.errors import InputError
from adadfq_core.zoo.data import LabelledPixels, open_data


def fill(folder: Path, classes: tuple[str, ...] = CLASSES, count: int = 2) -> Path:
    """Each class's pictures have the level 10 x (place of the class) + number."""
    for place, name in enumerate(classes):
        for number in range(count):
            write_picture(folder / name / f"{number}.png", plain(10 * place + number))
    return folder


def levels(data: LabelledPixels) -> list[int]:
    return data.pixels[:, 0, 0, 0].tolist()


def test_the_order_is_torchvisions(tmp_path: Path) -> None:
    datasets = pytest.importorskip("torchvision.datasets", reason="compares with torchvision")
    names = ("b/10.png", "b/9.png", "b/z/1.png", "b/a/2.png", "B/1.jpeg", "a/x.BMP")
    for seed, name in enumerate(names):
        write_picture(tmp_path / name, noise(seed=seed))
    theirs = datasets.ImageFolder(str(tmp_path))
    ours = open_data(str(tmp_path), image_format(classes=()))
    assert list(ours.classes) == theirs.classes == ["B", "a", "b"]
    assert ours.labels.tolist() == theirs.targets
    for pixels, (image, _) in zip(ours.pixels, theirs, strict=True):
        assert np.array_equal(pixels.permute(1, 2, 0).numpy(), np.asarray(image))


def test_names_that_are_numbers_count_as_numbers(tmp_path: Path) -> None:
    names = tuple(str(number) for number in range(11))
    fill(tmp_path, names, count=1)
    for network in ((), tuple("abcdefghijk")):
        data = open_data(str(tmp_path), image_format(classes=network))
        assert data.classes == names
        assert levels(data) == [10 * number for number in range(11)]
        assert data.labels.tolist() == list(range(11))
    fill(tmp_path, ("x",), count=1)
    assert open_data(str(tmp_path), image_format(classes=())).classes[:3] == ("0", "1", "10")


def test_names_in_any_writing(tmp_path: Path) -> None:
    data = open_data(str(fill(tmp_path / "Bilder ä", ("Ärger", "日本"))), image_format(classes=()))
    assert data.classes == ("Ärger", "日本") and levels(data) == [0, 1, 10, 11]


def test_links_are_followed_and_never_in_a_circle(tmp_path: Path) -> None:
    folder = fill(tmp_path / "pets", count=1)
    other = fill(tmp_path / "other", ("more",), count=3)
    (folder / "cat" / "more").symlink_to(other / "more")
    (folder / "cat" / "again").symlink_to(other / "more")
    (folder / "dog" / "above").symlink_to(folder / "dog")
    (folder / "dog" / "circle.png").symlink_to(folder / "dog" / "circle.png")
    (folder / "dog" / "gone.png").symlink_to(folder / "nothing.png")
    data = open_data(str(folder), image_format())
    assert data.labels.tolist() == [0, 0, 0, 0, 1, 2]
    assert [text.partition(": ")[2] for text in data.skipped] == [
        "Too many levels of symbolic links",
        "No such file or directory",
    ]


def test_without_read_permission(guarded_folder: Path) -> None:
    folder = fill(guarded_folder / "pets")
    unreadable = folder / "cat" / "0.png"
    unreadable.chmod(0)
    data = open_data(str(folder), image_format())
    assert data.skipped == (f"{unreadable}: Permission denied",) and data.found == 6
    (folder / "dog").chmod(0)
    with pytest.raises(InputError, match=r"Cannot list .*dog \(Permission denied\); allow its"):
        open_data(str(folder), image_format())


def test_what_is_no_picture_is_passed_over(tmp_path: Path) -> None:
    fill(tmp_path)
    (tmp_path / "read me.txt").write_text("notes")
    (tmp_path / ".git").mkdir()
    for name in (".DS_Store", "._0.png", "Thumbs.db", "list.txt"):
        (tmp_path / "cat" / name).write_bytes(b"no picture")
    write_picture(tmp_path / "cat" / ".cache" / "0.png", plain(200))
    data = open_data(str(tmp_path), image_format())
    assert data.found == 6 and data.skipped == ()
    assert levels(data) == [0, 1, 10, 11, 20, 21]


def test_unreadable_pictures_are_counted_and_named(tmp_path: Path) -> None:
    fill(tmp_path, ("cat", "dog"), count=9)
    cut, empty = tmp_path / "cat" / "cut.jpg", tmp_path / "dog" / "empty.png"
    whole = coded(noise(64, 64), "JPEG")
    cut.write_bytes(whole[: len(whole) // 2])
    empty.write_bytes(b"")
    data = open_data(str(tmp_path), image_format())
    assert data.found == 20 and len(data.pixels) == len(data.labels) == 18
    assert data.labels.tolist() == [0] * 9 + [1] * 9
    assert levels(data) == [*range(9), *range(10, 19)]
    assert data.skipped[0].startswith(f"{cut}: ") and "truncated" in data.skipped[0]
    assert data.skipped[1] == f"{empty}: empty (0 bytes)"


def test_a_phone_picture_that_cannot_be_decoded_is_named(tmp_path: Path) -> None:
    fill(tmp_path)
    (tmp_path / "fox" / "9.HEIC").write_bytes(b"\0\0\0\x18ftypheic" + bytes(30))
    data = open_data(str(tmp_path), image_format())
    assert len(data.skipped) == 1 and "9.HEIC: not a picture in a known format" in data.skipped[0]


def test_only_unreadable_pictures_are_refused(tmp_path: Path) -> None:
    fill(tmp_path)
    for path in tmp_path.rglob("*.png"):
        path.write_bytes(b"")
    with pytest.raises(InputError, match=r"None of the 6 .* the first is .*0\.png: empty"):
        open_data(str(tmp_path), image_format())


@pytest.mark.parametrize("limit", [3, 6, 7])
def test_a_limit_keeps_every_class(tmp_path: Path, limit: int) -> None:
    fill(tmp_path, count=5)
    (tmp_path / "cat" / "1.png").write_bytes(b"not among the first of each class")
    data = open_data(str(tmp_path), image_format(), limit)
    assert data.found == limit == len(data.labels) + len(data.skipped)
    assert set(data.labels.tolist()) == {0, 1, 2}


def test_a_limit_reads_only_what_it_chooses(tmp_path: Path) -> None:
    fill(tmp_path, count=4)
    for path in tmp_path.rglob("[123].png"):
        path.write_bytes(b"damaged")
    data = open_data(str(tmp_path), image_format(), 3)
    assert (data.skipped, data.found, levels(data)) == ((), 3, [0, 10, 20])
    assert open_data(str(tmp_path), image_format(), 99).found == 12


def test_labels_follow_the_networks_names(tmp_path: Path) -> None:
    fill(tmp_path)
    network = ("Fox", "Dog", "Cat")
    data = open_data(str(tmp_path), image_format(classes=network))
    assert data.labels.tolist() == [2, 2, 1, 1, 0, 0] and data.classes == network
    assert data.labels.dtype == torch.int64
    assert levels(data) == [0, 1, 10, 11, 20, 21]


def test_fewer_classes_than_the_network_has(tmp_path: Path) -> None:
    fill(tmp_path, ("dog", "fox"))
    assert open_data(str(tmp_path), image_format()).labels.tolist() == [1, 1, 2, 2]
    with pytest.raises(InputError, match=r"network's 3 classes are the 2 .*'dog' is not one"):
        open_data(str(tmp_path), image_format(classes=("a", "b", "c")))


def test_more_classes_than_the_network_has(tmp_path: Path) -> None:
    fill(tmp_path)
    with pytest.raises(InputError, match="has 3 classes, the network has 2"):
        open_data(str(tmp_path), image_format(classes=("cat", "dog")))


@pytest.mark.parametrize("split", ["val", "test", "validation"])
@pytest.mark.parametrize("train", [True, False])
def test_the_held_out_split_is_found(tmp_path: Path, split: str, train: bool) -> None:
    fill(tmp_path / split)
    if train:
        fill(tmp_path / "train", count=3)
    data = open_data(str(tmp_path), image_format())
    assert data.classes == CLASSES and data.found == 6


def test_two_held_out_splits_are_refused(tmp_path: Path) -> None:
    fill(tmp_path / "val")
    fill(tmp_path / "test")
    with pytest.raises(InputError, match=r"holds the splits test, val; name one, for example .*"):
        open_data(str(tmp_path), image_format())


def test_a_class_may_be_called_test(tmp_path: Path) -> None:
    fill(tmp_path, ("other", "test"))
    assert open_data(str(tmp_path), image_format(classes=())).classes == ("other", "test")


def test_folders_that_are_no_data_set(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png", noise())
    with pytest.raises(InputError, match="holds no class folders; put the pictures of each class"):
        open_data(str(tmp_path), image_format())
    fill(tmp_path, ("cat",))
    with pytest.raises(InputError, match=r"All 2 pictures .* have the label 0"):
        open_data(str(tmp_path), image_format())
    (tmp_path / "dog").mkdir()
    with pytest.raises(InputError, match=r"class folder .*dog holds no pictures \(\.jpg"):
        open_data(str(tmp_path), image_format())


def test_a_mix_of_modes_becomes_one_tensor(tmp_path: Path) -> None:
    fill(tmp_path)
    for number, mode in enumerate(("RGBA", "P", "L", "LA", "1", "CMYK", "I;16")):
        end = "tif" if mode == "CMYK" else "png"
        write_picture(tmp_path / "dog" / f"m{number}.{end}", Image.new(mode, (20, 30)))
    for channels in (1, 3):
        data = open_data(str(tmp_path), image_format((channels, 8, 8)))
        assert data.pixels.shape == (13, channels, 8, 8) and data.skipped == ()
