"""The latest of G's images that a run has stored, as one sheet."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from adadfq_core.inspection.contact_sheet import contact_sheet
from adadfq_core.inspection.samples import read_sheet
from adadfq_core.runs.records import RecordKind
from adadfq_core.runs.store import RunStore


@dataclass(frozen=True)
class LatestSheet:
    """Images of one moment, in the order of the classes that G was asked for.

    Attributes:
        png: the images side by side.
        iteration: when they were made.
        count: how many there are.
        recognised: the share of them, in [0, 1], that P takes for the class asked of G.
    """

    png: bytes
    iteration: int
    count: int
    recognised: float


def latest_sheet(root: Path, run_id: str) -> LatestSheet | None:
    """The latest images of a run; `None` where it has stored none yet.

    Raises:
        InputError: there is no such run.
        RunFailed: the file of the images is missing or damaged.
    """
    store = RunStore(root)
    about = store.latest(run_id, RecordKind.NETWORK)
    record = store.latest(run_id, RecordKind.IMAGES)
    if about is None or record is None:
        return None
    arrays = read_sheet(store, record, len(about.data["classes"]))
    labels = arrays["labels"]
    return LatestSheet(
        png=contact_sheet(arrays["pixels"][labels.argsort(kind="stable")]),
        iteration=record.iteration,
        count=len(labels),
        recognised=float((arrays["p_logits"].argmax(1) == labels).mean()),
    )
