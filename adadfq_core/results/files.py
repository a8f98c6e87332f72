"""A table of results as Markdown and CSV."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from pathlib import Path

from adadfq_core.errors import InputError
from adadfq_core.files import check_no_folder, replace_atomically
from adadfq_core.results.cells import Table
from adadfq_core.results.rows import Row

CSV_COLUMNS = (
    *("network", "bits", "method", "preset", "settings"),
    *("seeds_planned", "seeds_measured", "seeds_failed"),
    *("top1_mean", "top1_deviation", "top1_p", "loss"),
    *("paper_network", "paper_top1_p", "paper_top1_q", "paper_loss"),
    *("top1_by_seed", "top1_p_by_seed", "versions"),
)
_MARKDOWN_COLUMNS = (
    *("network", "bits", "method", "seeds", "top-1", "deviation", "P", "loss", "paper's loss"),
    "paper's network",
)
_DASH = "–"


def to_csv(rows: Sequence[Row]) -> str:
    """A line for each row under `CSV_COLUMNS`; what is not known is empty."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for row in rows:
        paper = row.paper
        numbers = (row.mean, row.deviation, row.top1_p, row.loss)
        stated = (paper.top1_p, paper.top1_q, paper.loss) if paper else (math.nan,) * 3
        writer.writerow(
            [
                *(row.network, row.bits, row.method, row.preset, row.settings),
                *(row.planned, len(row.measured), row.failed),
                *map(_number, numbers),
                paper.network if paper else "",
                *map(_number, stated),
                " ".join(f"{seed}:{top1.q:.2f}" for seed, top1 in row.measured.items()),
                " ".join(f"{seed}:{top1.p:.2f}" for seed, top1 in row.measured.items()),
                "; ".join(row.versions),
            ]
        )
    return stream.getvalue()


def to_markdown(table: Table, rows: Sequence[Row], command: str, notes: Sequence[str] = ()) -> str:
    """The table with what made it, for a reader.

    Args:
        command: what makes it again.
        notes: sentences of what is left out.
    """
    versions = dict.fromkeys(each for row in rows for each in row.versions)
    presets = dict.fromkeys(row.preset for row in rows)
    lines = [
        f"# {table.title}",
        "",
        "Made with",
        "",
        f"    {' '.join(command.split())}",
        "",
        f"from the preset {', '.join(presets)}, by {', '.join(versions) or 'no run yet'}. Numbers "
        "are top-1 in percent: the mean over the seeds at the end of each run, their sample "
        "standard deviation, and P's on the same images. The loss is what Q is behind P, in "
        "points, beside what the paper's Q is behind the paper's P, on the network and data named "
        "there.",
        "",
        _line(_MARKDOWN_COLUMNS),
        _line(["---", "---", "---", *["---:"] * 6, "---"]),
        *(_line(_cells(row)) for row in rows),
        "",
    ]
    shown = {row.method for row in rows}
    lines += [f"- {name}: {m.summary}" for name, m in table.methods.items() if name in shown]
    lines += ["", *(f"- {' '.join(note.split())}" for note in notes)] if notes else []
    return "\n".join(lines) + "\n"


def _cells(row: Row) -> list[str]:
    seeds = f"{len(row.measured)}"
    lacking = [(row.missing, "missing"), (row.failed, "failed")]
    if any(count for count, _ in lacking):
        told = ", ".join(f"{count} {word}" for count, word in lacking if count)
        seeds += f" of {row.planned} ({told})"
    numbers = (row.mean, row.deviation, row.top1_p, row.loss)
    paper = row.paper
    return [
        row.network,
        row.kind,
        row.method,
        seeds,
        *(_number(number) or _DASH for number in numbers),
        _number(paper.loss) if paper else _DASH,
        paper.network if paper else _DASH,
    ]


def _line(cells: Sequence[str]) -> str:
    escaped = [" ".join(cell.replace("|", "\\|").split()) for cell in cells]
    return f"| {' | '.join(escaped)} |"


def _number(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.2f}"


def write_text(path: Path, text: str) -> None:
    """Write a file, with its folder if need be, so that nobody ever sees half of it.

    Raises:
        InputError: it is a folder, or cannot be written.
    """
    check_no_folder(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replace_atomically(path) as temporary:
            # Bytes of an argument that are no text are spelled out.
            temporary.write_bytes(text.encode("utf-8", "backslashreplace"))
    except OSError as error:
        raise InputError(
            f"'{path}' cannot be written ({error.strerror or error}); name another folder or free "
            "some space."
        ) from error
