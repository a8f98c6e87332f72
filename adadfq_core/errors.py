"""The two kinds of failure that are told to a user in one sentence."""

from __future__ import annotations


class InputError(ValueError):
    """The input is at fault: names the value, what is allowed and what to do (exit code 2)."""


class RunFailed(RuntimeError):
    """Valid input, but the work could not be done: says why and what to do (exit code 1)."""
