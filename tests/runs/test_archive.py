from __future__ import annotations

import io
import json
import sqlite3
import stat
import sys
import zipfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from stored_runs import files_of, held_run, stored_run

from adadfq_core.errors import InputError, RunFailed
from adadfq_core.runs import archive, control
from adadfq_core.runs.archive import export_run, import_run
from adadfq_core.runs.database import connect
from adadfq_core.runs.labels import set_labels
from adadfq_core.runs.records import RecordKind, RunStatus
from adadfq_core.runs.store import RunStore
from adadfq_core.runs.writer import RunWriter
from adadfq_core.settings import RunSettings

Change = Callable[[dict[str, Any], dict[str, bytes]], None]
SETTINGS = RunSettings(weight_bits=3, activation_bits=5, lambda_l=0.15, weights="/elsewhere/w.pt")


@pytest.fixture
def exported(root: Path, tmp_path: Path) -> tuple[str, Path]:
    """A run and its archive."""
    run_id = stored_run(root, SETTINGS)
    set_labels(root, run_id, ["figure 2", "λ"], "for\nthe paper")
    path = tmp_path / "run.adadfq.zip"
    export_run(root, run_id, path)
    return run_id, path


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """The folder of another store."""
    return tmp_path / "other"


def log(root: Path, run_id: str) -> list[tuple[Any, ...]]:
    """The log without the store's own numbers; texts, as NaN differs from itself."""
    return [
        (each.iteration, each.kind, json.dumps(each.data), each.file)
        for each in RunStore(root).read(run_id).records
    ]


def commands(root: Path, run_id: str) -> list[tuple[Any, ...]]:
    with sqlite3.connect(RunStore(root).database) as connection:
        rows = connection.execute(
            "SELECT created, kind, payload, applied_iteration, error FROM commands "
            "WHERE run_id = ? ORDER BY seq",
            (run_id,),
        ).fetchall()
    connection.close()
    return rows


def state(root: Path) -> tuple[object, ...]:
    """All rows and all files of a store."""
    store = RunStore(root)
    runs = store.list_runs()
    return (
        [(info, log(root, info.run_id), commands(root, info.run_id)) for info in runs],
        {name: data for name, data in files_of(root).items() if not name.startswith("runs.db")},
        sorted(path.name for path in root.iterdir() if path.is_dir()),
    )


def repack(path: Path, change: Change, method: int = zipfile.ZIP_DEFLATED) -> None:
    """Rewrite an archive with `change` made to its manifest and members, its hashes put right."""
    with zipfile.ZipFile(path) as old:
        members = {name: old.read(name) for name in old.namelist()}
    manifest = json.loads(members.pop("manifest.json"))
    change(manifest, members)
    for name, content in members.items():
        if name in manifest["files"]:
            manifest["files"][name] = {
                "sha256": sha256(content).hexdigest(),
                "bytes": len(content),
            }
    with zipfile.ZipFile(path, "w", method) as new:
        for name, content in members.items():
            new.writestr(name, content)
        new.writestr("manifest.json", json.dumps(manifest))


def test_a_run_is_in_another_store_what_it_was(
    root: Path, other: Path, exported: tuple[str, Path]
) -> None:
    run_id, path = exported
    assert import_run(other, path) == run_id
    before, after = RunStore(root).info(run_id), RunStore(other).info(run_id)
    assert before.pid is not None and after.pid is None and after.process_started is None
    for name in ("created", "settings", "preset", "status", "iteration", "updated", "tags", "note"):
        assert getattr(after, name) == getattr(before, name), name
    assert log(other, run_id) == log(root, run_id)
    assert commands(other, run_id) == commands(root, run_id) != []
    assert files_of(other / run_id) == files_of(root / run_id)
    sheet = RunStore(other).latest(run_id, RecordKind.IMAGES)
    assert sheet is not None and RunStore(other).arrays(sheet)["pixels"].max() == 6
    assert control.current_settings(other, run_id).beta == 0.5
    assert {path.name for path in other.iterdir() if path.is_dir()} == {run_id}


def test_the_same_run_gives_the_same_file_wherever_it_lies(
    other: Path, exported: tuple[str, Path], tmp_path: Path
) -> None:
    run_id, path = exported
    import_run(other, path)
    again = tmp_path / "again.zip"
    export_run(other, run_id, again)
    assert again.read_bytes() == path.read_bytes()


def test_the_very_same_run_is_taken_once(root: Path, exported: tuple[str, Path]) -> None:
    run_id, path = exported
    before = state(root)
    assert import_run(root, path) == run_id
    assert state(root) == before
    set_labels(root, run_id, ["labelled since"])
    assert import_run(root, path) == run_id
    assert RunStore(root).info(run_id).tags == ("labelled since",)
    with path.open("rb") as file:
        assert import_run(root, file) == run_id


def test_another_run_with_that_id_stays_and_the_new_one_gets_its_own(
    other: Path, exported: tuple[str, Path]
) -> None:
    run_id, path = exported
    store = RunStore(other)
    first = stored_run(other)
    with connect(store.database) as connection:
        for table in ("runs", "records", "commands"):
            connection.execute(f"UPDATE {table} SET run_id = ? WHERE run_id = ?", (run_id, first))
    connection.close()
    (other / first).rename(other / run_id)
    before = log(other, run_id)

    new = import_run(other, path)
    assert new != run_id and new[:-2] == run_id[:-2]
    assert log(other, run_id) == before
    checkpoint = store.latest(new, RecordKind.CHECKPOINT)
    assert checkpoint is not None and store.path(checkpoint).parent == other / new / "checkpoints"
    assert store.path(checkpoint).read_bytes() == b"networks" * 4000
    assert import_run(other, path) == new, "once, also under its new name"


def test_a_run_that_went_on_since_is_another(
    root: Path, exported: tuple[str, Path], tmp_path: Path
) -> None:
    run_id, path = exported
    store = RunStore(root)
    store.reclaim(run_id, 6)
    with RunWriter(root, run_id) as writer:
        writer.append(RecordKind.STEP, 7, {"ms": 1.0, "seconds": 2.0})
        writer.set_status(RunStatus.STOPPED)
    old = import_run(root, path)
    assert old != run_id and store.info(old).iteration == 6
    assert store.info(run_id).iteration == 7


def test_a_folder_without_a_row_is_not_taken_for_the_runs(
    other: Path, exported: tuple[str, Path]
) -> None:
    run_id, path = exported
    (other / run_id).mkdir(parents=True)
    (other / run_id / "mine.txt").write_text("keep")
    assert import_run(other, path) != run_id
    assert files_of(other / run_id) == {"mine.txt": b"keep"}


def test_a_run_that_failed_with_an_odd_text_comes_in_with_what_can_be_shown(
    root: Path, other: Path, tmp_path: Path
) -> None:
    with held_run(root) as writer:
        writer.set_status(RunStatus.FAILED, "\x1b[31mout of\tmemory\nλ" + "!" * 30_000)
    export_run(root, writer.run_id, tmp_path / "x.zip")
    reason = RunStore(other).info(import_run(other, tmp_path / "x.zip")).reason
    assert reason == "[31mout ofmemory\nλ" + "!" * (20_000 - 18)


def test_an_active_run_is_not_exported(root: Path, tmp_path: Path) -> None:
    with held_run(root) as writer:
        path = tmp_path / "out.zip"
        with pytest.raises(InputError, match="is running and cannot be exported; stop it first"):
            export_run(root, writer.run_id, path)
    assert not path.exists()


def test_an_export_that_cannot_be_written_leaves_nothing(root: Path, tmp_path: Path) -> None:
    run_id = stored_run(root)
    with pytest.raises(RunFailed, match=r"missing/x.zip' could not be written \(No such file"):
        export_run(root, run_id, tmp_path / "missing" / "x.zip")
    with pytest.raises(InputError, match="There is no run 'nope'"):
        export_run(root, "nope", tmp_path / "x.zip")
    assert {path.name for path in tmp_path.iterdir()} == {root.name}


def test_a_file_that_was_removed_by_hand_stays_away_and_its_record_stays(
    root: Path, other: Path, tmp_path: Path
) -> None:
    run_id = stored_run(root)
    checkpoint = RunStore(root).latest(run_id, RecordKind.CHECKPOINT)
    assert checkpoint is not None
    RunStore(root).path(checkpoint).unlink()
    export_run(root, run_id, tmp_path / "x.zip")
    assert import_run(other, tmp_path / "x.zip") == run_id
    assert log(other, run_id) == log(root, run_id)
    with pytest.raises(InputError, match=r"cannot be resumed because its checkpoint .* is missing"):
        control.resume(other, run_id)


@pytest.mark.parametrize("network", ["own:build", "own.py:build"])
def test_an_imported_run_that_names_code_shows_and_is_not_resumed(
    root: Path, other: Path, tmp_path: Path, network: str
) -> None:
    settings = RunSettings(network=network, code_folder=str(tmp_path), data="none")
    run_id = stored_run(root, settings)
    export_run(root, run_id, tmp_path / "x.zip")
    import_run(other, tmp_path / "x.zip")
    assert control.info(other, run_id).settings == settings
    message = f"would run the code {network}, which only .*runs resume {run_id} --own-code' may"
    with pytest.raises(InputError, match=message):
        control.resume(other, run_id)
    assert control.info(other, run_id).status is RunStatus.STOPPED
    with pytest.raises(InputError, match=f"The network {network} would run code"):
        control.start(other, control.current_settings(other, run_id))


def crash(*_: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("step", ["_unpack", "_copy", "_insert", "mark", "unmark"])
def test_a_crash_leaves_the_store_as_it_was(
    other: Path, exported: tuple[str, Path], monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    run_id, path = exported
    stored_run(other)
    before = state(other)
    monkeypatch.setattr(archive, step, crash)
    # As if the process were gone: what it would still do at the end is not done.
    monkeypatch.setattr(archive.shutil, "rmtree", lambda *_, **__: None)
    with pytest.raises(KeyboardInterrupt):
        import_run(other, path)
    monkeypatch.undo()
    runs = [info.run_id for info in RunStore(other).list_runs()]
    if step == "unmark":
        assert run_id in runs, "all is there, and only the mark was to go"
    else:
        assert (state(other)[0], run_id in runs) == (before[0], False)
    monkeypatch.setattr("adadfq_core.runs.leftovers.alive", lambda *_: False)
    assert import_run(other, path) == run_id
    assert {path.name for path in other.iterdir() if path.is_dir()} == {*runs, run_id}


def test_a_crash_between_the_folder_and_its_rows_leaves_no_run(
    other: Path, exported: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id, path = exported
    rename = Path.rename

    def rename_and_crash(self: Path, target: Path) -> Path:
        rename(self, target)
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "rename", rename_and_crash)
    with pytest.raises(KeyboardInterrupt):
        import_run(other, path)
    monkeypatch.undo()
    assert RunStore(other).list_runs() == [] and (other / run_id).is_dir()
    assert import_run(other, path) == run_id
    assert {path.name for path in other.iterdir() if path.is_dir()} == {run_id}


def test_a_full_disk_is_told_before_anything_is_written(
    other: Path, exported: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    RunStore(other)
    usage = type("Usage", (), {"free": 1000})()
    monkeypatch.setattr(archive.shutil, "disk_usage", lambda folder: usage)
    with pytest.raises(RunFailed, match="has no room for; free some space"):
        import_run(other, exported[1])
    assert state(other) == ([], {}, [])


def add(name: str, content: bytes = b"x") -> Change:
    def change(manifest: dict[str, Any], members: dict[str, bytes]) -> None:
        members[name] = content
        manifest["files"][name] = {}

    return change


def row(**values: Any) -> Change:
    return lambda manifest, members: manifest["run"].update(values)


def setting(**values: Any) -> Change:
    return lambda manifest, members: manifest["run"]["settings"].update(values)


def line(name: str, content: bytes) -> Change:
    def change(manifest: dict[str, Any], members: dict[str, bytes]) -> None:
        members[name] += content + b"\n"

    return change


def record(**values: Any) -> Change:
    content = {"iteration": 7, "kind": "step", "data": {}, "file": None, **values}
    return line("records.jsonl", json.dumps(content).encode())


def without(name: str) -> Change:
    def change(manifest: dict[str, Any], members: dict[str, bytes]) -> None:
        del members[name], manifest["files"][name]

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (add("../evil.pt"), r"its member '../evil.pt' is none of a run's"),
        (add("/tmp/evil.pt"), r"its member '/tmp/evil.pt' is none of a run's"),
        (add("checkpoints/../../evil.pt"), "is none of a run's"),
        (add("checkpoints\\evil.pt"), "is none of a run's"),
        (add("checkpoints/evil.py"), "is none of a run's"),
        (add("arrays/sub/x.safetensors"), "is none of a run's"),
        (add("worker.log"), "is none of a run's"),
        (add("checkpoints/"), "is none of a run's"),
        (lambda _, members: members.update({"arrays/1.safetensors": b""}), "its members are not"),
        (without("commands.jsonl"), "its members are not those that its manifest.json names"),
        (add("checkpoints/9.pt", b"0" * 3_000_000), "unpacks to more than 200 times its size"),
        (row(run_id=".."), "manifest.json is not as it should be .run.run_id"),
        (row(run_id="20260101-120000-3w3a-../x"), "run.run_id"),
        (row(status="running"), "its run is running, and only one that has ended"),
        (row(status="queued"), "its run is queued, and only one that has ended"),
        (row(status="odd"), "run.status"),
        (row(iteration=-1), "run.iteration"),
        (row(created=1e300), "run.created"),
        (row(tags=["t" * 41]), "The tag 't+…' has 41 characters"),
        (row(note="\x00"), "The note has characters that cannot be shown"),
        (row(extra=1), "run.extra"),
        (row(preset="\x1b[2J"), "its run has texts with characters that cannot be shown"),
        (row(reason="\x1b[2J"), "its run has texts with characters that cannot be shown"),
        (setting(data="\x1b[2J"), "its run has texts with characters that cannot be shown"),
        (setting(lambda_l=0.9), "its settings cannot be used: lambda_l = 0.9 must be below"),
        (setting(colour="red"), "its settings cannot be used: Unknown setting 'colour'"),
        (lambda manifest, _: manifest.update(format=2), "a newer version .* made it .format 2"),
        (lambda manifest, _: manifest.pop("format"), "manifest.json is not as it should be"),
        (record(kind="odd"), r"line 1\d of its records.jsonl is not as it should be .kind"),
        (record(iteration=-1), "records.jsonl is not as it should be .iteration"),
        (record(data=[]), "records.jsonl is not as it should be .data"),
        (record(file="../../etc/passwd"), "records.jsonl is not as it should be .file"),
        (record(file="arrays/x.safetensors\n"), "records.jsonl is not as it should be .file"),
        (line("records.jsonl", b'{"data":' + b"[" * 100_000), "records.jsonl is not as it should"),
        (line("records.jsonl", b"\xff"), "records.jsonl is not as it should be"),
        (line("records.jsonl", b" " * 2**23), r"line 1\d of its records.jsonl is too long"),
        (
            line(
                "commands.jsonl",
                b'{"created":1,"kind":"stop","payload":{},"applied_iteration":null,"error":null}',
            ),
            "commands.jsonl is not as it should be .*the command still waits",
        ),
    ],
)
def test_what_is_not_allowed_is_refused_and_changes_nothing(
    root: Path, other: Path, exported: tuple[str, Path], change: Change, message: str
) -> None:
    stored_run(other)
    before = state(other)
    repack(exported[1], change, zipfile.ZIP_STORED if "too long" in message else 8)
    with pytest.raises(InputError, match=f"'run.adadfq.zip' cannot be imported: .*{message}"):
        import_run(other, exported[1])
    assert state(other) == before
    assert not list(root.parent.glob("evil*"))


def test_an_altered_file_is_told(other: Path, exported: tuple[str, Path]) -> None:
    path = exported[1]
    with zipfile.ZipFile(path) as old:
        members = {name: old.read(name) for name in old.namelist()}
    members["checkpoints/00000006.pt"] = members["checkpoints/00000006.pt"][:-1] + b"!"
    with zipfile.ZipFile(path, "w") as new:
        for name, content in members.items():
            new.writestr(name, content)
    with pytest.raises(InputError, match=r"00000006.pt' is damaged \(wrong checksum\)"):
        import_run(other, path)
    assert RunStore(other).list_runs() == []


@pytest.mark.parametrize("where", ["start", "middle", "end"])
def test_a_damaged_file_is_told(other: Path, exported: tuple[str, Path], where: str) -> None:
    content = bytearray(exported[1].read_bytes())
    place = {"start": 0, "middle": len(content) // 2, "end": len(content) - 30}[where]
    content[place : place + 25] = b"\x5a" * 25
    exported[1].write_bytes(content)
    with pytest.raises(InputError, match=r"run.adadfq.zip' (is|cannot)"):
        import_run(other, exported[1])
    assert state(other) == ([], {}, [])


@pytest.mark.parametrize("kept", [0, 100, 5000, -1])
def test_half_a_file_is_told(other: Path, exported: tuple[str, Path], kept: int) -> None:
    exported[1].write_bytes(exported[1].read_bytes()[:kept])
    with pytest.raises(InputError, match=r"is no archive of a run \(.*export the run again"):
        import_run(other, exported[1])


def test_a_missing_file_is_told(other: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"'x.zip' cannot be read \(No such file"):
        import_run(other, tmp_path / "x.zip")
    (tmp_path / "plain.zip").write_bytes(b"")
    with zipfile.ZipFile(tmp_path / "plain.zip", "w"):
        pass
    with pytest.raises(InputError, match=r"it has no manifest.json, so it is no archive"):
        import_run(other, tmp_path / "plain.zip")


@pytest.mark.parametrize(
    ("alter", "message"),
    [
        (lambda info: setattr(info, "external_attr", (stat.S_IFLNK | 0o777) << 16), "none of a"),
        (lambda info: setattr(info, "compress_type", zipfile.ZIP_BZIP2), "neither stored nor"),
    ],
)
def test_links_and_other_packings_are_refused(
    other: Path, exported: tuple[str, Path], alter: Callable[[zipfile.ZipInfo], None], message: str
) -> None:
    info = zipfile.ZipInfo("checkpoints/9.pt")
    alter(info)
    with zipfile.ZipFile(exported[1], "a") as archive_:
        archive_.writestr(info, "/etc/passwd")
    with pytest.raises(InputError, match=message):
        import_run(other, exported[1])


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_member_that_is_there_twice_is_refused(other: Path, exported: tuple[str, Path]) -> None:
    with zipfile.ZipFile(exported[1], "a") as archive_:
        archive_.writestr("records.jsonl", "")
    with pytest.raises(InputError, match=r"its member 'records.jsonl' is there twice"):
        import_run(other, exported[1])


def test_too_many_or_too_large_members_are_refused(
    other: Path, exported: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "MOST_MEMBERS", 3)
    with pytest.raises(InputError, match="it has 6 members; at most 3 are allowed"):
        import_run(other, exported[1])
    monkeypatch.undo()
    monkeypatch.setattr(archive, "MOST_BYTES", 30_000)
    with pytest.raises(InputError, match="GiB; at most 0 are allowed"):
        import_run(other, exported[1])


def test_an_upload_needs_no_file_on_disk(other: Path, exported: tuple[str, Path]) -> None:
    upload = io.BytesIO(exported[1].read_bytes())
    upload.name = "from the page.zip"  # type: ignore[attr-defined]
    assert import_run(other, upload) == exported[0]
    broken = io.BytesIO(b"PK")
    broken.name = "from the page.zip"  # type: ignore[attr-defined]
    with pytest.raises(InputError, match=r"'from the page.zip' is no archive of a run"):
        import_run(other, broken)


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions")
def test_what_comes_out_is_no_program(other: Path, exported: tuple[str, Path]) -> None:
    run_id = import_run(other, exported[1])
    modes = [path.stat().st_mode for path in (other / run_id).rglob("*") if path.is_file()]
    assert modes and not any(mode & 0o111 for mode in modes)
