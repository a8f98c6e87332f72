"""How the shell's commands show tables and sizes, and ask before they delete."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import typer

from adadfq_core.errors import InputError


def can_ask() -> bool:
    """Whether somebody is there to answer."""
    return sys.stdin.isatty()


def is_terminal() -> bool:
    """Whether what is printed is read by a person."""
    return sys.stdout.isatty()


def check_can_ask(what: str) -> None:
    """Refuse to delete `what` where nobody can be asked.

    Raises:
        InputError: the input is no terminal.
    """
    if not can_ask():
        raise InputError(
            f"Nobody can be asked whether {what} may go, as this is no terminal; say --yes."
        )


def printable(text: str) -> str:
    """`text` with its control characters spelled out: to a terminal they are commands."""
    from adadfq_core.runs.labels import can_be_shown

    return "".join(
        sign if sign in "\n\t" or can_be_shown(sign) else ascii(sign)[1:-1] for sign in text
    )


def megabytes(size: int) -> str:
    """`size` in bytes as a person reads it."""
    return f"{size / 1e6:.1f} MB"


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table on a terminal, else rows with tabs between their columns and without the header."""
    if not is_terminal():
        for row in rows:
            typer.echo("\t".join(printable(" ".join(cell.split())) for cell in row))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*header)
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    Console().print(table)
