"""The report's section on the files of Q and on what was checked of them."""

from __future__ import annotations

from collections.abc import Sequence

from adadfq_core.export.integer.check import IntegerCheck
from adadfq_core.export.latency import LatencyRow, remark
from adadfq_core.export.preparation import Preparation, PreparedFile
from adadfq_core.export.preparing import FLOAT_NAME
from app.export.markup import Html, element, folded, joined, table
from app.export.words import (
    SITE_HEADS,
    SITES_NOTE,
    integer_text,
    kind_of,
    missed_text,
    points,
    points_text,
    site_rows,
    size_text,
    targets_text,
)


def files_and_checks(found: Preparation) -> Html:
    """Tables of the files, of the integer check and of the latency, each with its sentence."""
    parts: list[str] = [_files(found)]
    if found.integer is not None:
        parts += [element("h3", "With integers alone"), *_integers(found.integer)]
    elif found.no_integer:
        parts.append(element("p", f"Integers alone: {found.no_integer}", class_="left-out"))
    if found.latency:
        parts += [element("h3", "Time for a batch"), *_latency(found.latency)]
    return joined(parts)


def _files(found: Preparation) -> Html:
    heads = ("File", "Size", "Against Q, points", "Same predictions", "Top-1")
    whole = table(heads, [_file(file, found) for file in found.files], class_="numbers")
    if all(file.agreement is None for file in found.files):
        words = "There were no real images, so the files were not measured."
        return joined([whole, element("p", words, class_="left-out")])
    missed = [text for file in found.files if (text := missed_text(file, found.q))]
    verdicts = [element("p", text) for text in missed]
    return joined([whole, *verdicts, element("p", targets_text(), class_="small")])


def _file(file: PreparedFile, found: Preparation) -> Sequence[str]:
    top1 = "–" if file.accuracy is None else f"{file.accuracy.top1:.2f} %"
    same = "–" if file.agreement is None else f"{file.agreement.percent:.2f} %"
    return kind_of(file), size_text(file.bytes), points_text(points(file, found.q)), same, top1


def _integers(check: IntegerCheck) -> list[Html]:
    rows = [
        (name, f"{alone:.4f}", str(largest), f"{together:.4f}", str(most))
        for name, alone, largest, together, most in site_rows(check)
    ]
    sites = table(SITE_HEADS, rows, class_="numbers")
    note = element("p", SITES_NOTE, class_="small")
    return [
        element("p", integer_text(check)),
        folded("Activation by activation", sites, note),
    ]


def _latency(rows: Sequence[LatencyRow]) -> list[Html]:
    heads = ("Model", "Images at once", "Threads", "10th to 90th percentile, ms", "Median, ms")
    cells = [
        (
            row.name,
            str(row.batch),
            str(row.threads),
            f"{row.low:.2f} to {row.high:.2f}",
            f"{row.milliseconds:.2f}",
        )
        for row in rows
    ]
    place = "In onnxruntime on the CPU of the machine that made the files."
    return [
        element("p", f"{remark(rows, FLOAT_NAME)} {place}"),
        table(heads, cells, class_="numbers"),
    ]
