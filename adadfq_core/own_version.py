"""The version of this program, as files that it writes name it."""

from __future__ import annotations

import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

NAME = "adadfq-playground"
_PROJECT = Path(__file__).parents[1] / "pyproject.toml"


def own_version() -> str:
    """The version of the clone that this is imported from, else the installed one."""
    if _PROJECT.is_file():
        project = tomllib.loads(_PROJECT.read_text(encoding="utf-8")).get("project", {})
        if project.get("name") == NAME:
            return str(project["version"])
    try:
        return version(NAME)
    except PackageNotFoundError:
        return "unknown"
