"""Archives of runs that somebody has made to do harm: refused in a sentence, and nothing changes.

What an archive may hold, and faults that come by accident, are in `tests/runs/test_archive.py`.
"""

from __future__ import annotations

import io
import json
import os
import re
import sqlite3
import stat
import struct
import tarfile
import zipfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest
from stored_runs import files_of, stored_run

from adadfq_core.errors import InputError
from adadfq_core.home import uploads_folder
from adadfq_core.runs import archive
from adadfq_core.runs.archive import export_run, import_run
from adadfq_core.runs.store import RunStore
from adadfq_core.server_options import DATA_ROOTS
from adadfq_core.settings import RunSettings
from adadfq_core.zoo.loading import load_float_network
from app import access

CHECKPOINT = "checkpoints/00000006.pt"
Attack = Callable[[bytes], bytes]

# Where the fields of a member's entry lie, in the list of members at the end and before its data.
LISTED = {"version": 6, "flags": 8, "method": 10, "crc": 16, "packed": 20, "size": 24, "offset": 42}
BEFORE = {"flags": 6, "method": 8, "crc": 14, "packed": 18, "size": 22}
WIDTHS = {"version": "<H", "flags": "<H", "method": "<H"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, bytes]:
    """A run and its archive."""
    folder = tmp_path_factory.mktemp("made")
    run_id = stored_run(folder / "runs", RunSettings(weights="/elsewhere/w.pt"))
    export_run(folder / "runs", run_id, folder / "run.zip")
    return run_id, (folder / "run.zip").read_bytes()


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store with a run in it, below a folder that holds something as well."""
    monkeypatch.setenv("ADADFQ_HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "kept.txt").write_text("kept")
    root = tmp_path / "home" / "runs"
    stored_run(root)
    return root


def state(root: Path) -> tuple[object, ...]:
    """Every file around and in a store, byte for byte, and every row of its database."""
    with sqlite3.connect(root / "runs.db") as connection:
        rows = list(connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'"))
        content = {name: connection.execute(f"SELECT * FROM {name}").fetchall() for (name,) in rows}
    connection.close()
    around = files_of(root.parent.parent)
    folders = sorted(str(path) for path in root.parent.parent.rglob("*") if path.is_dir())
    return content, {n: d for n, d in around.items() if "/runs.db" not in n}, folders


def give(root: Path, content: bytes) -> str:
    """Import `content` as an upload whose file lies nowhere in the store; the run's id."""
    upload = io.BytesIO(content)
    upload.name = "run.zip"  # type: ignore[attr-defined]
    return import_run(root, upload)


def refuse(root: Path, content: bytes, message: str) -> None:
    before = state(root)
    with pytest.raises(InputError, match=message) as told:
        give(root, content)
    sentence = str(told.value)
    assert sentence.startswith("'run.zip' ") and len(sentence) < 700 and sentence.isprintable()
    assert state(root) == before


def repacked(
    content: bytes,
    change: Callable[[dict[str, Any], dict[str, bytes]], None] = lambda manifest, members: None,
    attribute: int = 0,
    of: str = CHECKPOINT,
) -> bytes:
    """The archive with `change` made to its manifest and members, its checksums put right.

    The member `of` gets the mode `attribute`.
    """
    with zipfile.ZipFile(io.BytesIO(content)) as old:
        members = {name: old.read(name) for name in old.namelist()}
    manifest = json.loads(members.pop("manifest.json"))
    change(manifest, members)
    for name in manifest["files"].keys() & members.keys():
        known = {"sha256": sha256(members[name]).hexdigest(), "bytes": len(members[name])}
        manifest["files"][name] = known
    new = io.BytesIO()
    with zipfile.ZipFile(new, "w") as packed:
        for name, data in (*members.items(), ("manifest.json", json.dumps(manifest).encode())):
            info = zipfile.ZipInfo(name)
            info.external_attr = (attribute if name == of else 0) << 16
            packed.writestr(info, data)
    return new.getvalue()


def with_member(name: str, data: bytes = b"x") -> Attack:
    """One more member, which the manifest names."""

    def change(manifest: dict[str, Any], members: dict[str, bytes]) -> None:
        members[name] = data
        manifest["files"][name] = {}

    return lambda content: repacked(content, change)


def with_manifest(change: Callable[[dict[str, Any]], object]) -> Attack:
    return lambda content: repacked(content, lambda manifest, members: change(manifest))


def entry(content: bytes, name: str = CHECKPOINT) -> int:
    """Where the entry of `name` begins in the list of members, which ends the file."""
    return content.rindex(name.encode()) - 46


def lying(name: str, value: int, member: str = CHECKPOINT, *, both: bool = False) -> Attack:
    """A field of a member's entry changed, in the list of members or before its data as well."""

    def attack(content: bytes) -> bytes:
        changed = bytearray(content)
        kind = WIDTHS.get(name, "<I")
        struct.pack_into(kind, changed, entry(content, member) + LISTED[name], value)
        if both:
            place = content.index(member.encode()) - 30 + BEFORE[name]
            struct.pack_into(kind, changed, place, value)
        return bytes(changed)

    return lambda content: attack(repacked(content))


NAMES = [
    *("/etc/evil.pt", "//etc/evil.pt", "../evil.pt", "../../kept.txt", "checkpoints/../../evil.pt"),
    *("C:\\evil.pt", "C:evil.pt", "C:/evil.pt", "\\\\host\\share\\evil.pt", "checkpoints\\evil.pt"),
    *("./records.jsonl", "checkpoints//9.pt", "checkpoints/./9.pt", "checkpoints/9.pt/"),
    *("checkpoints", "arrays", "checkpoints/", "checkpoints/9.pt/10.pt", "checkpoints/.pt"),
    *("Records.jsonl", "CHECKPOINTS/00000006.pt", "checkpoints/00000006.PT", "MANIFEST.JSON"),
    *(
        "checkpoints/9\n.pt",
        "checkpoints/9\x1b[2J.pt",
        "checkpoints/9\u202etp.",
        "checkpoints/9.pt ",
    ),
    *("checkpoints/９.pt", "checkpoints/9.pt:stream", "checkpoints/9.zip", "inner.adadfq.zip"),
    *("runs.db", "runs.db-wal", ".leftover", "worker.log", "", "~/evil.pt", "$HOME/evil.pt"),
    "checkpoints/" + "9" * 5000 + ".pt",
    "a/" * 2000 + "9.pt",
]


@pytest.mark.parametrize("name", NAMES, ids=lambda name: ascii(name[:40]))
def test_no_other_name_comes_in(root: Path, made: tuple[str, bytes], name: str) -> None:
    refuse(root, with_member(name)(made[1]), "its member .* is none of a run's")
    assert not Path("/etc/evil.pt").exists()


def test_a_name_that_ends_for_some_at_a_null_does_not_come_in(
    root: Path, made: tuple[str, bytes]
) -> None:
    content = with_member("checkpoints/9.pt@.txt")(made[1]).replace(b"9.pt@.txt", b"9.pt\0.txt")
    refuse(root, content, r"its member 'checkpoints/9.pt\\x00.txt' is none of a run's")


def test_a_second_name_beside_the_first_does_not_come_in(
    root: Path, made: tuple[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As versions of zipfile do that read a member's Unicode name from its extra field."""

    def read_it(self: zipfile.ZipInfo) -> None:
        if self.orig_filename == "checkpoints/9.pt":
            self.filename = "../../evil.pt"

    monkeypatch.setattr(zipfile.ZipInfo, "_decodeExtra", read_it)

    def change(manifest: dict[str, Any], members: dict[str, bytes]) -> None:
        members["checkpoints/9.pt"] = b"x"
        known = {"sha256": sha256(b"x").hexdigest(), "bytes": 1}
        manifest["files"]["../../evil.pt"] = known

    refuse(root, repacked(made[1], change), "its member 'checkpoints/9.pt' is none of a run's")


@pytest.mark.parametrize("kind", ["LNK", "CHR", "BLK", "IFO", "SOCK", "DIR"])
def test_links_devices_pipes_and_folders_do_not_come_in(
    root: Path, made: tuple[str, bytes], kind: str
) -> None:
    mode = stat.S_IFIFO if kind == "IFO" else getattr(stat, f"S_IF{kind}")
    refuse(root, repacked(made[1], attribute=mode | 0o777), "is none of a run's")


def tar(content: bytes) -> bytes:
    made = io.BytesIO()
    with (
        tarfile.open(fileobj=made, mode="w") as packed,
        zipfile.ZipFile(io.BytesIO(content)) as old,
    ):
        for name in old.namelist():
            info = tarfile.TarInfo(name)
            info.size = len(old.read(name))
            packed.addfile(info, io.BytesIO(old.read(name)))
        link = tarfile.TarInfo("checkpoints/9.pt")
        link.type, link.linkname = tarfile.LNKTYPE, "/etc/passwd"
        packed.addfile(link)
    return made.getvalue()


def many(content: bytes) -> bytes:
    """A list of half a million members in 23 MiB, which are nowhere."""
    one = struct.pack("<4s6H3I5H2I", b"PK\1\2", *[0] * 16)
    count = archive.MOST_LIST_BYTES // len(one) + 1
    end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 0, 0, count * len(one), 0, 0)
    return one * count + end


def overlapping(content: bytes) -> bytes:
    """A member whose data are another one with its header, and so on: packed once, read often."""
    names = [f"checkpoints/{number}.pt" for number in range(40)]

    def header(name: str, data: bytes) -> bytes:
        sizes = (crc32(data), len(data), len(data), len(name), 0)
        return struct.pack("<4s5H3I2H", b"PK\3\4", 20, 0, 0, 0, 0x21, *sizes) + name.encode()

    data = os.urandom(50_000)
    whole: list[tuple[str, bytes, bytes]] = []
    for name in names:
        head = header(name, data)
        whole.append((name, head, data))
        data = head + data
    listing, end_of_data = b"", len(data)
    for name, head, body in whole:
        place = end_of_data - len(head) - len(body)
        fixed = (20, 20, 0, 0, 0, 0x21, crc32(body), len(body), len(body))
        listing += struct.pack("<4s6H3I5H2I", b"PK\1\2", *fixed, len(name), 0, 0, 0, 0, 0, place)
        listing += name.encode()
    end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 40, 40, len(listing), len(data), 0)
    return data + listing + end


FORMS: dict[str, tuple[Attack, str]] = {
    "a tar file": (tar, "is no archive of a run"),
    "a list too long": (many, r"is no archive of a run \(its list of members has \d+ bytes\)"),
    "members in each other": (overlapping, "take .* bytes of a file that has .*, so they overlap"),
    "a wrong CRC": (lying("crc", 1), "is damaged .*Bad CRC-32"),
    "a wrong CRC twice": (lying("crc", 1, both=True), "is damaged .*Bad CRC-32"),
    "a size too small": (lying("size", 5), "damaged"),
    "a size too large": (lying("size", 100_000, both=True), "damaged"),
    "a size that is huge": (lying("size", 2**32 - 2, both=True), "unpacks to more than 200 times"),
    "packed too small": (lying("packed", 5, both=True), "damaged"),
    "packed too large": (lying("packed", 2**31, both=True), "so they overlap"),
    "both too large": (
        lambda content: lying("packed", 10**6)(lying("size", 10**6)(content)),
        "damaged|overlap",
    ),
    "data beyond the end": (lying("offset", 2**31), "a member of it lies outside of the file"),
    "data of another": (lying("offset", 0), "is damaged .*differ"),
    "encrypted": (lying("flags", 1, both=True), "is encrypted or a patch"),
    "strongly encrypted": (lying("flags", 0x41, both=True), "is encrypted or a patch"),
    "a patch": (lying("flags", 0x20, both=True), "is encrypted or a patch"),
    "hidden headers": (lying("flags", 0x2000, both=True), "is encrypted or a patch"),
    "unknown packing": (lying("method", 99, both=True), "neither stored nor deflated"),
    "packing of a later time": (lying("version", 99), "is no archive of a run"),
    "deflated that is stored": (lying("method", 8, both=True), "damaged"),
    "manifest with a wrong CRC": (lying("crc", 1, "manifest.json"), "is damaged"),
    "a name that is no text": (
        lambda content: (
            repacked(content)
            .replace(CHECKPOINT.encode(), b"checkpoints/\xff\xfe000006.pt", 1)
            .replace(b"PK\3\4\x14\0\0\0", b"PK\3\4\x14\0\0\x08")
        ),
        "damaged|differ",
    ),
}


@pytest.mark.parametrize("name", FORMS)
def test_no_other_form_comes_in(root: Path, made: tuple[str, bytes], name: str) -> None:
    attack, message = FORMS[name]
    content = attack(made[1])
    assert content != made[1]
    refuse(root, content, message)


def test_what_stands_before_an_archive_is_not_looked_at(
    root: Path, made: tuple[str, bytes]
) -> None:
    run_id, content = made
    assert give(root, tar(content) + content) == run_id
    assert {path.name for path in (root / run_id).iterdir()} == {"arrays", "checkpoints"}


def row(**values: Any) -> Attack:
    return with_manifest(lambda manifest: manifest["run"].update(values))


def record(kind: str, data: str) -> Attack:
    def change(manifest: dict[str, Any], members: dict[str, bytes]) -> None:
        line = f'{{"iteration":6,"kind":"{kind}","data":{data},"file":null}}\n'
        members["records.jsonl"] += line.encode()

    return lambda content: repacked(content, change)


CONTENTS: dict[str, tuple[Attack, str]] = {
    "a process": (row(pid=os.getpid(), process_started=1.0), "run.pid: Extra inputs"),
    "a live process": (row(status="running"), "its run is running, and only one that has ended"),
    "one that starts": (row(status="starting"), "only one that has ended"),
    "one that waits": (row(status="queued"), "only one that has ended"),
    "an owner": (row(owner="ann@example.org"), "run.owner: Extra inputs"),
    "a folder": (row(folder="/etc"), "run.folder: Extra inputs"),
    "an id that is a path": (row(run_id="../../20260101-120000-3w3a-aa"), "run.run_id"),
    "an id with a line break": (row(run_id="20260101-120000-3w3a-aa\n"), "run.run_id"),
    "an id in other digits": (row(run_id="２0260101-120000-3w3a-aa"), "run.run_id"),
    "settings of none": (row(settings={"pid": 1}), "Unknown setting 'pid'"),
    "a setting with a null": (row(settings={"data": "a\0b"}), "characters that cannot be shown"),
    "half a character": (
        lambda content: repacked(content).replace(b'"note": ""', b'"note": "\\ud800"'),
        "damaged|not as it should be",
    ),
    "a number that is too long": (record("notice", '{"text":"x","n":' + "9" * 5000 + "}"), "line"),
    "lines within lines": (record("notice", '{"text":' + "[" * 5000 + "]" * 5000 + "}"), "line"),
    "changes of what is fixed": (record("parameters", '{"changes":{"weights":"/etc"}}'), "weights"),
    "a file elsewhere": (
        lambda content: repacked(
            content,
            lambda manifest, members: members.update(
                {"records.jsonl": members["records.jsonl"].replace(b"arrays/", b"/../etc/")}
            ),
        ),
        "records.jsonl is not as it should be .file",
    ),
}


@pytest.mark.parametrize("name", CONTENTS)
def test_no_other_content_comes_in(root: Path, made: tuple[str, bytes], name: str) -> None:
    attack, message = CONTENTS[name]
    content = attack(made[1])
    assert content != repacked(made[1])
    refuse(root, content, message)


def test_each_attack_is_all_that_keeps_an_archive_out(root: Path, made: tuple[str, bytes]) -> None:
    run_id, content = made
    assert give(root, repacked(content)) == run_id
    assert len(RunStore(root).list_runs()) == 2


@pytest.mark.parametrize("setting", ["weights", "data"])
def test_a_path_in_the_settings_opens_nothing_on_a_shared_server(
    root: Path,
    made: tuple[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    setting: str,
) -> None:
    """The run shows, as one from another machine does; whatever would read the path is refused."""
    secret = tmp_path / "secret.safetensors"
    secret.write_bytes(b"secret")
    uploads_folder().mkdir(parents=True)
    monkeypatch.setenv(DATA_ROOTS, str(uploads_folder()))
    values = {"weights": "", "data": "none", setting: str(secret)}
    content = with_manifest(lambda m: m["run"]["settings"].update(values))(made[1])
    run_id = give(root, content)
    settings = RunStore(root).info(run_id).settings
    outside = "lies outside the folders that this server reads"
    with pytest.raises(InputError, match=outside):
        access.resume(root, run_id)
    if setting == "weights":
        with pytest.raises(InputError, match=outside):
            load_float_network(settings)
    assert secret.read_bytes() == b"secret"


@pytest.mark.slow
def test_no_byte_that_is_changed_is_more_than_a_sentence(
    root: Path, made: tuple[str, bytes]
) -> None:
    """Every byte of the lists and headers set to other values: refused, or the very same run."""
    run_id, content = made
    packed = repacked(content)
    start = packed.index(b"PK\1\2")
    places = [*range(start, len(packed))]
    for found in re.finditer(re.escape(b"PK\3\4"), packed[:start]):
        places += range(found.start(), found.start() + 60)
    taken = 0
    for place in places:
        for value in (0, 0xFF, packed[place] ^ 1, packed[place] ^ 0x80):
            changed = packed[:place] + bytes([value]) + packed[place + 1 :]
            try:
                taken += give(root, changed) == run_id
            except InputError as error:
                assert str(error).startswith("'run.zip' "), place
    assert taken > 0
    assert len(RunStore(root).list_runs()) == 2
