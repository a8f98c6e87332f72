"""What a run says whose numbers have gone wrong, and the way back that it offers."""

from __future__ import annotations

import re

from adadfq_core.settings import RunSettings

SMALLER = 0.1
"""Of what each learning rate was, where a run goes on from before its numbers went wrong."""
_RATES = ("lr_g", "lr_q")
_NUMBER = r"\d+(?:\.\d+)?(?:e[-+]?\d+)?"


def sentence(what: str, iteration: int, run_id: str, settings: RunSettings) -> str:
    """Why run `run_id` ends at `iteration`, and the command that goes on from before.

    Args:
        what: which number went wrong, in words.
        settings: those in force.
    """
    options = " ".join(f"--set {name}={getattr(settings, name) * SMALLER:g}" for name in _RATES)
    return (
        f"{what} at iteration {iteration}; go on from the last checkpoint with smaller learning "
        f"rates ('python -m adadfq_core runs resume {run_id} {options}'), or start again with "
        "them if there is none."
    )


def offered_rates(reason: str) -> dict[str, float]:
    """The learning rates that a run's `reason` offers to go on with; empty if it is no divergence.

    They may come from another's file: `runs.resume` checks them as it does all changes.
    """
    pattern = " ".join(rf"--set {name}=({_NUMBER})" for name in _RATES)
    offer = re.search(rf"runs resume \S+ {pattern}'", reason)
    return {} if offer is None else dict(zip(_RATES, map(float, offer.groups()), strict=True))
