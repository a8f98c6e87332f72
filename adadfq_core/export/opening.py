"""Any file of a quantized network, opened to classify images."""

from __future__ import annotations

import base64
import binascii
import os
import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from adadfq_core.errors import InputError
from adadfq_core.export.description import Description
from adadfq_core.export.formats import SUFFIXES, Format

Predict = Callable[[Tensor], Tensor]
"""From normalised images `(B, C, H, W)` to logits `(B, classes)`."""

# As the report writes its network, in reasonable bounds.
_NETWORK_IN_REPORT = re.compile(
    rb'<a[^>]*\bid="network"[^>]*href="data:application/octet-stream;base64,([A-Za-z0-9+/=]*)"'
)
_MOST_REPORT_BYTES = 256 * 2**20


@dataclass(frozen=True, eq=False)
class Opened:
    """A network that classifies, and what its file says of it."""

    predict: Predict
    description: Description


def open_exported(path: Path, network: nn.Module | None = None, threads: int = 1) -> Opened:
    """The quantized network that `export` has written to `path`, in whichever format.

    Args:
        network: the architecture, for a network that is no name of the zoo.
        threads: of onnxruntime; PyTorch's are the process's own.

    Raises:
        InputError: no such file, not one of `export`, or a damaged one.
    """
    if not os.path.isfile(path):
        raise InputError(f"There is no file {path}; check its path.")
    suffix = path.suffix.lower()
    if suffix == SUFFIXES[Format.ONNX]:
        from adadfq_core.export.onnx_session import open_onnx

        return Opened(*open_onnx(path, threads))
    if suffix == SUFFIXES[Format.PROGRAM]:
        from adadfq_core.export.program_file import load_program

        module, description = load_program(path)
        return Opened(_without_gradients(module), description)
    if suffix == SUFFIXES[Format.TORCH]:
        return _safetensors(path, network)
    if suffix == SUFFIXES[Format.REPORT]:
        return _within_report(path, network)
    raise InputError(
        f"{path} is no file of a quantized network; its name must end in "
        f"{', '.join(dict.fromkeys(SUFFIXES.values()))}."
    )


def _without_gradients(module: nn.Module) -> Predict:
    def predict(images: Tensor) -> Tensor:
        with torch.no_grad():
            logits: Tensor = module(images)
        return logits

    return predict


def _safetensors(path: Path, network: nn.Module | None) -> Opened:
    from adadfq_core.export.torch_file import load_quantized, read_description

    return Opened(_without_gradients(load_quantized(path, network)), read_description(path))


def _within_report(path: Path, network: nn.Module | None) -> Opened:
    """The network that the report `path` carries."""
    size = path.stat().st_size
    found = None
    if size <= _MOST_REPORT_BYTES:
        found = _NETWORK_IN_REPORT.search(path.read_bytes())
    if found is None:
        raise InputError(
            f"{path} carries no network; give the file of the network itself, or export the report "
            "again (a network of many megabytes is left out)."
        )
    try:
        content = base64.b64decode(found[1], validate=True)
    except binascii.Error as error:
        raise InputError(
            f"The network within {path} is damaged; export the report again."
        ) from error
    with tempfile.TemporaryDirectory() as folder:
        inner = Path(folder) / f"{path.stem}.safetensors"
        inner.write_bytes(content)
        return _safetensors(inner, network)
