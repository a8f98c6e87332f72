"""Reading ONNX models that `onnx_file.save_onnx` has written."""

from __future__ import annotations

import os
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError

from adadfq_core.errors import InputError
from adadfq_core.export.description import KEY, Description, from_yaml, missing


def load_model(path: Path) -> onnx.ModelProto:
    """The model of the file `path`; no other file is read for it.

    Raises:
        InputError: no such file, or a damaged one.
    """
    if not os.path.isfile(path):
        raise InputError(f"There is no file {path}; check its path.")
    try:
        return onnx.load(str(path), load_external_data=False)
    except (DecodeError, ValueError, OSError) as error:
        raise damaged(path, error) from error


def damaged(where: object, error: Exception) -> InputError:
    """The error of a file that is no whole model."""
    reason = " ".join(str(error).split())[:300]
    return InputError(
        f"{where} is not a readable ONNX model ({reason}); it may be cut off or damaged: copy or "
        "export it again."
    )


def description_of(model: onnx.ModelProto, where: object) -> Description:
    """What the model says of itself; `where` is what an error calls it.

    Raises:
        InputError: it was not exported here.
    """
    text = {entry.key: entry.value for entry in model.metadata_props}.get(KEY)
    if text is None:
        raise missing(where)
    return from_yaml(text, where)
