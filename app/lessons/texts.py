"""Everything that the lessons and the glossary say, from one file a language."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import yaml

TEXTS = Path(__file__).resolve().parents[2] / "assets" / "texts"
LANGUAGE = "en"


@cache
def all_texts(language: str = LANGUAGE) -> dict[str, Any]:
    """The nested texts of a language, by part: the file `assets/texts/<language>.yaml`."""
    loaded: dict[str, Any] = yaml.safe_load((TEXTS / f"{language}.yaml").read_text("utf-8"))
    return loaded


def text(key: str, **values: object) -> str:
    """The text of a dotted key such as `lesson_1.title`, with `{names}` filled in.

    Raises:
        KeyError: there is none; a test looks for every key that is asked for.
    """
    found: Any = all_texts()
    for part in key.split("."):
        found = found[part]
    if not isinstance(found, str):
        raise KeyError(key)
    return found.format(**values) if values else found
