"""Preparations written by hand, as if a process had made and measured the files."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from adadfq_core.export.accuracy import Accuracy, Agreement
from adadfq_core.export.cost import Cost, LayerCost
from adadfq_core.export.description import KEY, Description, Images, Origin
from adadfq_core.export.formats import SUFFIXES, Format
from adadfq_core.export.integer.check import IntegerCheck, SiteComparison
from adadfq_core.export.latency import LatencyRow
from adadfq_core.export.preparation import Preparation, PreparedFile
from adadfq_core.export.preparing import FILES, FLOAT_NAME

COST = Cost((LayerCost("conv", 1000, 3, 32, 5000), LayerCost("linear", 80, 8, 3, 80)), 20)
INTEGER = IntegerCheck(
    images=200,
    site_by_site=(SiteComparison("relu", 999, 1000, 1),),
    end_to_end=(SiteComparison("relu", 990, 1000, 2),),
    agreement=Agreement(198, 200, 0.25),
    integer=None,
    fake_quantized=None,
)
LATENCY = tuple(
    LatencyRow(name, batch, threads, median, 0.9 * median, 1.2 * median)
    for threads in (1, 2)
    for batch in (1, 64)
    for name, median in (
        (FLOAT_NAME, 1.0 * batch),
        ("bit-true file", 2.0 * batch),
        ("runtime file", batch),
    )
)


def file_of(
    format: Format = Format.ONNX,
    variant: Any = "bit-true",
    correct: int | None = 176,
    same: int = 200,
    images: int = 200,
) -> PreparedFile:
    """A file with `correct` right answers, `None` for not measured."""
    found, alike = None, None
    if correct is not None:
        found, alike = Accuracy(correct, images), Agreement(same, images, 1e-6)
    name = f"{variant}-{format}{SUFFIXES[format]}"
    return PreparedFile(
        name=name, format=format, variant=variant, bytes=1234, accuracy=found, agreement=alike
    )


def prepared(iteration: int, *, measured: bool = True, **changes: Any) -> Preparation:
    """One that is done, with `changes`; its friendly ONNX file alone is not as Q."""
    files = []
    for format, variant in FILES:
        correct, same = (170, 150) if variant == "runtime" else (176, 200)
        files.append(file_of(format, variant, correct if measured else None, same))
    values = {
        "state": "done",
        "doing": "",
        "updated": time.time(),
        "p": Accuracy(180, 200) if measured else None,
        "q": Accuracy(176, 200) if measured else None,
        "cost": COST,
        "files": tuple(files),
        "integer": INTEGER if measured else None,
        "latency": LATENCY,
    }
    return Preparation(iteration=iteration, **{**values, **changes})


def description_of(run_id: str, network: str = "fashion-resnet20") -> Description:
    """What the files of a run would say of themselves."""
    return Description(
        network=network,
        weight_bits=3,
        activation_bits=3,
        images=Images(shape=(1, 8, 8), mean=(0.25,), std=(0.5,), classes=("shirt", "shoe", "bag")),
        data="my photos",
        origin=Origin(run_id=run_id, iteration=30, seed=0, method="adadfq"),
        versions={"adadfq-playground": "1.2.3", "torch": "4.5.6"},
    )


def write_files(folder: Path, found: Preparation, run_id: str) -> None:
    """The files of `found`: no networks, but what they say of themselves is real."""
    folder.mkdir(parents=True, exist_ok=True)
    text = description_of(run_id).to_yaml()
    for file in found.files:
        if SUFFIXES[file.format] == ".safetensors":
            save_file({"codes": torch.zeros(3, dtype=torch.uint8)}, folder / file.name, {KEY: text})
        else:
            (folder / file.name).write_bytes(file.name.encode())
