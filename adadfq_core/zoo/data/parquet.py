"""Parquet files with a column of coded pictures and one of labels, with plain pyarrow."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import torch
from pyarrow import parquet, types
from torch import Tensor

from adadfq_core.errors import InputError
from adadfq_core.zoo.data.labels import in_order
from adadfq_core.zoo.data.pixels import Picture, Source

MOST_ROWS = 20_000_000
_BATCH_ROWS = 64
_BUFFER_BYTES = 1 << 20  # without a buffer pyarrow holds a row group's whole column


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split()).rstrip(".")
        raise InputError(
            f"Cannot read {path} as a Parquet file ({reason}); restore the original file."
        ) from error


def open_file(path: Path) -> Source:
    """The data set of a Parquet file; its pictures are read in small batches.

    The picture column has one of `_PICTURES.names`, or else is the only one that holds bytes. It
    holds bytes, paths, or Hugging Face's structs `{bytes, path}`; paths start at the file's folder.
    The label column has one of `_LABELS.names` and holds whole numbers, or names, which are
    sorted. Class names are the metadata's `classes` (comma separated) or Hugging Face's.

    Raises:
        InputError: not a Parquet file, damaged, with more than `MOST_ROWS` rows, without such
            columns, or with a row without label.
    """
    with _reading(path):
        file = parquet.ParquetFile(path, buffer_size=_BUFFER_BYTES, pre_buffer=False)
        schema = file.schema_arrow
        image = _find_column(path, schema, _PICTURES)
        label = _find_column(path, schema, _LABELS)
        _check_size(path, file.metadata.num_rows)
        column = file.read(columns=[label]).column(0)  # by its place: names may occur twice
        if column.null_count:
            row = column.to_pylist().index(None)
            raise InputError(f"Row {row} of {path} has no {label}; remove the rows without one.")
        labels, classes = _numbered(column, _class_names(schema, label))

    def read(indices: Sequence[int]) -> Iterator[tuple[str, Picture]]:
        with _reading(path):
            for row, cell in _cells(file, image, indices):
                yield _located(row, cell, path.parent)

    return Source(labels, classes, read)


def _check_size(path: Path, rows: int) -> None:
    """A file of a few kilobytes may state, and compress, any number of labels."""
    if rows > MOST_ROWS:
        raise InputError(
            f"{path} has {rows:,} rows; at most {MOST_ROWS:,} can be read, so make a smaller file."
        )


def _value_type(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if types.is_dictionary(kind) else kind


def _may_be_picture(kind: pa.DataType) -> bool:
    if types.is_struct(kind):
        return {"bytes", "path"} & {field.name for field in kind} != set()
    return _is_binary(kind) or _is_text(kind)


def _may_be_label(kind: pa.DataType) -> bool:
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


@dataclass(frozen=True)
class _Role:
    """What a column is for, its usual names (the preferred first) and what it must hold."""

    purpose: str
    names: tuple[str, ...]
    suits: Callable[[pa.DataType], bool]
    content: str


_PICTURES = _Role(
    "pictures",
    ("image", "img", "picture", "photo", "images", "jpg", "jpeg", "png"),
    _may_be_picture,
    "coded pictures as bytes, or their paths",
)
_LABELS = _Role(
    "labels",
    ("label", "labels", "fine_label", "class", "target", "category", "y"),
    _may_be_label,
    "whole numbers or names",
)


def _find_column(path: Path, schema: pa.Schema, role: _Role) -> str:
    """Name of the suitable column that is called as `role` says, in any case, or stands out."""
    kinds: dict[str, pa.DataType] = {field.name: _value_type(field.type) for field in schema}
    named = [name for usual in role.names for name in kinds if name.lower() == usual]
    suitable = [name for name in named if role.suits(kinds[name])]
    if suitable:
        return suitable[0]
    coded = [name for name, kind in kinds.items() if _may_be_picture(kind) and not _is_text(kind)]
    if role is _PICTURES and len(coded) == 1:
        return coded[0]
    if named:
        raise InputError(
            f"The column {named[0]} of {path} holds {kinds[named[0]]}; convert it to "
            f"{role.content}."
        )
    columns = ", ".join(f"{name} ({kind})" for name, kind in kinds.items()) or "none"
    raise InputError(
        f"It cannot be told which column of {path} holds the {role.purpose} (there is {columns}); "
        f"name it {' or '.join(role.names[:3])}."
    )


def _class_names(schema: pa.Schema, label: str) -> tuple[str, ...]:
    metadata = schema.metadata or {}
    if b"classes" in metadata:
        names = metadata[b"classes"].decode(errors="replace").split(",")
        return tuple(name.strip() for name in names)
    try:
        features = json.loads(metadata.get(b"huggingface", b"{}"))["info"]["features"]
        return tuple(str(name) for name in features[label]["names"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return ()


def _numbered(column: pa.ChunkedArray, classes: tuple[str, ...]) -> tuple[Tensor, tuple[str, ...]]:
    """int64 `(N,)` and the class names; labels that are names are numbered in sorted order."""
    column = column.cast(_value_type(column.type))
    if types.is_integer(column.type):
        return torch.tensor(column.cast(pa.int64()).to_numpy()), classes
    values = column.to_pylist()
    names = in_order(set(values))
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
