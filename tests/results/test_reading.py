"""A table of results comes out of its file as it went in, or not at all."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from table_rows import row

from adadfq_core.errors import InputError
from adadfq_core.results.files import CSV_COLUMNS, to_csv
from adadfq_core.results.reading import read_rows

ROWS = [
    row("AdaDFQ", [80.0, 81.25, 82.5]),
    row("GDFQ", [70.0]),
    row("AdaSG", []),
    row("AdaDFQ", [60.0, 61.0], network="torchvision/resnet18", bits=5),
]


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_what_was_written_is_read(tmp_path: Path) -> None:
    text = to_csv(ROWS)
    found = read_rows(written(tmp_path / "main.csv", text))
    assert to_csv(found) == text
    first, second, third, last = found
    assert {seed: each.q for seed, each in first.measured.items()} == {0: 80, 1: 81.25, 2: 82.5}
    assert (first.mean, first.deviation) == (81.25, 1.25)
    assert (second.missing, third.measured, third.paper) == (2, {}, None)
    assert last.paper is not None and last.paper.loss == pytest.approx(71.47 - 70.29)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: "",
        lambda text: text.replace("loss", "gain", 1),
        lambda text: text.replace("0:80.00", "0:eighty"),
        lambda text: text.replace("0:80.00", "first:80.00"),
        lambda text: text.replace("0:80.00", "0:inf"),
        lambda text: text.replace("0:80.00", "4:80.00"),
        lambda text: text.replace("fashion-resnet20,3,", "fashion-resnet20,,", 1),
        lambda text: text[:-40],
        lambda text: text + "one,two\n",
        lambda text: text + ",".join("x" * 40) + "\n",
    ],
    ids=[
        "empty",
        "column",
        "number",
        "seed",
        "infinite",
        "of Q alone",
        "no bits",
        "cut",
        "short",
        "long",
    ],
)
def test_what_is_no_such_table_is_refused(tmp_path: Path, spoil: object) -> None:
    assert callable(spoil)
    path = written(tmp_path / "main.csv", spoil(to_csv(ROWS)))
    with pytest.raises(InputError, match=re.escape(str(path))):
        read_rows(path)


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "noise.csv").write_bytes(b"\xff\xfe\x00")
    for path in (tmp_path, tmp_path / "none.csv", tmp_path / "noise.csv", Path("a\0b")):
        with pytest.raises(InputError, match="cannot be read"):
            read_rows(path)


def test_the_header_is_that_of_the_program() -> None:
    assert to_csv([]).strip().split(",") == list(CSV_COLUMNS)
