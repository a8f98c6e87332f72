from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import pytest
import torch

from adadfq_core.errors import RunFailed
from adadfq_core.training import checkpoints

STATE = {
    "iteration": 7,
    "nested": {"weights": torch.arange(5.0)},
    "settings": {"schedule": "steps"},
}


def test_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "state.pt"
    digest = checkpoints.save(STATE, path)
    assert digest == hashlib.sha256(path.read_bytes()).hexdigest()
    loaded = checkpoints.load(path, digest)
    assert loaded["iteration"] == 7 and loaded["settings"] == {"schedule": "steps"}
    assert torch.equal(loaded["nested"]["weights"], torch.arange(5.0))
    assert os.listdir(tmp_path) == ["state.pt"]


@pytest.mark.parametrize("position", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_one_damaged_byte_is_found(tmp_path: Path, position: float) -> None:
    path = tmp_path / "state.pt"
    digest = checkpoints.save(STATE, path)
    data = bytearray(path.read_bytes())
    data[int(position * (len(data) - 1))] ^= 1
    path.write_bytes(data)
    with pytest.raises(RunFailed, match=r"state\.pt is damaged"):
        checkpoints.load(path, digest)


def test_a_cut_off_or_missing_file_is_found(tmp_path: Path) -> None:
    path = tmp_path / "state.pt"
    digest = checkpoints.save(STATE, path)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(RunFailed, match="damaged"):
        checkpoints.load(path, digest)
    path.unlink()
    with pytest.raises(RunFailed, match="Cannot read the checkpoint"):
        checkpoints.load(path, digest)


class Payload:
    """Runs code where it is unpickled without care."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (os.environ["ADADFQ_TEST_PAYLOAD"],)


def test_no_code_of_the_file_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "made-by-the-file"
    monkeypatch.setenv("ADADFQ_TEST_PAYLOAD", str(target))
    path = tmp_path / "state.pt"
    torch.save({"x": Payload()}, path)
    with pytest.raises(RunFailed):
        checkpoints.load(path, hashlib.sha256(path.read_bytes()).hexdigest())
    assert not target.exists()


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04 not a zip file", b"\x80\x02."])
def test_a_file_that_is_no_checkpoint_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "state.pt"
    path.write_bytes(content)
    with pytest.raises(RunFailed):
        checkpoints.load(path, hashlib.sha256(content).hexdigest())


def test_a_failed_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "state.pt"
    digest = checkpoints.save(STATE, path)

    def full_disk(state: dict[str, Any], target: Path) -> None:
        target.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full_disk)
    with pytest.raises(RunFailed, match="No space left on device"):
        checkpoints.save({"iteration": 8}, path)
    assert os.listdir(tmp_path) == ["state.pt"]
    assert checkpoints.load(path, digest)["iteration"] == 7


def test_a_missing_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(RunFailed, match="Cannot write the checkpoint"):
        checkpoints.save(STATE, tmp_path / "absent" / "state.pt")
