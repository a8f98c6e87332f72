from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from adadfq_core.errors import InputError
from adadfq_core.zoo.assets import (
    CHECKSUMS,
    faults,
    record_checksums,
    recorded_checksums,
    verified,
)

NAMES = ["networks/a.bin", "data/b c.gz"]


@pytest.fixture
def assets(tmp_path: Path) -> Path:
    folder = tmp_path / "assets"
    for name in NAMES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode() * 100)
    record_checksums(NAMES, folder)
    return folder


def test_intact_files(assets: Path) -> None:
    assert faults(assets) == []
    assert verified(NAMES[0], assets) == assets / NAMES[0]
    digest = hashlib.sha256((assets / NAMES[1]).read_bytes()).hexdigest()
    assert recorded_checksums(assets)[NAMES[1]] == digest
    lines = (assets / CHECKSUMS).read_text().splitlines()
    assert lines[0] == f"{digest}  {NAMES[1]}" and len(lines) == 2


def test_one_altered_byte(assets: Path) -> None:
    path = assets / NAMES[0]
    data = bytearray(path.read_bytes())
    data[50] ^= 1
    path.write_bytes(data)
    (fault,) = faults(assets)
    assert (
        str(path) in fault and "was altered" in fault and f"git checkout assets/{NAMES[0]}" in fault
    )
    with pytest.raises(InputError, match="was altered"):
        verified(NAMES[0], assets)
    verified(NAMES[1], assets)


def test_missing_files(assets: Path) -> None:
    for name in NAMES:
        (assets / name).unlink()
    found = faults(assets)
    assert len(found) == 2 and all("is missing" in fault for fault in found)


def test_an_unlisted_file(assets: Path) -> None:
    (assets / "new.bin").write_bytes(b"x")
    with pytest.raises(InputError, match=r"new\.bin is not listed"):
        verified("new.bin", assets)


@pytest.mark.parametrize("line", ["nonsense", "abc  networks/a.bin", "f" * 64 + " networks/a.bin"])
def test_a_damaged_list(assets: Path, line: str) -> None:
    (assets / CHECKSUMS).write_text(line + "\n")
    (fault,) = faults(assets)
    assert f"has the line '{line}'" in fault


def test_a_missing_list(assets: Path) -> None:
    (assets / CHECKSUMS).unlink()
    (fault,) = faults(assets)
    assert "Cannot read" in fault and CHECKSUMS in fault


def test_recording_keeps_the_other_files(assets: Path) -> None:
    before = recorded_checksums(assets)
    (assets / NAMES[0]).write_bytes(b"new")
    record_checksums([NAMES[0]], assets)
    after = recorded_checksums(assets)
    assert after[NAMES[1]] == before[NAMES[1]] and after[NAMES[0]] != before[NAMES[0]]
    assert faults(assets) == []
