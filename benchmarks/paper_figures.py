"""The paper's figures, remade from the runs of the tables of results.

After `python -m adadfq_core results --table main` and `--table margins`,
`python benchmarks/paper_figures.py` reads these runs' logs and writes to `results/figures` what the
Results and Ablation pages draw: CSV files of Q's losses, of H' over the epochs and of the latest
samples, and a sheet of G's images for each number of bits. `--only losses` writes these alone:
their course shows where the table was made with `--set evaluate_every=50`, which is another one.
`--surface TABLE.csv` takes the accuracy over both boundaries from a table that
`python -m adadfq_core sweeps table` has written.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import pandas as pd

from adadfq_core.ablation.h_prime import h_prime_by_epoch, last_h_prime
from adadfq_core.ablation.q_loss import q_loss_by_epoch
from adadfq_core.home import runs_folder
from adadfq_core.inspection.latest_sheet import latest_sheet
from adadfq_core.presets import MARGINS
from adadfq_core.results.cells import plan
from adadfq_core.results.claims import BASELINE, OURS
from adadfq_core.results.found import find
from adadfq_core.shell.network_options import Assignments, assigned

FIGURES = ROOT / "benchmarks" / "results" / "figures"
LOW, HIGH = 3, 5
SHEETS = (3, 4, 5)


@dataclass(frozen=True)
class Source:
    """Where the numbers come from: a store, a network, and how its tables were made."""

    root: Path
    network: str
    made: tuple[str, Mapping[str, Any]]

    def runs(self, table: str, bits: int, method: str) -> Sequence[str]:
        """The runs of one row of a table; ends where there are none."""
        cells = plan(table, *self.made, networks=[self.network], bits=[bits], methods=[method])
        found = [each.run.run_id for each in find(self.root, cells) if each.run is not None]
        if not found:
            raise SystemExit(f"No run of {method} at {bits} bits: make the table {table} first.")
        return found


def write(out: Path, name: str, parts: Sequence[pd.DataFrame]) -> None:
    """The rows of `parts` as a file of numbers."""
    table = pd.concat(parts, ignore_index=True)
    table.to_csv(out / f"{name}.csv", index=False, float_format="%.5g", lineterminator="\n")


def losses(source: Source, out: Path) -> None:
    """What Q learns by and what it is on real images, over the epochs."""
    parts = [
        q_loss_by_epoch(source.root, *source.runs("main", bits, method)).assign(
            method=method, bits=bits
        )
        for method in (OURS, BASELINE)
        for bits in (LOW, HIGH)
    ]
    write(out, "losses", parts)


def histograms(source: Source, out: Path) -> None:
    """H' of the latest samples."""
    parts = []
    for method in (OURS, BASELINE):
        h_prime = last_h_prime(source.root, *source.runs("main", LOW, method))
        parts.append(pd.DataFrame({"group": method, "h_prime": h_prime}))
    write(out, "histograms", parts)


def h_prime(source: Source, out: Path) -> None:
    """H' over the epochs, for each margin."""
    parts = [
        h_prime_by_epoch(source.root, *source.runs("margins", LOW, name)).assign(
            group=name, **method.values
        )
        for name, method in MARGINS.items()
    ]
    write(out, "h-prime", parts)


def samples(source: Source, out: Path) -> None:
    """A sheet of G's images for each number of bits."""
    shares = []
    for bits in SHEETS:
        sheet = latest_sheet(source.root, source.runs("main", bits, OURS)[0])
        assert sheet is not None
        (out / f"samples-{bits}.png").write_bytes(sheet.png)
        numbers = {"bits": bits, "share": sheet.recognised, "count": sheet.count}
        shares.append(pd.DataFrame([numbers]))
    write(out, "samples", shares)


FROM_RUNS = {"losses": losses, "histograms": histograms, "h-prime": h_prime, "samples": samples}


def main(
    only: Annotated[
        list[str] | None, typer.Option(help=f"Of {', '.join(FROM_RUNS)}, repeatable.")
    ] = None,
    network: Annotated[str, typer.Option()] = "fashion-resnet20",
    preset: Annotated[str, typer.Option(help="As the tables were made.")] = "quick",
    changes: Assignments = None,
    surface: Annotated[Path | None, typer.Option(help="A sweep's table.")] = None,
    run_dir: Annotated[Path | None, typer.Option(help="Where the runs are.")] = None,
    out: Annotated[Path, typer.Option()] = FIGURES,
) -> None:
    """Write all of it."""
    unknown = set(only or ()) - set(FROM_RUNS)
    if unknown:
        raise typer.BadParameter(f"--only {unknown.pop()} is none of {', '.join(FROM_RUNS)}.")
    root = (run_dir or runs_folder()).absolute()
    out.mkdir(parents=True, exist_ok=True)
    for name in only or FROM_RUNS:
        FROM_RUNS[name](Source(root, network, (preset, assigned(changes))), out)
    if surface is not None:
        shutil.copyfile(surface, out / "surface.csv")


if __name__ == "__main__":
    typer.run(main)
