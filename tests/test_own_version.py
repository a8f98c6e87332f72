"""The version that written files name."""

from __future__ import annotations

import tomllib
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from adadfq_core import own_version as module
from adadfq_core.own_version import NAME, own_version

ROOT = Path(__file__).resolve().parents[1]


def test_a_clone_has_the_version_of_its_project_file() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert (NAME, own_version()) == (project["name"], project["version"])


@pytest.mark.parametrize("around", ["", "[project]\nname = 'other'\nversion = '9'\n"])
def test_elsewhere_it_is_the_installed_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, around: str
) -> None:
    file = tmp_path / "pyproject.toml"
    if around:
        file.write_text(around)
    monkeypatch.setattr(module, "_PROJECT", file)
    monkeypatch.setattr(module, "version", lambda name: f"7 of {name}")
    assert own_version() == f"7 of {NAME}"

    def missing(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(module, "version", missing)
    assert own_version() == "unknown"
