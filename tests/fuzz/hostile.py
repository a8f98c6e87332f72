"""Inputs that nobody means well with, and how a refusal of them has to look."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import strategies as st
from stored_runs import files_of

from adadfq_core.errors import InputError, RunFailed
from adadfq_core.runs.row_checksums import register
from adadfq_core.runs.store import DATABASE

Hunt = Callable[..., None]
"""What the fixture `hunt` gives: tries a check on many inputs."""

TEXTS = (
    *(
        "",
        " ",
        "-",
        "--",
        "=",
        ",",
        ":",
        ";",
        "*",
        "?",
        "[",
        "%",
        "%s",
        "{}",
        "{0}",
        "$HOME",
        "`id`",
    ),
    *("0", "-0", "1", "-1", "3", "007", "1e400", "-1e-400", "nan", "inf", "-Infinity", "1_000"),
    *("9" * 30, "9" * 5000, "0x10", "1:30", "٣", "½", "²", "true", "no", "null", "None", "~"),
    *("~nobody-of-this-name/x", "~/x", ".", "..", "/", "../..", "/dev/null/x", "a/../b", "x" * 300),
    *("x/" * 3000, "../../etc/passwd", "a\nb", "a\rb", "a\tb", "\x1b[31mred", "\x7f", "\u202eabc"),
    *("\udcff", "a\udcffb", "\U0001f600", "é" * 40, "\ufeff", "<script>", "[a](javascript:b)"),
    *("'; DROP TABLE runs; --", "\\", '"', "'", "a=b", "a,b", "a=b=c", "seed=1", "=1", "lambda_l"),
    *("lambda_l=nan", "lambda_l=0.9", "epochs=9" + "9" * 5000, "bit_overrides=first=" + "9" * 5000),
    *("lambda_l=0:1:5", "lr_q=5e-324:1:3:log", "bits=3,4", "preset=quick,nope", "what_if=GDFQ"),
)
"""Short texts that other programs fell over, as a shell could hand them over."""


def texts(most: int = 60) -> st.SearchStrategy[str]:
    """Any text but for NUL, with what an argument of a shell holds that is no UTF-8."""
    letters = st.characters(exclude_characters="\0", exclude_categories=("Cs",))
    bytes_ = st.characters(min_codepoint=0xDC80, max_codepoint=0xDCFF, categories=("Cs",))
    return st.sampled_from(TEXTS) | st.text(letters | bytes_, max_size=most)


def refusal(action: Callable[[], object]) -> str | None:
    """What `action` refuses its input with; `None` if it takes it. Other errors are faults."""
    try:
        action()
    except (InputError, RunFailed) as error:
        told = str(error)
        assert told.strip() and "Traceback" not in told, told
        assert told.rstrip()[-1] in ".)", told
        return told
    return None


def rows_and_files(home: Path) -> dict[str, object]:
    """All that is stored below `home`, without what reading alone changes of a database."""
    found: dict[str, object] = {
        name: content for name, content in files_of(home).items() if DATABASE not in name
    }
    for database in filter(Path.is_file, home.rglob(DATABASE)):
        with closing(sqlite3.connect(database)) as connection:
            register(connection)
            dump = list(connection.iterdump())
        if any(line.startswith("INSERT") for line in dump):  # asking alone may make an empty store
            found[str(database.relative_to(home))] = dump
    return found


def _marks(folder: Path) -> dict[Path, tuple[int, ...]]:
    """What tells, without a look into files, that something below `folder` was touched."""
    found = {}
    for path in folder.rglob("*"):
        told = path.lstat()
        found[path] = (told.st_ino, told.st_mode, told.st_size, told.st_mtime_ns)
    return found


@dataclass
class Place:
    """Where a command is tried: a home folder, a folder to stand in, and what both hold."""

    home: Path
    here: Path
    pristine: Path
    stored: dict[str, object] = field(init=False)

    def __post_init__(self) -> None:
        """Look at what is there at first."""
        self.stored = rows_and_files(self.home)
        self._untouched = _marks(self.home)

    @property
    def root(self) -> Path:
        """The store."""
        return self.home / "runs"

    def now(self) -> dict[str, object]:
        """What the home folder holds."""
        return rows_and_files(self.home)

    def unchanged(self) -> bool:
        """Whether everything is as it was."""
        return self.now() == self.stored and not rows_and_files(self.here)

    def restore(self) -> None:
        """Bring everything back to how it was."""
        if _marks(self.home) != self._untouched:
            shutil.rmtree(self.home)
            shutil.copytree(self.pristine, self.home)
            self._untouched = _marks(self.home)
        for left in self.here.iterdir():
            if left.is_dir() and not left.is_symlink():
                shutil.rmtree(left)
            else:
                left.unlink()
