from __future__ import annotations

import re
from pathlib import Path

import pytest
from stored_runs import held_run, stored_run

from adadfq_core.errors import InputError
from adadfq_core.runs.labels import checked_note, checked_tags, set_labels
from adadfq_core.runs.store import RunStore


def test_a_run_begins_without_labels_and_keeps_those_it_gets(root: Path) -> None:
    run_id, other = stored_run(root), stored_run(root)
    assert (RunStore(root).info(run_id).tags, RunStore(root).info(run_id).note) == ((), "")

    set_labels(root, run_id, [" a  b ", "λ₁", "", "a b", "A b"], "  first\r\nsecond ")
    info = RunStore(root).info(run_id)
    assert info.tags == ("a b", "λ₁", "A b")
    assert info.note == "first\nsecond"
    assert RunStore(root).info(other).tags == ()


def test_what_is_not_named_stays(root: Path) -> None:
    run_id = stored_run(root)
    set_labels(root, run_id, ["x"], "note")
    set_labels(root, run_id, note="another")
    assert (RunStore(root).info(run_id).tags, RunStore(root).info(run_id).note) == (
        ("x",),
        "another",
    )
    set_labels(root, run_id, tags=[])
    assert (RunStore(root).info(run_id).tags, RunStore(root).info(run_id).note) == ((), "another")


def test_a_run_that_goes_on_is_labelled_and_goes_on(root: Path) -> None:
    with held_run(root) as writer:
        before = RunStore(root).info(writer.run_id)
        set_labels(root, writer.run_id, ["live"])
        assert RunStore(root).info(writer.run_id).updated == before.updated
        writer.flush()


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        (["t" * 41], r"The tag 't{40}…' has 41 characters; at most 40 are allowed"),
        ([f"t{n}" for n in range(21)], "21 tags are too many; a run has at most 20"),
        (["bell\x07"], r"The tag 'bell\\x07' has characters that cannot be shown"),
        (["half \ud800"], r"The tag 'half \\ud800' has characters that cannot be shown"),
    ],
)
def test_tags_that_are_refused(tags: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        checked_tags(tags)


@pytest.mark.parametrize(
    ("note", "message"),
    [
        ("n" * 4001, "The note has 4001 characters; at most 4000 are allowed"),
        ("\x00", "The note has characters that cannot be shown"),
    ],
)
def test_notes_that_are_refused(note: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        checked_note(note)


def test_the_largest_labels_are_allowed() -> None:
    tags = tuple(f"{n:040d}" for n in range(20))
    assert checked_tags(tags) == tags
    assert len(checked_note("n" * 4000)) == 4000


def test_nothing_changes_where_one_of_both_is_refused(root: Path) -> None:
    run_id = stored_run(root)
    with pytest.raises(InputError):
        set_labels(root, run_id, ["good"], "n" * 4001)
    assert RunStore(root).info(run_id).tags == ()


def test_an_unknown_run_is_named(root: Path) -> None:
    with pytest.raises(InputError, match=re.escape("There is no run 'nope'")):
        set_labels(root, "nope", ["x"])
