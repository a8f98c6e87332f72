"""Running an ONNX model with onnxruntime."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import onnxruntime
import torch
from torch import Tensor

from adadfq_core.errors import InputError
from adadfq_core.export.description import Description
from adadfq_core.export.onnx_reading import description_of, load_model

_FATAL = 4
_LONGEST_REASON = 200


def open_session(
    model: bytes | Path, threads: int, name: str = "The model"
) -> onnxruntime.InferenceSession:
    """A session on the CPU for a model in memory or in a file, with that many threads.

    `name` is what an error calls a model in memory.

    Raises:
        InputError: no such file, or onnxruntime does not take the model.
    """
    if isinstance(model, Path) and not os.path.isfile(model):
        raise InputError(f"There is no file {model}; check its path.")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = _FATAL
    # Threads that wait busily would take the cores from what comes next, or trains beside them.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    source = str(model) if isinstance(model, Path) else model
    try:
        return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own classes have no common base
        what = str(model) if isinstance(model, Path) else name
        raise InputError(
            f"{what} is no ONNX model that onnxruntime {onnxruntime.__version__} can read "
            f"({told_by_onnxruntime(error)}); export it again."
        ) from error


def told_by_onnxruntime(error: Exception) -> str:
    """What onnxruntime says, without its codes in front and short enough for a sentence."""
    text = " ".join(str(error).split()).split(" : ", 3)[-1]
    return text[:_LONGEST_REASON].rstrip(".")


def predictor(session: onnxruntime.InferenceSession) -> Callable[[Tensor], Tensor]:
    """Maps images `(B, C, H, W)` to the session's logits `(B, classes)`."""
    name = session.get_inputs()[0].name

    def predict(images: Tensor) -> Tensor:
        return torch.from_numpy(session.run(None, {name: images.numpy()})[0])

    return predict


def open_onnx(path: Path, threads: int) -> tuple[Callable[[Tensor], Tensor], Description]:
    """A predictor of the model in `path`, and its description.

    Raises:
        InputError: it is no readable model, or not one of `save_onnx`.
    """
    description = description_of(load_model(path), path)
    return predictor(open_session(path, threads)), description
