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


# Chosen by single runs of an earlier engine, in which G without the added class vector hardly made
# some classes at all, and a weaker pull of the game (beta) against the BatchNorm statistics (gamma)
# kept its images closer to the data. Since each of G's weights moves by its own gradient no value
# alone can be told from the paper's within 600 iterations (table of tries in benchmarks/README.md);
# they cost nothing, and the smaller G saves time.
_SHORT: dict[str, Any] = {
    "weight_bits": 3,
    "activation_bits": 3,
    "epochs": 30,
    "iterations_per_epoch": 50,
    "warmup_epochs": 6,
    "generator_width": 64,
    "class_shift": True,
    "beta": 0.2,
    "gamma": 5.0,
    "temperature": 5.0,
    "lr_q": 3e-4,
    "schedule": "cosine",
    "q_average": 0.99,
    "evaluate_every": 100,
    "snapshot_every": 10,
    "embed_every": 100,
    "checkpoint_every": 100,
}

# Worth 0.9 points on Fashion-MNIST at 3 bits and far more on CIFAR-10 (the ablation table) for a
# tenth of an iteration, but not the paper's way, with which the tables of results are made.
_INTERACTIVE: dict[str, Any] = {**_SHORT, "ranges": "searched"}

# What else brought Q closer to P (`benchmarks/recipe.py`; figures in benchmarks/README.md). P's
# features are not part of it: they help on CIFAR-10 at 3 and 5 bits, but cost on Fashion-MNIST.
_BEST: dict[str, Any] = {"ranges": "learned", "replay": 32}

PRESETS = {
    preset.name: preset
    for preset in (
        Preset(
            "interactive",
            "The full arc (calibrate, fall, recover) within five minutes on two CPU cores.",
            _INTERACTIVE,
        ),
        Preset(
            "best",
            "The interactive preset with all that brings Q closer to P, in twice its time.",
            {**_INTERACTIVE, **_BEST},
        ),
        Preset(
            "quick",
            "A shortened interactive preset for ablations, with the paper's minima and maxima as "
            "ranges: two minutes on one core, no map.",
            {
                **_SHORT,
                "epochs": 12,
                "warmup_epochs": 4,
                "evaluate_every": 200,
                "snapshot_every": 50,
                "embed_every": 0,
                "checkpoint_every": 200,
            },
        ),
        Preset(
            "paper-cifar",
            "The paper's CIFAR protocol, unchanged (section 4.1): 400 epochs of 200 iterations.",
            {},
        ),
        Preset(
            "paper-imagenet",
            "The paper's ImageNet protocol (section 4.1): longer warm-up, T 5, smaller steps of Q.",
            {"temperature": 5.0, "warmup_epochs": 50, "lr_q": 1e-5},
        ),
    )
}

DEFAULT_PRESET = "interactive"

WHAT_IFS: dict[str, dict[str, Any]] = {
    "AdaDFQ": {"method": "adadfq"},
    "without L_ds": {"method": "adadfq", "alpha_ds": 0.0},
    "without L_as": {"method": "adadfq", "alpha_as": 0.0},
    "without the margin": {"method": "adadfq", "lambda_l": 0.0, "lambda_u": 1.0},
    "without L_BNS": {"method": "adadfq", "gamma": 0.0},
    "GDFQ": {"method": "gdfq"},
    "real data instead of G": {"method": "real"},
}
"""What a run is compared with: changes to its settings, the seed staying the same."""


@dataclass(frozen=True)
class Method:
    """What a row of a table of results is: in words, and as changes to the preset's settings."""

    summary: str
    values: dict[str, Any]
    calibrated: bool = False
    """Whether Q counts as it was at the end of the warm-up, before its first move."""


METHODS = {
    "AdaDFQ": Method("The paper's game (arXiv 2303.06869), as the preset plays it.", {}),
    "GDFQ": Method(
        "Its baseline (arXiv 2003.03603): G follows P alone, Q distils P.", {"method": "gdfq"}
    ),
    "AdaSG": Method(
        "The same game with AdaSG's numbers (arXiv 2302.09572). That its balance gap is this "
        "margin is an inference from the training code of its authors, where the penalty is the "
        "same function of H' with the boundaries 0.3 and 0.8, beside L_ds and L_as with 0.1 each.",
        {"lambda_l": 0.3, "lambda_u": 0.8, "alpha_ds": 0.1, "alpha_as": 0.1},
    ),
    "best recipe": Method(
        "AdaDFQ with what the paper does not do and what helps (preset best): ranges that are "
        "learned, and images of earlier iterations; beside the paper's AdaDFQ.",
        _BEST,
    ),
    "calibration only": Method(
        "AdaDFQ's Q before its first move: activation ranges set on G's images, nothing trained.",
        {},
        calibrated=True,
    ),
    "real data": Method(
        "The ceiling: Q learns from one half of the real images and is measured, as P is, on the "
        "other.",
        {"method": "real"},
    ),
}
"""Ways to quantize without data, and the ceiling, as settings of one engine.

What a preset says of the game beyond these values (beta, gamma, temperature) holds for all of them.
"""

ABLATION = {
    "AdaDFQ": METHODS["AdaDFQ"],
    "without L_ds": Method("L_bal is the agreement loss alone.", WHAT_IFS["without L_ds"]),
    "without L_as": Method("L_bal is the disagreement loss alone.", WHAT_IFS["without L_as"]),
    "without the margin": Method(
        "No boundary: G is not kept from any H'.", WHAT_IFS["without the margin"]
    ),
    "AdaDFQ + activation clipping": Method(
        "G shows in the warm-up how far P's activations reach (after arXiv 2204.04215).",
        {"activation_clipping": True},
    ),
    "AdaDFQ + adaptive BatchNorm": Method(
        "Q's BatchNorm is measured anew in Q itself (after arXiv 2204.04215).",
        {"adaptive_batchnorm": True},
    ),
    "AdaDFQ + searched ranges": Method(
        "Ranges of least squared error in place of minima and maxima.", {"ranges": "searched"}
    ),
    "AdaDFQ + learned ranges": Method(
        "The same, then learned with Q's weights (LSQ, arXiv 1902.08153).", {"ranges": "learned"}
    ),
    "AdaDFQ + replay": Method(
        "Q also learns from images of earlier iterations.", {"replay": _BEST["replay"]}
    ),
    "AdaDFQ + features of P": Method(
        "Q also learns what P's BatchNorm layers put out (FitNets, arXiv 1412.6550).",
        {"feature_weight": 100.0},
    ),
}
"""What is taken out of the method, as the paper does, or put to it."""

MARGINS = {
    "the paper's margin": Method("Boundaries 0.1 and 0.8.", {"lambda_l": 0.1, "lambda_u": 0.8}),
    "disagreement end": Method(
        "Boundaries 0 and 0.1: samples of the largest adaptability.",
        {"lambda_l": 0.0, "lambda_u": 0.1},
    ),
    "agreement end": Method(
        "Boundaries 0.9 and 1: samples of the smallest adaptability.",
        {"lambda_l": 0.9, "lambda_u": 1.0},
    ),
}
"""Where G's samples are kept on the axis of H'."""


def preset_settings(name: str, changes: dict[str, Any] | None = None) -> RunSettings:
    """Settings of preset `name` with `changes` put over them.

    Raises:
        InputError: unknown preset, or a setting that is not allowed.
    """
    if name not in PRESETS:
        raise InputError(f"Unknown preset '{name}'; choose one of {', '.join(PRESETS)}.")
    return make_settings({**PRESETS[name].values, **(changes or {})})
