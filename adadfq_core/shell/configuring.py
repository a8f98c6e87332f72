"""Settings as shell options and files name them, shared by `train`, `ablate` and `results`."""

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


def seeds_of(text: str) -> tuple[int, ...]:
    """The seeds that `--seeds` means: `3` is 0, 1, 2; `4,7` are those two.

    Raises:
        InputError: no whole numbers, none at all, or too many.
    """
    from adadfq_core.ablation.plan import MOST_CELLS

    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError:
        raise InputError(
            f"--seeds {text} is neither a number of seeds nor seeds separated by commas, "
            "e.g. 3 or 4,7."
        ) from None
    if len(numbers) == 1 and numbers[0] > MOST_CELLS:
        raise InputError(
            f"--seeds {text} asks for too many runs; at most {MOST_CELLS} are allowed."
        )
    seeds = tuple(range(numbers[0])) if len(numbers) == 1 else tuple(dict.fromkeys(numbers))
    if not seeds:
        raise InputError(f"--seeds {text} asks for no run; name at least 1.")
    return seeds


def configured(config: Path) -> dict[str, Any]:
    """What a settings file changes, its weights found from any folder.

    Raises:
        InputError: see `read_settings`.
    """
    changes = read_settings(config)
    if changes.get("weights"):
        changes["weights"] = str(expanded(changes["weights"]).absolute())
    return changes
