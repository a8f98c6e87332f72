"""`python -m adadfq_core results`: the tables that compare this program with the paper."""

from __future__ import annotations

import contextlib
import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from adadfq_core.errors import InputError, RunFailed
from adadfq_core.files import expanded
from adadfq_core.home import runs_folder
from adadfq_core.presets import DEFAULT_PRESET
from adadfq_core.results.cells import NETWORKS, SEEDS, Cell, Table, find_table, plan
from adadfq_core.shell.configuring import seeds_of
from adadfq_core.shell.network_options import Assignments, Weights, assigned, checked
from adadfq_core.shell.telling import print_table, printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

    from adadfq_core.results.found import Found
    from adadfq_core.results.rows import Row
    from adadfq_core.runs import RunInfo


def _bits(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise InputError(
            f"--bits {text} is not a list of whole numbers from 2 to 8, e.g. 3,4,5."
        ) from None


def _methods(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(","))


def _data_of(given: Sequence[str], networks: Sequence[str]) -> dict[str, str]:
    """What `--data` says, by network."""
    found = {}
    for text in given:
        name, separator, spec = text.partition("=")
        if separator and name in networks:
            found[name] = spec
        elif len(networks) == 1:
            found[networks[0]] = text
        else:
            raise InputError(
                f"--data {text} would hold for {len(networks)} networks; write NETWORK=DATA with "
                f"one of {', '.join(networks)}."
            )
    return found


def results(
    table: Annotated[
        str,
        typer.Option(
            help="main (methods at 3, 4 and 5 bits), ablation (parts of the method, at 3) or "
            "margins (three of them, at 3)."
        ),
    ] = "main",
    out: Annotated[Path, typer.Option(help="Folder of the files TABLE.md and TABLE.csv.")] = Path(
        "results"
    ),
    preset: Annotated[
        str, typer.Option(help="Named settings that all runs start from.")
    ] = DEFAULT_PRESET,
    network: Annotated[
        list[str] | None,
        typer.Option(
            help="A network in place of the project's own two, repeatable: a name of the zoo, or "
            "module:function of your own (its code runs)."
        ),
    ] = None,
    weights: Weights = None,
    data: Annotated[
        list[str] | None,
        typer.Option(
            help="Labelled real images that measure accuracy: DATA, or NETWORK=DATA for one of "
            "several networks, repeatable."
        ),
    ] = None,
    bits: Annotated[
        str | None, typer.Option(help="Bits of weights and activations alike, e.g. 3,4.")
    ] = None,
    methods: Annotated[
        str | None, typer.Option(help="Rows to restrict the table to, e.g. AdaDFQ,GDFQ.")
    ] = None,
    seeds: Annotated[
        str, typer.Option(help="Number of seeds, or seeds such as 4,7.")
    ] = f"{len(SEEDS)}",
    assignments: Assignments = None,
    run_dir: Annotated[
        Path | None, typer.Option(help="Folder that keeps runs [default: in ADADFQ_HOME].")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Tell what is there and what is missing; run nothing.")
    ] = False,
) -> None:
    """Make a table of results: run or resume what is missing, one run after the other.

    Both files are written after every run, and the same command goes on where it ended: neither
    runs that have a cell's settings nor numbers that are in the table already, or in another one
    beside it, are made twice.
    Ctrl-C stops the run that goes.
    """
    networks = tuple(network or NETWORKS)
    cells = [
        replace(cell, settings=checked(cell.settings))
        for cell in plan(
            table,
            preset,
            assigned(assignments, weights=weights),
            networks=networks,
            data=_data_of(data or (), networks),
            bits=_bits(bits) if bits is not None else (),
            methods=_methods(methods) if methods is not None else (),
            seeds=seeds_of(seeds),
        )
    ]
    root = expanded(run_dir or runs_folder()).absolute()
    making = _Making(root, find_table(table), cells, preset, expanded(out).absolute())
    if dry_run:
        _tell_states(making.found())
    else:
        making.run()


def _tell_states(found: Sequence[Found]) -> None:
    print_table(
        ("network", "bits", "method", "seed", "state", "run"),
        [
            (
                *(each.cell.network, str(each.cell.bits), each.cell.method, str(each.cell.seed)),
                str(each.state),
                each.run.run_id if each.run else "",
            )
            for each in found
        ],
    )


class _Making:
    """A table on its way: what is measured so far, its files, and the bars that show it."""

    def __init__(
        self, root: Path, table: Table, cells: Sequence[Cell], preset: str, folder: Path
    ) -> None:
        from adadfq_core.results.lending import lent_rows

        self._root = root
        self._table = table
        self._cells = cells
        self._preset = preset
        self._folder = folder
        self._command = shlex.join(["python", "-m", "adadfq_core", *sys.argv[1:]])
        self._left_out: dict[str, str] = {}
        self._lent = lent_rows(self._folder, self._table, self._cells)
        self._kept = self._read()

    def _read(self) -> list[Row]:
        """The rows of the table that is there already, and what others beside it lend to it."""
        from adadfq_core.results.reading import read_rows
        from adadfq_core.results.rows import joined

        path = self._folder / f"{self._table.name}.csv"
        own = read_rows(path) if path.exists() else []
        return joined(self._lent, own, list(self._table.methods))

    def found(self) -> list[Found]:
        """What there is of each cell now, in the store or in the table that was there."""
        from adadfq_core.results.found import find

        kept = {(*row.key, seed) for row in self._kept for seed in row.measured}
        return find(self._root, self._cells, kept)

    def run(self) -> None:
        """Measure what is missing and write the files.

        Raises:
            InputError: the files or the store cannot be written.
            RunFailed: it was stopped, a run could not be started, or runs have failed.
        """
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        from adadfq_core.results.found import State

        console = Console(stderr=True)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        found = self._written()
        with Progress(*columns, console=console) as bar:
            all_cells = bar.add_task(f"table {self._table.name}", total=len(self._cells))
            one_run = bar.add_task("starting", total=None)
            for cell, before in zip(self._cells, found, strict=True):
                waits = before.state not in (State.MEASURED, State.FAILED)
                if waits and self._can_be_measured(cell, console):
                    self._measure(cell, bar, one_run)
                    self._written()
                bar.advance(all_cells)
        self._report(self._written())

    def _written(self) -> list[Found]:
        """What there is of the table now, after it was written down."""
        from adadfq_core.results import files
        from adadfq_core.results.rows import joined, make_rows

        name = self._table.name
        found = self.found()
        made = make_rows(self._root, name, self._preset, found)
        # Read anew: another process may make other rows of the same table.
        rows = joined(self._read(), made, list(self._table.methods))
        notes = [sentence for sentence in self._left_out.values() if sentence]
        text = files.to_markdown(self._table, rows, self._command, notes)
        files.write_text(self._folder / f"{name}.md", text)
        files.write_text(self._folder / f"{name}.csv", files.to_csv(rows))
        return found

    def _can_be_measured(self, cell: Cell, console: Console) -> bool:
        """Whether the cell's network and its images are here; told once where they are not."""
        from adadfq_core.results.measuring import unmeasurable

        if cell.network not in self._left_out:
            reason = unmeasurable(cell.settings)
            sentence = f"{cell.network} is left out: {reason}" if reason else ""
            self._left_out[cell.network] = sentence
            if reason:
                console.print(printable(sentence), markup=False)
        return not self._left_out[cell.network]

    def _measure(self, cell: Cell, bar: Progress, task: TaskID) -> None:
        from adadfq_core import runs
        from adadfq_core.results.measuring import claim, follow

        def tell(info: RunInfo, top1: float | None) -> None:
            shown = "" if top1 is None else f" Q {top1:.2f} %"
            state = f"{runs.state(info)}{shown}"
            bar.update(
                task,
                completed=info.iteration,
                total=info.settings.iterations,
                description=f"{cell.bits}w{cell.bits}a {cell.method}, seed {cell.seed}: {state}",
            )

        claimed = claim(self._root, cell, self._preset)
        if claimed is None:
            return
        try:
            ended = follow(self._root, claimed.run_id, tell)
        except KeyboardInterrupt:
            if claimed.own:
                with contextlib.suppress(InputError):  # it has just ended
                    runs.stop(self._root, claimed.run_id)
                follow(self._root, claimed.run_id, tell)
            self._written()
            raise RunFailed(
                f"Stopped at {cell.name}; the same command goes on from there."
            ) from None
        if ended.reason:
            bar.console.print(
                printable(f"{cell.name}, run {ended.run_id} {ended.status}: {ended.reason}"),
                markup=False,
            )

    def _report(self, found: Sequence[Found]) -> None:
        from adadfq_core.results.found import State

        name = self._table.name
        measured = sum(each.state is State.MEASURED for each in found)
        typer.echo(f"{name}.md and {name}.csv in {printable(str(self._folder))}")
        typer.echo(f"measured\t{measured} of {len(found)}")
        faults = [
            each
            for each in found
            if each.state is not State.MEASURED and not self._left_out.get(each.cell.network)
        ]
        if faults:
            first = faults[0]
            why = f" ({first.run.reason})" if first.run and first.run.reason else ""
            again = (
                f"delete it to try it again, with 'python -m adadfq_core runs delete "
                f"{first.run.run_id}'"
                if first.state is State.FAILED and first.run
                else "give the same command again"
            )
            raise RunFailed(
                f"{len(faults)} of {len(found)} runs have not been measured, the first being "
                f"{first.cell.name}, which is {first.state}{why}; {again}."
            )
