"""No public function of the engine is left out without a word."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from public_functions import ELSEWHERE, EXCUSED, public_functions
from test_fuzz_functions import BY_HAND, unknown_types

KNOWN = public_functions()
LISTED = {**{f"{file}.py": names for file, names in ELSEWHERE.items()}, **EXCUSED}


def test_every_public_function_is_tried_or_excused() -> None:
    listed = Counter([*BY_HAND, *(name for names in LISTED.values() for name in names)])
    assert [name for name in listed if name not in KNOWN] == [], "these are gone; take them out"
    assert [name for name, times in listed.items() if times > 1] == [], "listed more than once"
    missing = {
        name: types
        for name, function in KNOWN.items()
        if name not in listed and (types := unknown_types(function))
    }
    assert not missing, (
        "Arguments for these cannot be drawn from the types of their parameters; draw them in "
        f"BY_HAND of test_fuzz_functions.py, or say in public_functions.py why not: {missing}"
    )


@pytest.mark.parametrize("file", [name for name in ELSEWHERE if name != "test_fuzz_commands"])
def test_a_file_names_the_functions_that_it_tries(file: str) -> None:
    text = (Path(__file__).parent / f"{file}.py").read_text(encoding="utf-8")
    for name in ELSEWHERE[file]:
        assert name.rpartition(".")[2] in text


def test_a_new_function_would_be_noticed() -> None:
    """The search finds what is there, and types that nothing is drawn for are told."""
    assert "runs.control.start" in KNOWN and "quant.fake_quant.fake_quantize" in KNOWN
    assert not any(name.rpartition(".")[2].startswith("_") for name in KNOWN)
    assert unknown_types(KNOWN["zoo.data.scaling.fit"]) == ["Image.Image", "ImageFormat"]
