"""Checkpoint files: written whole or not at all, checked before they are used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from adadfq_core.errors import RunFailed
from adadfq_core.files import replace_atomically, sha256


def save(state: dict[str, Any], path: Path) -> str:
    """Write `state` to `path` and return the file's hexadecimal SHA-256.

    Raises:
        RunFailed: the file cannot be written.
    """
    try:
        with replace_atomically(path) as temporary:
            torch.save(state, temporary)
            return sha256(temporary)
    except (OSError, RuntimeError) as error:
        raise RunFailed(
            f"Cannot write the checkpoint {path} ({error}); free space or check the folder."
        ) from error


def load(path: Path, digest: str) -> dict[str, Any]:
    """Read a checkpoint whose SHA-256 is `digest`; runs no code from the file.

    Raises:
        RunFailed: missing, altered or unreadable.
    """
    try:
        if sha256(path) != digest:
            raise RunFailed(f"The checkpoint {path} is damaged (its checksum does not match).")
        state: dict[str, Any] = torch.load(path, weights_only=True, map_location="cpu")
    except RunFailed:
        raise
    # A file that is no checkpoint makes the unpickler fail in any way.
    except Exception as error:
        # PyTorch's own words fill a page and advise to read the file without its safe mode.
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise RunFailed(f"Cannot read the checkpoint {path} ({reason}).") from error
    return state
