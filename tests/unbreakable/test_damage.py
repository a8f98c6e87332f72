"""Damaged files end in a clear error or at the checkpoint before, never in a wrong result.

Each case damages one file of a store in one place and then asks the store everything that a page,
the shell or a worker asks. An answer must be the one that the undamaged store gives, or a refusal
in a sentence; a run may go on from an earlier checkpoint if it says so.
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from course import same
from stored import Stored, questions
from workers import Nursery, ended

from adadfq_core import runs
from adadfq_core.errors import InputError, RunFailed
from adadfq_core.runs import RecordKind, RunStatus
from adadfq_core.runs.archive import export_run, import_run
from adadfq_core.runs.database import connect
from adadfq_core.runs.loading import checkpoint_state
from adadfq_core.runs.resumption import last_whole_checkpoint
from adadfq_core.runs.store import DATABASE, RunStore

SEED = 0


def _linked(source: Path, target: Path) -> None:
    """The files of `source` at `target` as well, without copying what only one case changes."""
    shutil.copytree(source, target, copy_function=os.link)
    for path in target.glob(f"{DATABASE}*"):
        content = path.read_bytes()
        path.unlink()
        path.write_bytes(content)


def _damage(path: Path, chance: random.Random) -> str:
    """Change or cut the content of `path` somewhere; what was done, in words."""
    content = bytearray(path.read_bytes())
    place = chance.randrange(len(content))
    if chance.random() < 0.25:
        content = content[:place]
        words = f"{path.name} cut at {place}"
    else:
        content[place] ^= chance.randrange(1, 256)
        words = f"byte {place} of {path.name} became {content[place]}"
    path.unlink()
    path.write_bytes(content)
    return words


def _check(root: Path, whole: Stored, words: str) -> bool:
    """Whether the damage was noticed; fails where it gave a wrong answer."""
    noticed = False

    def ask(name: str, question: Callable[[], Any]) -> Any:
        nonlocal noticed
        try:
            return question()
        except (InputError, RunFailed) as error:
            assert "\n" not in str(error) and str(error).endswith((".", ")")), (words, str(error))
            noticed = True
            return None

    asked = ask("open", lambda: questions(root, whole.run_id, whole.sweep_id))
    for name, question in (asked or {}).items():
        answer = ask(name, question)
        assert answer is None or answer == whole.answers[name], (words, name)
    store = ask("open", lambda: RunStore(root))
    resumption = store and ask("resume", lambda: last_whole_checkpoint(store, whole.run_id))
    if resumption:
        iteration = resumption.checkpoint.iteration
        assert bool(resumption.notice) == (iteration != max(whole.states)), words
        assert same(checkpoint_state(store, resumption.checkpoint), whole.states[iteration]), words
        noticed |= bool(resumption.notice)
    return noticed


def _targets(root: Path, run_id: str) -> dict[str, list[Path]]:
    return {
        "database": [root / DATABASE],
        "newest checkpoint": [max((root / run_id / "checkpoints").glob("*.pt"))],
        "arrays": sorted((root / run_id / "arrays").iterdir()),
    }


def _fuzz(stored: Stored, folder: Path, cases: int) -> dict[str, tuple[int, int]]:
    """Of each kind of file, how many cases there were and how many were noticed."""
    chance = random.Random(SEED)
    found: dict[str, tuple[int, int]] = {}
    for number in range(cases):
        root = folder / str(number)
        _linked(stored.root, root)
        kind = chance.choices(["database", "newest checkpoint", "arrays"], [6, 1, 1])[0]
        words = _damage(chance.choice(_targets(root, stored.run_id)[kind]), chance)
        noticed = _check(root, stored, f"case {number}: {words}")
        count, seen = found.get(kind, (0, 0))
        found[kind] = (count + 1, seen + noticed)
        shutil.rmtree(root)
    return found


def _check_found(found: dict[str, tuple[int, int]]) -> None:
    # Of a database some bytes mean nothing: free room, numbers that nobody reads.
    for kind in ("newest checkpoint", "arrays"):
        count, noticed = found[kind]
        assert noticed == count, kind
    count, noticed = found["database"]
    assert noticed > count / 2


def test_damaged_files_never_give_a_wrong_answer(stored: Stored, tmp_path: Path) -> None:
    _check_found(_fuzz(stored, tmp_path, 60))


@pytest.mark.slow
def test_a_thousand_damaged_files(
    stored: Stored, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    found = _fuzz(stored, tmp_path, 1000)
    print(found)
    _check_found(found)


def _torn(stored: Stored, target: Path) -> None:
    """The store as a kill leaves it: its last rows in the write-ahead log alone."""
    _linked(stored.root, target)
    with connect(target / DATABASE) as connection:
        records = connection.execute("SELECT run_id, iteration, kind, data FROM records").fetchall()
        connection.execute("DELETE FROM records WHERE kind = 'notice'")
        for row in records[:40]:
            connection.execute(
                "INSERT INTO records (run_id, iteration, kind, data) VALUES (?, ?, ?, ?)", row
            )
        copies = {
            path.name: path.read_bytes() for path in target.glob(f"{DATABASE}*") if path.is_file()
        }
    connection.close()
    for name, content in copies.items():
        (target / name).write_bytes(content)
    (target / f"{DATABASE}-shm").unlink(missing_ok=True)


@pytest.mark.parametrize("cases", [20, pytest.param(300, marks=pytest.mark.slow)])
def test_a_damaged_write_ahead_log_gives_an_earlier_moment(
    stored: Stored, tmp_path: Path, cases: int
) -> None:
    torn = tmp_path / "torn"
    _torn(stored, torn)
    kept = tmp_path / "kept"
    _linked(torn, kept)
    complete = runs.read(kept, stored.run_id).records
    chance = random.Random(SEED)
    lengths = set()
    for number in range(cases):
        root = tmp_path / str(number)
        _linked(torn, root)
        words = _damage(root / f"{DATABASE}-wal", chance)
        try:
            records = runs.read(root, stored.run_id).records
        except (InputError, RunFailed):
            continue
        finally:
            shutil.rmtree(root)
        lengths.add(len(records))
        whole = stored.answers["records"]
        assert records == whole[: len(records)] or records == complete[: len(records)], words
    assert len(lengths) > 3


@pytest.mark.parametrize("how", ["damaged", "missing"])
def test_a_run_whose_newest_checkpoints_are_gone_goes_on_from_the_one_before(
    nursery: Nursery, stored: Stored, tmp_path: Path, how: str
) -> None:
    root = tmp_path / "runs"
    shutil.copytree(stored.root, root)
    with connect(root / DATABASE) as connection:
        connection.execute("UPDATE runs SET status = 'stopped'")
    connection.close()
    *_, before, last, newest = sorted((root / stored.run_id / "checkpoints").glob("*.pt"))
    for path in (last, newest):
        if how == "missing":
            path.unlink()
        else:
            path.write_bytes(path.read_bytes()[:-1])
    runs.resume(root, stored.run_id)
    assert runs.info(root, stored.run_id).iteration >= int(before.stem)
    assert ended(root, stored.run_id) is RunStatus.FINISHED
    notice = runs.latest(root, stored.run_id, RecordKind.NOTICE)
    assert notice is not None
    assert f"its checkpoint '{newest}' is {how}" in notice.data["text"]
    assert f"from the checkpoint of iteration {int(before.stem)} " in notice.data["text"]
    steps = runs.read(root, stored.run_id, kinds=[RecordKind.STEP]).records
    assert [record.iteration for record in steps] == list(range(1, 31))
    checkpoint = last_whole_checkpoint(RunStore(root), stored.run_id)
    assert checkpoint.notice == ""
    assert same(checkpoint_state(RunStore(root), checkpoint.checkpoint), stored.states[30])


def test_without_any_whole_checkpoint_a_run_says_so(stored: Stored, tmp_path: Path) -> None:
    root = tmp_path / "runs"
    shutil.copytree(stored.root, root)
    paths = sorted((root / stored.run_id / "checkpoints").glob("*.pt"))
    for path in paths:
        path.write_bytes(b"")
    with connect(root / DATABASE) as connection:
        connection.execute("UPDATE runs SET status = 'stopped'")
    connection.close()
    with pytest.raises(InputError) as refusal:
        runs.resume(root, stored.run_id)
    assert f"its checkpoint '{paths[-1]}' is damaged" in str(refusal.value)
    assert f"none of the {len(paths) - 1} before it is whole" in str(refusal.value)
    assert runs.info(root, stored.run_id).status is RunStatus.STOPPED


def test_a_damaged_array_does_not_leave_in_an_archive(stored: Stored, tmp_path: Path) -> None:
    root = tmp_path / "runs"
    shutil.copytree(stored.root, root)
    sheet = runs.latest(root, stored.run_id, RecordKind.IMAGES)
    assert sheet is not None
    path = RunStore(root).path(sheet)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    export_run(root, stored.run_id, tmp_path / "run.zip")
    taken = import_run(tmp_path / "other", tmp_path / "run.zip")
    record = runs.latest(tmp_path / "other", taken, RecordKind.IMAGES)
    assert record is not None
    with pytest.raises(RunFailed, match="is damaged"):
        runs.arrays(tmp_path / "other", record)
