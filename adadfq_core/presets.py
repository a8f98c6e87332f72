"""Named starting points: settings that differ from the model's defaults, with the reasons."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from adadfq_core.errors import InputError
from adadfq_core.settings import RunSettings, make_settings


@dataclass(frozen=True)
class Preset:
    """A name, what it is for, and the settings that differ from the defaults."""

    name: str
    summary: str
    values: dict[str, Any]


PRESETS = {
    preset.name: preset
    for preset in (
        Preset(
            "interactive",
            "The full arc (calibrate, fall, recover) within five minutes on two CPU cores.",
            {
                "weight_bits": 3,
                "activation_bits": 3,
                "epochs": 22,
                "iterations_per_epoch": 50,
                "warmup_epochs": 2,
                "generator_width": 64,
                # At 1e-3, ten times the paper's rate, Q collapses on this network: top-1 88 %
                # calibrated fell to 12 % within 50 iterations. At 1e-4 it rises at once.
                "lr_q": 1e-4,
                "schedule": "cosine",
                "q_average": 0.98,
                "evaluate_every": 50,
                "snapshot_every": 10,
                "embed_every": 100,
                "checkpoint_every": 100,
            },
        ),
        Preset(
            "paper-cifar",
            "The paper's CIFAR protocol, unchanged (section 4.1): 400 epochs of 200 iterations.",
            {},
        ),
    )
}

DEFAULT_PRESET = "interactive"


def preset_settings(name: str, changes: dict[str, Any] | None = None) -> RunSettings:
    """Settings of preset `name` with `changes` put over them.

    Raises:
        InputError: unknown preset, or a setting that is not allowed.
    """
    if name not in PRESETS:
        raise InputError(f"Unknown preset '{name}'; choose one of {', '.join(PRESETS)}.")
    return make_settings({**PRESETS[name].values, **(changes or {})})
