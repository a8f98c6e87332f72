"""Parquet files with a column of coded pictures and one of labels, with plain pyarrow."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import torch
from pyarrow import parquet, types
from torch import Tensor

from adadfq_core.errors import InputError
from adadfq_core.zoo.data.pixels import Picture, Source

IMAGE_COLUMNS = ("image", "img", "picture", "photo", "images", "jpg", "jpeg", "png")
LABEL_COLUMNS = ("label", "labels", "fine_label", "class", "target", "category", "y")
_BATCH_ROWS = 64
_BUFFER_BYTES = 1 << 20  # without a buffer pyarrow holds a row group's whole column


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        reason = " ".join(str(error).split()).rstrip(".")
        raise InputError(
            f"Cannot read {path} as a Parquet file ({reason}); restore the original file."
        ) from error


def open_file(path: Path) -> Source:
    """The data set of a Parquet file; its pictures are read in small batches.

    The picture column is one named in `IMAGE_COLUMNS`, else the only one that can be, and holds
    bytes, paths, or Hugging Face's structs `{bytes, path}`; paths start at the file's folder. The
    label column is the first of `LABEL_COLUMNS`, with whole numbers or with names, which are
    sorted. Class names are the metadata's `classes` (comma separated) or Hugging Face's.

    Raises:
        InputError: not a Parquet file, damaged, without such columns, or with a row without label.
    """
    with _reading(path):
        file = parquet.ParquetFile(path, buffer_size=_BUFFER_BYTES, pre_buffer=False)
        schema = file.schema_arrow
        image = _find_column(path, schema, IMAGE_COLUMNS, _may_be_picture, "pictures", alone=True)
        label = _find_column(path, schema, LABEL_COLUMNS, _may_be_label, "labels", alone=False)
        column = file.read(columns=[label]).column(label)
        if column.null_count:
            row = column.to_pylist().index(None)
            raise InputError(f"Row {row} of {path} has no {label}; remove the rows without one.")
        labels, classes = _numbered(column, _class_names(schema, label))

    def read(indices: Sequence[int]) -> Iterator[tuple[str, Picture]]:
        with _reading(path):
            for row, cell in _cells(file, image, indices):
                yield _located(row, cell, path.parent)

    return Source(labels, classes, read)


def _find_column(
    path: Path,
    schema: pa.Schema,
    names: tuple[str, ...],
    suits: Callable[[pa.DataType], bool],
    purpose: str,
    *,
    alone: bool,
) -> str:
    """Name of the first of `names` (in any case), or of the only suitable column if `alone`."""
    suitable = [field.name for field in schema if suits(field.type)]
    for wanted in names:
        for name in suitable:
            if name.lower() == wanted:
                return str(name)
    coded = [name for name in suitable if not types.is_string(schema.field(name).type)]
    if alone and len(coded) == 1:
        return str(coded[0])
    columns = ", ".join(f"{field.name} ({field.type})" for field in schema)
    raise InputError(
        f"{path} has the columns {columns}, and none is known as that of the {purpose}; name it "
        f"{' or '.join(names[:3])}."
    )


def _may_be_picture(kind: pa.DataType) -> bool:
    if types.is_struct(kind):
        return {"bytes", "path"} & {field.name for field in kind} != set()
    return _is_binary(kind) or _is_text(kind)


def _may_be_label(kind: pa.DataType) -> bool:
    if types.is_dictionary(kind):
        kind = kind.value_type
    return types.is_integer(kind) or _is_text(kind)


def _is_binary(kind: pa.DataType) -> bool:
    return bool(
        types.is_binary(kind)
        or types.is_large_binary(kind)
        or types.is_binary_view(kind)
        or types.is_fixed_size_binary(kind)
    )


def _is_text(kind: pa.DataType) -> bool:
    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind))


def _class_names(schema: pa.Schema, label: str) -> tuple[str, ...]:
    metadata = schema.metadata or {}
    if b"classes" in metadata:
        return tuple(name.strip() for name in metadata[b"classes"].decode().split(","))
    try:
        features = json.loads(metadata.get(b"huggingface", b"{}"))["info"]["features"]
        return tuple(str(name) for name in features[label]["names"])
    except (ValueError, KeyError, TypeError):
        return ()


def _numbered(column: pa.ChunkedArray, classes: tuple[str, ...]) -> tuple[Tensor, tuple[str, ...]]:
    """int64 `(N,)` and the class names; labels that are names are numbered in sorted order."""
    if types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if types.is_integer(column.type):
        return torch.tensor(column.cast(pa.int64()).to_numpy()), classes
    values = column.to_pylist()
    names = sorted(set(values))
    number = {name: index for index, name in enumerate(names)}
    return torch.tensor([number[value] for value in values]), tuple(names)


def _cells(
    file: parquet.ParquetFile, column: str, indices: Sequence[int]
) -> Iterator[tuple[int, Any]]:
    """Row and value of `column` at the ascending `indices`; other row groups are not read."""
    sizes = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
    starts = np.concatenate([[0], np.cumsum(sizes)])
    group_of = np.searchsorted(starts, indices, side="right") - 1
    for group, pairs in groupby(zip(group_of.tolist(), indices, strict=True), lambda p: p[0]):
        rows = [row for _, row in pairs]
        first = int(starts[group])
        for batch in file.iter_batches(_BATCH_ROWS, row_groups=[group], columns=[column]):
            while rows and rows[0] < first + len(batch):
                row = rows.pop(0)
                yield row, batch.column(0)[row - first].as_py()
            first += len(batch)
            if not rows:
                break


def _located(row: int, cell: Any, folder: Path) -> tuple[str, Picture]:
    """Where the picture of a row is, in words, and the picture."""
    if isinstance(cell, dict):
        cell = cell.get("bytes") or cell.get("path")
    if isinstance(cell, str) and cell:
        return f"row {row} ({cell})", folder / cell
    return f"row {row}", cell or None
