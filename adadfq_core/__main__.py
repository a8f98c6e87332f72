"""The same abilities from a shell: `python -m adadfq_core --help`.

Exit codes: 0 done, 1 failed, 2 bad input.
"""

from __future__ import annotations

import io
import sys

import typer

from adadfq_core.errors import InputError, RunFailed
from adadfq_core.shell.ablate import ablate
from adadfq_core.shell.doctor import doctor
from adadfq_core.shell.evaluate import evaluate
from adadfq_core.shell.export import export
from adadfq_core.shell.results import results
from adadfq_core.shell.runs import runs_commands
from adadfq_core.shell.sinks import log_to_mlflow, write_tensorboard
from adadfq_core.shell.sweeps import sweeps_commands
from adadfq_core.shell.telling import printable
from adadfq_core.shell.train import train
from adadfq_core.shell.zoo import zoo_commands

runs_commands.command("tensorboard")(write_tensorboard)
runs_commands.command("mlflow")(log_to_mlflow)

application = typer.Typer(
    help="AdaDFQ Playground: quantize a trained network without its training data.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
application.command()(train)
application.command()(ablate)
application.command()(results)
application.command("eval")(evaluate)
application.command()(export)
application.command()(doctor)
application.add_typer(runs_commands, name="runs")
application.add_typer(sweeps_commands, name="sweeps")
application.add_typer(zoo_commands, name="zoo")


def main() -> None:
    """Run the command line; failures are one sentence on stderr."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # Names of files and texts of users may hold what the terminal's encoding does not.
            stream.reconfigure(errors="backslashreplace")
    try:
        application()
    except InputError as error:
        print(f"Error: {printable(str(error))}", file=sys.stderr)
        sys.exit(2)
    except RunFailed as error:
        print(f"Error: {printable(str(error))}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
