"""The report of a run, from what is stored of it and what was prepared to be taken away."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from adadfq_core import runs
from adadfq_core.errors import RunFailed
from adadfq_core.export.formats import Format
from adadfq_core.export.preparation import Preparation
from adadfq_core.export.preparing import prepare
from adadfq_core.export.taking import Taken
from adadfq_core.export.torch_file import read_description
from adadfq_core.files import replace_atomically
from app.export.report import ReportContent, report_html
from app.run_view import RunView


def write_report(root: Path, taken: Taken, out: Path) -> None:
    """Prepare and measure every file of `taken`, a run's of `root`, and write its report to `out`.

    Raises:
        InputError: the run is gone.
        RunFailed: `out` or a temporary file cannot be written.
    """
    origin = taken.description.origin
    begun = Preparation(iteration=origin.iteration, updated=time.time())
    try:
        with replace_atomically(out) as temporary, tempfile.TemporaryDirectory() as folder:
            # What cannot be written is told before minutes of measuring, not after.
            temporary.touch()
            *_, found = prepare(taken, Path(folder), begun)
            temporary.write_bytes(report_bytes(root, origin.run_id, found, Path(folder)))
    except OSError as error:
        raise RunFailed(
            f"'{out}' could not be written ({error.strerror or error}); free some space or choose "
            "another place."
        ) from error


def report_bytes(root: Path, run_id: str, found: Preparation, folder: Path) -> bytes:
    """The report of a run of `root` as an HTML file, from its finished preparation in `folder`.

    Raises:
        InputError: there is no such run, or the packed file is missing or damaged.
        RunFailed: something of the run cannot be read.
    """
    packed = found.file(Format.PACKED)
    assert packed is not None
    path = folder / packed.name
    view = RunView.attach(root, run_id)
    content = ReportContent(
        view=view,
        frame=view.frame(runs.current_settings(root, run_id)),
        preparation=found,
        description=read_description(path),
        network_file=path.read_bytes(),
    )
    return report_html(content).encode()
