"""What is being made ready of a run to be taken away, as a file that the page reads.

`<run>/exports/<iteration>/` holds the files and `preparation.json`, which its process rewrites
after every step.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from adadfq_core.errors import RunFailed
from adadfq_core.export.accuracy import Accuracy, Agreement
from adadfq_core.export.cost import Cost
from adadfq_core.export.description import Variant
from adadfq_core.export.formats import Format
from adadfq_core.export.integer.check import IntegerCheck
from adadfq_core.export.latency import LatencyRow
from adadfq_core.files import replace_atomically
from adadfq_core.runs.control import gone
from adadfq_core.runs.process import end_reason

EXPORTS = "exports"
_FILE = "preparation.json"

State = Literal["going", "done", "failed"]


class PreparedFile(BaseModel):
    """One file and what it was seen to do.

    Attributes:
        name: within the folder.
        accuracy: on the run's real images; `None` where there are none.
        agreement: with the fake-quantized network in PyTorch; likewise.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    format: Format
    variant: Variant
    bytes: int
    accuracy: Accuracy | None = None
    agreement: Agreement | None = None


class Preparation(BaseModel):
    """The state of one preparation; figures that are not there yet, or not to be had, are `None`.

    Attributes:
        doing: in words.
        reason: why it failed, a sentence.
        p, q: accuracy of the full-precision and of the fake-quantized network in PyTorch.
        integer: the integer check of the bit-true file; `no_integer` says why there is none.
    """

    model_config = ConfigDict(frozen=True)

    iteration: int
    state: State = "going"
    doing: str = "starting"
    reason: str = ""
    pid: int | None = None
    process_started: float | None = None
    updated: float
    p: Accuracy | None = None
    q: Accuracy | None = None
    cost: Cost | None = None
    files: tuple[PreparedFile, ...] = ()
    integer: IntegerCheck | None = None
    no_integer: str = ""
    latency: tuple[LatencyRow, ...] = ()

    def file(self, format: Format, variant: Variant = "bit-true") -> PreparedFile | None:
        """The file of that kind, once it is there."""
        for file in self.files:
            if (file.format, file.variant) == (format, variant):
                return file
        return None


def folder_of(run_folder: Path, iteration: int) -> Path:
    """Where the files of Q at `iteration` lie."""
    return run_folder / EXPORTS / str(iteration)


def write_preparation(folder: Path, preparation: Preparation) -> None:
    """Keep the state; whole or not at all.

    Raises:
        RunFailed: the folder cannot be written.
    """
    text = preparation.model_copy(update={"updated": time.time()}).model_dump_json()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with replace_atomically(folder / _FILE) as temporary:
            temporary.write_text(text, encoding="utf-8")
    except OSError as error:
        raise RunFailed(
            f"'{folder}' cannot be written ({error.strerror or error}); free some space or make "
            "the run folder writable."
        ) from error


def read_preparation(folder: Path) -> Preparation | None:
    """The state, where one was written; one whose process is gone has failed.

    A file that cannot be read counts as none: preparing again replaces it.
    """
    try:
        text = (folder / _FILE).read_text(encoding="utf-8")
        found = Preparation.model_validate_json(text)
    except (OSError, ValidationError):
        return None
    if found.state != "going" or not gone(found):
        return found
    reason = end_reason(found.pid, folder)
    return found.model_copy(update={"state": "failed", "reason": reason})
