"""`python -m adadfq_core export`: the quantized network of a run as a file that runs elsewhere."""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from adadfq_core.errors import InputError, RunFailed
from adadfq_core.export.formats import SUFFIXES, Format
from adadfq_core.files import check_no_folder, expanded
from adadfq_core.home import runs_folder
from adadfq_core.shell.runs import RunDir, RunId
from adadfq_core.shell.telling import megabytes

if TYPE_CHECKING:
    from adadfq_core.export.description import Variant
    from adadfq_core.export.preparation import PreparedFile
    from adadfq_core.export.taking import Taken

_VARIANTS = ("bit-true", "runtime")


def export(
    run_id: RunId,
    format: Annotated[
        Format,
        typer.Option(
            help="onnx; torch (safetensors, a byte a weight); packed (the same at the true bits); "
            "program (torch.export); report (one HTML file with the packed network in it)."
        ),
    ],
    out: Annotated[Path, typer.Option(help="File to write; one that is there is replaced.")],
    variant: Annotated[
        str,
        typer.Option(
            help="Of onnx: bit-true computes what training computed; runtime has symmetric 8-bit "
            "weights and 8-bit activations, for which runtimes have quick code."
        ),
    ] = "bit-true",
    iteration: Annotated[
        int | None,
        typer.Option(help="Take the last checkpoint up to it [default: the newest]."),
    ] = None,
    check: Annotated[
        bool,
        typer.Option("--check/--no-check", help="Measure the file on the run's real images."),
    ] = True,
    own_code: Annotated[
        bool,
        typer.Option("--own-code", help="Let a run whose network is module:function import that."),
    ] = False,
    run_dir: RunDir = None,
) -> None:
    """Write the quantized network of a run to a file, and measure what was written."""
    chosen = _checked_variant(variant, format)
    out = _checked_out(out, format)
    from adadfq_core.export.taking import take

    root = expanded(run_dir or runs_folder()).absolute()
    taken = take(root, run_id, iteration, own_code=own_code)
    if format == Format.REPORT:
        _report(root, taken, out)
        typer.echo(f"report\t{out}\nsize\t{megabytes(out.stat().st_size)}")
        return
    from adadfq_core.export.formats import write

    try:
        write(taken, format, out, chosen)
    except OSError as error:
        raise RunFailed(
            f"'{out}' could not be written ({error.strerror or error}); free some space or choose "
            "another place."
        ) from error
    typer.echo(f"file\t{out}\nsize\t{megabytes(out.stat().st_size)}")
    if check:
        _tell_check(taken, out, format, chosen)


def _checked_variant(variant: str, format: Format) -> Variant:
    if variant == "bit-true":
        return "bit-true"
    if variant == "runtime" and format == Format.ONNX:
        return "runtime"
    if variant == "runtime":
        raise InputError(f"The variant runtime is for onnx alone, not for {format}; leave it out.")
    raise InputError(f"'{variant}' is no variant; choose one of {', '.join(_VARIANTS)}.")


def _checked_out(out: Path, format: Format) -> Path:
    out = expanded(out)
    if out.suffix.lower() != SUFFIXES[format]:
        raise InputError(
            f"'{out}' is not named like a file of format {format}; let its name end in "
            f"{SUFFIXES[format]}."
        )
    if not os.path.isdir(out.absolute().parent):
        raise InputError(f"There is no folder '{out.absolute().parent}'; make it first.")
    check_no_folder(out)
    return out


def _tell_check(taken: Taken, out: Path, format: Format, variant: Variant) -> None:
    """Measure the file against the network that it was made from."""
    from adadfq_core.export.accuracy import accuracy
    from adadfq_core.export.preparing import logits_of, measured

    if taken.real is None:
        typer.echo("The run has no real images, so the file was not measured.", err=True)
        return
    reference = logits_of(taken.q, taken.real.images)
    q = accuracy(reference, taken.real.labels)
    typer.echo(f"images\t{q.images}\nq_top1\t{q.top1:.2f}")
    _tell_file(measured(taken, out, format, variant, reference))


def _tell_file(file: PreparedFile) -> None:
    assert file.accuracy is not None and file.agreement is not None
    low, high = file.accuracy.interval
    typer.echo(f"file_top1\t{file.accuracy.top1:.2f}\ninterval_95\t{low:.2f} to {high:.2f}")
    typer.echo(f"same_predictions\t{file.agreement.percent:.2f}")


def _report(root: Path, taken: Taken, out: Path) -> None:
    # The only thread from the engine to the app: a report is made of the app's charts.
    try:
        run_report = importlib.import_module("app.export.run_report")
    except ModuleNotFoundError as error:
        raise InputError(
            "The report is made of the app's charts, and the app is not beside this package; start "
            "the command from the project's folder."
        ) from error
    run_report.write_report(root, taken, out)
