"""Making every file of a quantized network, and showing that each of them is right."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from adadfq_core.errors import InputError
from adadfq_core.export.accuracy import accuracy, agreement
from adadfq_core.export.counting import count
from adadfq_core.export.description import Variant
from adadfq_core.export.formats import SUFFIXES, Format, write
from adadfq_core.export.integer.check import check_integers
from adadfq_core.export.latency import measure_latency
from adadfq_core.export.onnx_file import float_onnx
from adadfq_core.export.opening import Predict, open_exported
from adadfq_core.export.preparation import Preparation, PreparedFile
from adadfq_core.export.taking import Taken
from adadfq_core.training.evaluation import Images, answers

FILES: tuple[tuple[Format, Variant], ...] = (
    (Format.ONNX, "bit-true"),
    (Format.ONNX, "runtime"),
    (Format.TORCH, "bit-true"),
    (Format.PACKED, "bit-true"),
    (Format.PROGRAM, "bit-true"),
)
"""What is made, in that order."""

FLOAT_NAME = "float network P"
_INTEGER_IMAGES = 1000


@torch.inference_mode()
def logits_of(predict: Predict, images: Images) -> Tensor:
    """Logits `(N, C)` of a network for normalised images `(N, ...)`, in batches."""
    return torch.cat([logits for _, logits in answers(predict, images)])


def file_name(taken: Taken, format: Format, variant: Variant = "bit-true") -> str:
    """What a file of `taken` is called: run, iteration and kind."""
    origin = taken.description.origin
    kind = {Format.PACKED: "-packed"}.get(format, "")
    if format == Format.ONNX:
        kind = f"-{variant}"
    return f"{origin.run_id}-{origin.iteration}{kind}{SUFFIXES[format]}"


def prepare(taken: Taken, folder: Path, known: Preparation) -> Iterator[Preparation]:
    """Write every file of `FILES` into `folder` and measure it; yields the state as it grows.

    `known` is the state before the first step. Figures that need real images are left out where
    the run has none.

    Raises:
        RunFailed: a file cannot be written.
    """

    def now(**changes: object) -> Preparation:
        nonlocal known
        known = known.model_copy(update=changes)
        return known

    yield now(doing="counting operations")
    yield now(cost=count(taken.frozen, taken.images.shape))
    real = taken.real
    reference = None
    if real is not None:
        yield now(doing="measuring P")
        yield now(p=accuracy(logits_of(taken.p, real.images), real.labels))
        yield now(doing="measuring Q")
        reference = logits_of(taken.q, real.images)
        yield now(q=accuracy(reference, real.labels))
    for format, variant in FILES:
        yield now(doing=f"writing and measuring {format} ({variant})")
        path = folder / file_name(taken, format, variant)
        write(taken, format, path, variant)
        yield now(files=(*known.files, measured(taken, path, format, variant, reference)))
    bit_true = folder / file_name(taken, Format.ONNX)
    runtime = folder / file_name(taken, Format.ONNX, "runtime")
    if real is not None:
        yield now(doing="computing with integers alone")
        try:
            yield now(integer=check_integers(bit_true, taken.frozen, real.images[:_INTEGER_IMAGES]))
        except InputError as error:
            yield now(no_integer=str(error))
    yield now(doing="measuring latency")
    models = {
        FLOAT_NAME: float_onnx(taken.p, taken.images.shape).SerializeToString(),
        "bit-true file": bit_true,
        "runtime file": runtime,
    }
    rows = measure_latency(models, taken.images.shape)
    yield now(latency=tuple(rows), state="done", doing="", updated=time.time())


def measured(
    taken: Taken, path: Path, format: Format, variant: Variant, reference: Tensor | None
) -> PreparedFile:
    """What the file `path` is seen to do beside Q's logits `reference` for the real images."""
    found, alike = None, None
    if taken.real is not None and reference is not None:
        opened = open_exported(path, taken.p)
        logits = logits_of(opened.predict, taken.real.images)
        found = accuracy(logits, taken.real.labels)
        alike = agreement(reference, logits)
    return PreparedFile(
        name=path.name,
        format=format,
        variant=variant,
        bytes=path.stat().st_size,
        accuracy=found,
        agreement=alike,
    )
