"""The formats in which Q is taken away."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from adadfq_core.export.description import Variant
    from adadfq_core.export.taking import Taken


class Format(StrEnum):
    """What `export --format` takes."""

    ONNX = "onnx"
    TORCH = "torch"
    PACKED = "packed"
    PROGRAM = "program"
    REPORT = "report"


SUFFIXES = {
    Format.ONNX: ".onnx",
    Format.TORCH: ".safetensors",
    Format.PACKED: ".safetensors",
    Format.PROGRAM: ".pt2",
    Format.REPORT: ".html",
}


def write(taken: Taken, format: Format, path: Path, variant: Variant = "bit-true") -> None:
    """Write Q to `path`; `variant` is for ONNX alone. A report is made by `app.export`.

    Raises:
        RunFailed: as `onnx_file.save_onnx`.
    """
    frozen, description = taken.frozen, taken.description
    if format == Format.ONNX:
        from adadfq_core.export.onnx_file import save_onnx
        from adadfq_core.export.runtime_variant import for_runtimes

        if variant == "runtime":
            frozen = for_runtimes(frozen, taken.images, taken.samples)
        save_onnx(frozen, description.model_copy(update={"variant": variant}), path)
    elif format == Format.PROGRAM:
        from adadfq_core.export.program_file import save_program

        save_program(frozen, description, path)
    else:
        from adadfq_core.export.torch_file import save_torch

        packed = format == Format.PACKED
        save_torch(frozen, description.model_copy(update={"packed": packed}), path)
