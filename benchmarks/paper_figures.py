"""The paper's figures, remade from the runs of the tables of results.

After `python -m adadfq_core results --table main` and `--table margins`,
`python benchmarks/paper_figures.py` reads these runs' logs and writes to `results/figures` what the
Results page draws: CSV files of Q's losses, of H' over the epochs and of the latest samples, and a
sheet of G's images for each number of bits. `--surface TABLE.csv` takes the accuracy over both
boundaries from a table that `python -m adadfq_core sweeps table` has written.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import pandas as pd

from adadfq_core import runs
from adadfq_core.ablation.h_prime import h_prime_by_epoch, last_h_prime
from adadfq_core.ablation.q_loss import q_loss_by_epoch
from adadfq_core.home import runs_folder
from adadfq_core.inspection.contact_sheet import contact_sheet
from adadfq_core.presets import MARGINS
from adadfq_core.results.cells import plan
from adadfq_core.results.claims import BASELINE, OURS
from adadfq_core.results.found import find
from adadfq_core.runs.records import RecordKind
from adadfq_core.shell.network_options import Assignments, assigned

FIGURES = ROOT / "benchmarks" / "results" / "figures"
LOW, HIGH = 3, 5
SHEETS = (3, 4, 5)


def runs_of(
    root: Path,
    made: tuple[str, Mapping[str, Any]],
    table: str,
    network: str,
    bits: int,
    method: str,
) -> Sequence[str]:
    """The runs of one row of a table, `made` of a preset and changes; ends where there are none."""
    cells = plan(table, *made, networks=[network], bits=[bits], methods=[method])
    found = [each.run.run_id for each in find(root, cells) if each.run is not None]
    if not found:
        raise SystemExit(f"No run of {method} at {bits} bits: make the table {table} first.")
    return found


def main(
    network: Annotated[str, typer.Option()] = "fashion-resnet20",
    preset: Annotated[str, typer.Option(help="As the tables were made.")] = "quick",
    changes: Assignments = None,
    surface: Annotated[Path | None, typer.Option(help="A sweep's table.")] = None,
    run_dir: Annotated[Path | None, typer.Option(help="Where the runs are.")] = None,
    out: Annotated[Path, typer.Option()] = FIGURES,
) -> None:
    """Write all of it."""
    root = (run_dir or runs_folder()).absolute()
    made = (preset, assigned(changes))
    out.mkdir(parents=True, exist_ok=True)

    def write(name: str, parts: Sequence[pd.DataFrame]) -> None:
        table = pd.concat(parts, ignore_index=True)
        table.to_csv(out / f"{name}.csv", index=False, float_format="%.5g", lineterminator="\n")

    losses, histograms = [], []
    for method in (OURS, BASELINE):
        for bits in (LOW, HIGH):
            ids = runs_of(root, made, "main", network, bits, method)
            losses.append(q_loss_by_epoch(root, *ids).assign(method=method, bits=bits))
            if bits == LOW:
                h_prime = last_h_prime(root, *ids)
                histograms.append(pd.DataFrame({"group": method, "h_prime": h_prime}))
    write("losses", losses)
    write("histograms", histograms)

    bands = []
    for name, method in MARGINS.items():
        table = h_prime_by_epoch(root, *runs_of(root, made, "margins", network, LOW, name))
        bands.append(table.assign(group=name, **method.values))
    write("h-prime", bands)

    shares = []
    for bits in SHEETS:
        run_id = runs_of(root, made, "main", network, bits, OURS)[0]
        record = runs.latest(root, run_id, RecordKind.IMAGES)
        assert record is not None
        arrays = runs.arrays(root, record)
        order = arrays["labels"].argsort(kind="stable")
        (out / f"samples-{bits}.png").write_bytes(contact_sheet(arrays["pixels"][order]))
        share = (arrays["p_logits"].argmax(1) == arrays["labels"]).mean()
        shares.append(pd.DataFrame({"bits": [bits], "share": [share], "count": [len(order)]}))
    write("samples", shares)

    if surface is not None:
        shutil.copyfile(surface, out / "surface.csv")


if __name__ == "__main__":
    typer.run(main)
