"""What whoever runs the program for others may limit, by environment variables.

Processes that are started inherit them, so the page, the shell and the runs go by the same.
"""

from __future__ import annotations

import os
from pathlib import Path

from adadfq_core.errors import InputError
from adadfq_core.home import ASSETS, uploads_folder

MAX_ACTIVE = "ADADFQ_MAX_ACTIVE"
DATA_ROOTS = "ADADFQ_DATA_ROOTS"
MOST_ACTIVE = 256


def max_active() -> int:
    """How many runs may go at once before others wait: `ADADFQ_MAX_ACTIVE`, else one.

    Raises:
        InputError: it is not a whole number from 1 to `MOST_ACTIVE`.
    """
    text = os.environ.get(MAX_ACTIVE, "").strip() or "1"
    is_number = text.isascii() and text.isdigit() and len(text) <= len(str(MOST_ACTIVE))
    if not is_number or not 1 <= int(text) <= MOST_ACTIVE:
        raise InputError(
            f"{MAX_ACTIVE} = '{text}' is not allowed; set it to a whole number from 1 to "
            f"{MOST_ACTIVE}, or leave it out for 1."
        )
    return int(text)


def data_roots() -> tuple[Path, ...] | None:
    """The folders that images and weights may be read from, `None` for any.

    `ADADFQ_DATA_ROOTS` names them, separated as the system separates paths (`:`, or `;` on
    Windows).

    Raises:
        InputError: one of them is no absolute path of a folder.
    """
    names = [name for name in os.environ.get(DATA_ROOTS, "").split(os.pathsep) if name.strip()]
    for name in names:
        if not os.path.isabs(name) or not os.path.isdir(name):
            raise InputError(
                f"{DATA_ROOTS} names '{name}', which is no folder or no absolute path; name "
                f"folders that are there, separated by '{os.pathsep}'."
            )
    return tuple(Path(os.path.realpath(name)) for name in names) or None


def check_readable(path: str | Path) -> None:
    """Refuse a file or folder of a user's that lies outside `data_roots`, links followed.

    Weights that were uploaded, and what comes with the program, may always be read. Whether the
    path exists is not told.

    Raises:
        InputError: it does, or `ADADFQ_DATA_ROOTS` is wrong.
    """
    roots = data_roots()
    if roots is None:
        return
    try:
        real = Path(os.path.realpath(os.path.expanduser(path)))
    except ValueError:  # a null byte
        real = Path()
    allowed = (*roots, ASSETS, Path(os.path.realpath(uploads_folder())))
    if not any(real.is_relative_to(root) for root in allowed):
        raise InputError(
            f"'{path}' lies outside the folders that this server reads images and weights from; "
            f"put it into one of them, or let {DATA_ROOTS} name its folder as well."
        )
