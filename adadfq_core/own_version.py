"""The version of this program, as files that it writes name it."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def own_version() -> str:
    """The installed version; a clone that was not installed has none."""
    try:
        return version("adadfq-playground")
    except PackageNotFoundError:
        return "not installed"
