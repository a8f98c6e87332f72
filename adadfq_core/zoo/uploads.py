"""Weight files that came from a page."""

from __future__ import annotations

import hashlib
from pathlib import Path

from adadfq_core.errors import InputError
from adadfq_core.files import replace_atomically
from adadfq_core.home import uploads_folder
from adadfq_core.zoo.entry import ZooEntry
from adadfq_core.zoo.weight_files import check_name
from adadfq_core.zoo.weights import load_weights

MOST_MEGABYTES = 400
"""Largest accepted upload; the page's own limit is made from it."""


def keep_upload(file_name: str, content: bytes, entry: ZooEntry) -> Path:
    """Store uploaded weights if they fit the architecture of `entry`; no code of them is run.

    The file is named by its content, so the same upload is stored once.

    Raises:
        InputError: too large, not a weight file, or not the weights of that architecture.
    """
    if len(content) > MOST_MEGABYTES * 2**20:
        raise InputError(
            f"{file_name} has {len(content) / 2**20:.0f} MB; at most {MOST_MEGABYTES} MB can be "
            "uploaded, larger weights are given to 'python -m adadfq_core train --weights'."
        )
    # Before anything is written: a suffix of another kind may be no part of a file's name at all.
    check_name(Path(file_name))
    suffix = Path(file_name).suffix.lower()
    folder = uploads_folder()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{hashlib.sha256(content).hexdigest()[:32]}{suffix}"
    new = not path.exists()
    if new:
        with replace_atomically(path) as temporary:
            temporary.write_bytes(content)
    try:
        load_weights(entry.build(), path)
    except InputError as error:
        raise InputError(str(error).replace(str(path), file_name)) from error
    else:
        new = False  # it stays
    finally:
        if new:
            path.unlink(missing_ok=True)
    return path
