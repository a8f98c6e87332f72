"""Runs written by hand, as complete as a report can tell of, or with parts missing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from adadfq_core.game.step import SCALARS
from adadfq_core.presets import preset_settings
from adadfq_core.runs import RecordKind, set_labels
from adadfq_core.runs.store import RunStore
from adadfq_core.runs.writer import RunWriter
from app.export.report import ReportContent
from app.run_view import RunView
from tests.app.preparations import description_of, prepared

ITERATIONS = 30
NETWORK_FILE = bytes(range(256)) * 4
CLASSES = ("shirt", "shoe", "bag")


def content_of(
    root: Path,
    *,
    classes: tuple[str, ...] = CLASSES,
    measured: bool = True,
    pictures: bool = True,
    steps: bool = True,
    note: str = "",
    tags: tuple[str, ...] = (),
    network_file: bytes = NETWORK_FILE,
    **settings: Any,
) -> ReportContent:
    """A report's content of a new run with `settings` in `root`.

    `measured`: on real images; `pictures`: with a sheet and a map; `steps`: with iterations.
    """
    random = np.random.default_rng(0)
    run_id = RunStore(root).create_run(preset_settings("interactive", settings), "interactive")
    with RunWriter(root, run_id) as writer:
        data = {"images": 200, "spec": "my photos", "skipped": [], "skipped_count": 0}
        loaded = {"classes": classes, "coverage": [], "data": data if measured else None}
        writer.append(RecordKind.NETWORK, 0, loaded)
        for iteration in range(1, ITERATIONS + 1) if steps else ():
            numbers = dict.fromkeys(SCALARS, 0.5) | {"ms": 50.0, "seconds": iteration}
            numbers |= {"lr_g": 1e-3, "lr_q": 1e-4, "h_prime": random.random(4).tolist()}
            writer.append(RecordKind.STEP, iteration, numbers)
        if steps:
            writer.append(RecordKind.PARAMETERS, 20, {"changes": {"lambda_l": 0.25}})
            value = {"before": 0.5, "after_g": 0.6, "after_q": 0.55}
            writer.append(RecordKind.VALUE, 10, value)
        if measured:
            for network, top1 in (("p", 90.0), ("q_calibrated", 70.0), ("q", 88.0)):
                told = {"network": network, "top1": top1, "seconds": 1.0}
                writer.append(RecordKind.EVALUATION, ITERATIONS, told)
        if pictures:
            _draw(writer, random, len(classes))
    set_labels(root, run_id, tags, note)
    view = RunView.attach(root, run_id)
    frame = view.frame(view.info.settings)
    found = prepared(ITERATIONS, measured=measured)
    description = description_of(run_id, view.info.settings.network)
    images = description.images.model_copy(update={"classes": classes})
    description = description.model_copy(update={"images": images})
    return ReportContent(view, frame, found, description, network_file)


def _draw(writer: RunWriter, random: np.random.Generator, classes: int) -> None:
    labels = np.arange(2 * classes) % classes
    sheet = {
        "labels": labels,
        "h_prime": np.linspace(0, 1, len(labels), dtype=np.float32),
        "pixels": random.integers(0, 256, (len(labels), 1, 8, 8), np.uint8),
        "p_logits": random.standard_normal((len(labels), classes), np.float32),
        "q_logits": random.standard_normal((len(labels), classes), np.float32),
    }
    writer.append(RecordKind.IMAGES, ITERATIONS, {}, sheet)
    for source in ("real", "synthetic"):
        points = {"positions": random.standard_normal((len(labels), 2)), "labels": labels}
        points["adaptability"] = 1 - sheet["h_prime"]
        writer.append(RecordKind.EMBEDDING, ITERATIONS, {"source": source}, points)
