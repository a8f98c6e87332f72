"""Settings as shell options and files name them, shared by `train` and `ablate`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from adadfq_core.errors import InputError
from adadfq_core.files import expanded
from adadfq_core.settings_file import read_settings


def bits_of(text: str) -> dict[str, str]:
    """The settings that `--bits W,A` means.

    Raises:
        InputError: not two parts; their values are checked with the settings.
    """
    parts = text.split(",")
    if len(parts) != 2:
        raise InputError(f"--bits {text} is not of the form W,A with both from 2 to 8, e.g. 3,3.")
    return {"weight_bits": parts[0].strip(), "activation_bits": parts[1].strip()}


def configured(config: Path) -> dict[str, Any]:
    """What a settings file changes, its weights found from any folder.

    Raises:
        InputError: see `read_settings`.
    """
    changes = read_settings(config)
    if changes.get("weights"):
        changes["weights"] = str(expanded(changes["weights"]).absolute())
    return changes
