from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import torch
from picture_samples import CLASSES, coded, image_format, noise, plain, write_picture
from pyarrow import parquet

from adadfq_core.errors import InputError
from adadfq_core.zoo.class_names import CIFAR10
from adadfq_core.zoo.data import LabelledPixels, open_data

NO_TEXT = pa.array([b"a", b"\xff"]).view(pa.string())
HF_IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def pictures(count: int) -> list[bytes]:
    return [coded(plain(number)) for number in range(count)]


def write(path: Path, rows: int | None = None, **columns: Any) -> str:
    parquet.write_table(pa.table(columns), path, row_group_size=rows)
    return str(path)


def levels(data: LabelledPixels) -> list[int]:
    return data.pixels[:, 0, 0, 0].tolist()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "pets.parquet"


@pytest.mark.parametrize(
    "kind",
    [
        pa.binary(),
        pa.large_binary(),
        pa.binary_view(),
        pa.dictionary(pa.int32(), pa.binary()),
        HF_IMAGE,
        pa.struct([HF_IMAGE.field(0)]),
    ],
)
def test_kinds_of_picture_columns(path: Path, kind: pa.DataType) -> None:
    cells: list[Any] = pictures(3)
    if pa.types.is_struct(kind):
        cells = [{"bytes": cell} for cell in cells]
    spec = write(path, image=pa.array(cells, kind), label=[0, 1, 2])
    data = open_data(spec, image_format())
    assert levels(data) == data.labels.tolist() == [0, 1, 2]
    assert data.pixels.dtype == torch.uint8 and data.labels.dtype == torch.int64
    assert (data.classes, data.skipped, data.found) == ((), (), 3)


def test_rows_with_a_path_or_nothing(path: Path) -> None:
    write_picture(path.parent / "more" / "1.png", plain(1))
    cells = [
        {"bytes": coded(plain(0)), "path": None},
        {"bytes": None, "path": "more/1.png"},
        {"bytes": None, "path": "more/gone.png"},
        {"bytes": None, "path": None},
        {"bytes": b"", "path": ""},
        None,
        {"bytes": b"damaged", "path": "more/1.png"},
    ]
    spec = write(path, image=pa.array(cells, HF_IMAGE), label=[0, 1, 2, 0, 1, 2, 0])
    data = open_data(spec, image_format())
    assert levels(data) == data.labels.tolist() == [0, 1]
    assert data.found == 7
    assert [text.split(":")[0] for text in data.skipped] == [
        "row 2 (more/gone.png)",
        "row 3",
        "row 4",
        "row 5",
        "row 6",
    ]
    assert data.skipped[0].endswith("No such file or directory")
    assert data.skipped[1] == "row 3: holds no picture"
    assert "not a picture in a known format" in data.skipped[4]


def test_null_bytes_and_plain_paths(path: Path) -> None:
    spec = write(path, image=[*pictures(2), None], label=[0, 1, 2])
    assert open_data(spec, image_format()).skipped == ("row 2: holds no picture",)
    for number in range(2):
        write_picture(path.parent / f"{number}.png", plain(number))
    spec = write(path, image=["0.png", "1.png"], label=[0, 1])
    assert levels(open_data(spec, image_format())) == [0, 1]


@pytest.mark.parametrize(
    ("image", "label"),
    [("img", "fine_label"), ("Image", "Label"), ("anything", "labels"), ("picture", "class")],
)
def test_columns_are_found_by_name_or_kind(path: Path, image: str, label: str) -> None:
    columns = {"id": [7, 8], "name": ["a", "b"], label: [0, 1], image: pictures(2)}
    assert open_data(write(path, **columns), image_format()).labels.tolist() == [0, 1]


def test_text_of_any_kind_is_no_picture(path: Path) -> None:
    names = pa.array(["a", "b"])
    others = {"long": names.cast(pa.large_string()), "coded": names.dictionary_encode()}
    spec = write(path, **others, label=[0, 1], scan=pictures(2))
    assert levels(open_data(spec, image_format())) == [0, 1]


def test_columns_of_one_name(path: Path) -> None:
    columns = [pa.array(pictures(2)), pa.array([0, 1])]
    table = pa.Table.from_arrays([*columns, *columns], names=["image", "label"] * 2)
    parquet.write_table(table, path)
    assert levels(open_data(str(path), image_format())) == [0, 1]


def test_names_that_are_numbers_count_as_numbers(path: Path) -> None:
    labels = [str(number) for number in range(11)]
    data = open_data(write(path, image=pictures(11), label=labels), image_format(classes=()))
    assert data.classes == tuple(labels) and data.labels.tolist() == list(range(11))


def test_a_named_column_comes_before_others(path: Path) -> None:
    spec = write(path, thumb=[b"no picture"] * 2, img=pictures(2), label=[0, 1], y=[5, 6])
    assert open_data(spec, image_format()).skipped == ()


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({}, r"pictures \(there is none\)"),
        ({"label": [0, 1]}, r"the pictures \(there is label \(int64\)\); name it image or img or"),
        (
            {"a": pictures(2), "b": pictures(2), "label": [0, 1]},
            r"which column of .* holds the pictures \(there is a \(binary\), b \(binary\), label",
        ),
        (
            {"image": [1.0, 2.0], "label": [0, 1]},
            r"column image of .* holds double; convert it",
        ),
        ({"image": pictures(2), "group": [0, 1]}, r"the labels \(there is .*; name it label or la"),
        (
            {"image": pictures(2), "label": [0.0, 1.0]},
            "column label of .* holds double; convert it to whole numbers or names",
        ),
        ({"image": pictures(2), "label": [True, False]}, "column label of .* holds bool"),
        ({"image": pictures(2), "label": pa.nulls(2)}, "column label of .* holds null"),
        ({"image": pictures(2), "label": ["cat", None]}, r"Row 1 of .*pets\.parquet has no label"),
        (
            {
                "image": pictures(2),
                "label": NO_TEXT,
            },
            r"Cannot read .*'utf-8' codec can't decode",
        ),
        ({"image": pictures(2), "label": [0, None]}, r"Row 1 of .*pets\.parquet has no label"),
        (
            {"image": pa.array([], pa.binary()), "label": pa.array([], pa.int64())},
            r"pets\.parquet holds no pictures; name a data set that has some",
        ),
        ({"image": pictures(2), "label": [0, -1]}, "has the label -1"),
        ({"image": pictures(2), "label": [1, 2]}, r"labels 1\.\.2, but they must start at 0"),
        ({"image": pictures(2), "label": [0, 26]}, r"27 classes, the network has 3 .*0\.\.26"),
        ({"image": pictures(2), "label": pa.array([0, 2**64 - 1], pa.uint64())}, "Cannot read"),
    ],
)
def test_unfit_tables_are_refused(path: Path, columns: dict[str, Any], words: str) -> None:
    spec = write(path, **columns)
    with pytest.raises(InputError, match=words):
        open_data(spec, image_format())


def test_labels_that_are_names(path: Path) -> None:
    labels = pa.array(["fox", "cat", "fox", "dog"])
    for column in (labels, labels.dictionary_encode()):
        spec = write(path, image=pictures(4), label=column)
        data = open_data(spec, image_format(classes=()))
        assert data.classes == CLASSES and data.labels.tolist() == [2, 0, 2, 1]
        data = open_data(spec, image_format(classes=("dog", "fox", "cat", "wolf")))
        assert data.labels.tolist() == [1, 2, 1, 0]


@pytest.mark.parametrize("kind", [pa.int8(), pa.uint8(), pa.int64(), pa.uint64()])
def test_kinds_of_whole_numbers(path: Path, kind: pa.DataType) -> None:
    spec = write(path, image=pictures(3), label=pa.array([2, 0, 1], kind))
    assert open_data(spec, image_format()).labels.tolist() == [2, 0, 1]


HUGGING_FACE = {"info": {"features": {"label": {"names": list(CLASSES), "_type": "ClassLabel"}}}}


@pytest.mark.parametrize(
    ("metadata", "classes"),
    [
        ({"classes": "cat, dog,fox"}, CLASSES),
        ({"huggingface": json.dumps(HUGGING_FACE)}, CLASSES),
        ({"huggingface": json.dumps({"info": {"features": {"label": {"dtype": "int64"}}}})}, ()),
        ({"huggingface": "{"}, ()),
        ({"huggingface": "[]"}, ()),
        ({"huggingface": "[" * 100_000}, ()),
        ({"classes": b"ca\xff, dog, fox"}, ("ca\N{REPLACEMENT CHARACTER}", "dog", "fox")),
        ({"pandas": "{}"}, ()),
    ],
)
def test_class_names(path: Path, metadata: dict[str, Any], classes: tuple[str, ...]) -> None:
    table = pa.table({"image": pictures(3), "label": [0, 1, 2]}).replace_schema_metadata(metadata)
    parquet.write_table(table, path)
    assert open_data(str(path), image_format(classes=())).classes == classes


@pytest.mark.parametrize("rows", [1, 3, 7, 200])
@pytest.mark.parametrize("limit", [None, 1, 10, 199])
def test_row_groups_and_limits(path: Path, rows: int, limit: int | None) -> None:
    count = 200
    labels = sorted(number % 3 for number in range(count))
    spec = write(path, rows, image=pictures(count), label=labels)
    data = open_data(spec, image_format(), limit)
    chosen = [i * count // limit for i in range(limit)] if limit else list(range(count))
    assert levels(data) == chosen
    assert data.labels.tolist() == [labels[index] for index in chosen]


@pytest.mark.parametrize(("limit", "each"), [(3, 1), (6, 2), (15, 5), (30, 10), (60, 20)])
@pytest.mark.parametrize("cyclic", [True, False])
def test_a_limit_takes_every_class_alike(path: Path, limit: int, each: int, cyclic: bool) -> None:
    labels = [number % 3 for number in range(90)]
    labels = labels if cyclic else sorted(labels)
    data = open_data(write(path, 8, image=pictures(90), label=labels), image_format(), limit)
    assert data.labels.bincount().tolist() == [each] * 3
    assert levels(data) == sorted(levels(data)), "in the data set's order"
    assert data.labels.tolist() == [labels[level] for level in levels(data)]
    assert each == 1 or max(levels(data)) - min(levels(data)) >= 45, "spread over the data set"


def test_damaged_files_are_refused(path: Path) -> None:
    spec = write(path, image=[coded(noise(40, 40, seed)) for seed in range(6)], label=[0, 1, 2] * 2)
    whole = path.read_bytes()
    for damaged in (b"", b"text", whole[:-5], whole[: len(whole) // 2]):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match=r"Cannot read .*pets\.parquet as a Parquet file \("):
            open_data(spec, image_format())
    path.write_bytes(b"PAR1" + b"\xff" * 3000 + whole[3004:])
    with pytest.raises(InputError, match=r"Cannot read .*pets\.parquet as a Parquet file \("):
        open_data(spec, image_format())


def shared_file(folder: Path, name: str) -> str:
    path = folder / "data" / name
    if not path.is_file():
        pytest.skip(f"no {path}")
    return str(path)


def test_the_cifar10_file(shared_folder: Path) -> None:
    spec = shared_file(shared_folder, "cifar10-test.parquet")
    data = open_data(spec, image_format((3, 32, 32), CIFAR10), 500)
    assert data.pixels.shape == (500, 3, 32, 32) and data.found == 500
    assert data.classes == CIFAR10 and data.skipped == ()
    assert data.labels.bincount().tolist() == [50] * 10


def test_the_imagenet_file(shared_folder: Path) -> None:
    spec = shared_file(shared_folder, "imagenet-sample-1000.parquet")
    names = tuple(f"n{number:04}" for number in range(1000))
    data = open_data(spec, image_format((3, 224, 224), names, 256), 20)
    assert data.pixels.shape == (20, 3, 224, 224) and data.skipped == ()
    assert data.labels.tolist() == list(range(0, 1000, 50))
    assert data.pixels.float().std() > 40, "pictures, not a plain colour"
