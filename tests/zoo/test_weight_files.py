from __future__ import annotations

import argparse
import collections
import io
import os
import pathlib
import pickle
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from functional_resnet import ResNet
from safetensors.torch import save_file
from torch import nn
from weight_samples import State, message, same, save, small

from adadfq_core.errors import InputError
from adadfq_core.zoo.weight_files import read_weights


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".th", ".bin", ".ckpt", ".PTH", ".safetensors"])
def test_every_suffix(tmp_path: Path, state: State, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    if suffix == ".safetensors":
        save_file(state, path)
    else:
        save(state, path)
    assert same(read_weights(path), state)


def test_the_old_format_of_torch(tmp_path: Path, state: State) -> None:
    assert same(read_weights(save(state, tmp_path / "a.pth", zipped=False)), state)


def test_parameters_come_as_plain_tensors(tmp_path: Path, trained: ResNet) -> None:
    weights = read_weights(save(dict(trained.named_parameters()), tmp_path / "a.pt"))
    assert weights and not any(value.requires_grad for value in weights.values())


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize(
    ("name", "raw", "words"),
    [
        ("a.pth", b"", r"a\.pth is empty \(0 bytes\)"),
        ("a.safetensors", b"", r"a\.safetensors is empty \(0 bytes\)"),
        ("a.safetensors", b"rubbish!" * 9, "not a readable safetensors file"),
        ("a.pth", b"rubbish", "cut off, damaged or not written by torch.save"),
        ("a.pth", pickle.dumps({"a": [1.0]}, protocol=4), "not written by torch.save"),
        ("a.pth", b"PK\x03\x04", "cut off, damaged or not written by torch.save"),
        ("a.h5", b"x", r"must end in \.safetensors, \.pth, \.pt, \.th, \.bin or \.ckpt"),
        ("a.bin", b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"),
        ("a.pth", b"\n<!DOCTYPE html><html>", "a web page, not weights"),
    ],
)
def test_what_is_no_weight_file_is_named(tmp_path: Path, name: str, raw: bytes, words: str) -> None:
    path = tmp_path / name
    path.write_bytes(raw)
    with pytest.raises(InputError, match=words):
        read_weights(path)
    message(lambda: read_weights(path))


def test_missing_files_and_folders(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"There is no file .*a\.pth; check the path\."):
        read_weights(tmp_path / "a.pth")
    (tmp_path / "b.pth").mkdir()
    for folder in (tmp_path, tmp_path / "b.pth"):
        with pytest.raises(InputError, match="is a folder; give the weight file"):
            read_weights(folder)


def test_a_home_folder_is_expanded(
    tmp_path: Path, state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    save(state, tmp_path / "ä 日本.pth")
    assert same(read_weights(Path("~/ä 日本.pth")), state)


@pytest.mark.parametrize("name", ["a\0b.pth", f"{'a' * 300}.pth"])
def test_impossible_paths(name: str) -> None:
    with pytest.raises(InputError, match=r"Cannot read .*\); allow its reading or check the path"):
        read_weights(Path(name))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.pth")
    with pytest.raises(InputError, match=r"a\.pth is a device or a pipe; give a weight file \(\.s"):
        read_weights(tmp_path / "a.pth")


def test_links_that_lead_nowhere(tmp_path: Path) -> None:
    (tmp_path / "loop.pth").symlink_to(tmp_path / "loop.pth")
    with pytest.raises(InputError, match=r"Cannot read .*loop\.pth \(Too many levels of symbolic"):
        read_weights(tmp_path / "loop.pth")
    (tmp_path / "gone.pth").symlink_to(tmp_path / "nothing.pth")
    with pytest.raises(InputError, match=r"There is no file .*gone\.pth"):
        read_weights(tmp_path / "gone.pth")


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_file_without_read_permission(guarded_folder: Path, suffix: str) -> None:
    path = guarded_folder / f"a{suffix}"
    path.write_bytes(b"weights")
    path.chmod(0)
    with pytest.raises(InputError, match=r"Cannot read .*/a\..* \(Permission denied\); allow its"):
        read_weights(path)


@pytest.mark.parametrize("kind", ["zip", "old", "safetensors"])
def test_a_file_cut_anywhere_is_refused(tmp_path: Path, state: State, kind: str) -> None:
    path = tmp_path / ("a.safetensors" if kind == "safetensors" else "a.pth")
    if kind == "safetensors":
        save_file(state, path)
    else:
        save({"args": argparse.Namespace(lr=0.1), "model": state}, path, zipped=kind == "zip")
    whole = path.read_bytes()
    for cut in [1, 7, 8, 100, *range(500, len(whole), len(whole) // 15), len(whole) - 1]:
        path.write_bytes(whole[:cut])
        assert str(path) in message(lambda: read_weights(path))


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_flipped_bytes_never_end_in_another_error(tmp_path: Path) -> None:
    path = save({"args": argparse.Namespace(lr=0.1), "w": torch.zeros(2)}, tmp_path / "a.pth")
    whole = path.read_bytes()
    for position in range(0, len(whole), 7):
        data = bytearray(whole)
        data[position] ^= 0xFF
        path.write_bytes(data)
        try:
            read_weights(path)
        except InputError:
            continue


@pytest.mark.filterwarnings("ignore:.*is deprecated:FutureWarning")
def test_torchscript_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.script(nn.Linear(2, 3)), buffer)
    path.write_bytes(buffer.getvalue())
    with pytest.raises(InputError, match=r"TorchScript archive.*script\.state_dict\(\)"):
        read_weights(path)


@pytest.mark.filterwarnings("ignore:Couldn't retrieve source code")
@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("nested", [True, False])
def test_a_whole_network_is_told(
    tmp_path: Path, trained: ResNet, zipped: bool, nested: bool
) -> None:
    best = torch.tensor(90.0)
    content = {"model": trained, "best": best, "epoch": 3} if nested else trained
    path = save(content, tmp_path / "a.pt", zipped)
    with pytest.raises(InputError, match=r"whole pickled network.*network\.state_dict\(\)"):
        read_weights(path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({}, "holds no tensors; save its weights"),
        ({"epoch": 3, "note": "x"}, "holds no tensors; save its weights"),
        ([torch.zeros(2)], "holds one list, not tensors by name"),
        (torch.zeros(2), "holds one Tensor, not tensors by name"),
        ({"w": np.zeros(2)}, "beside objects of the class numpy.*_reconstruct, which are not read"),
    ],
)
def test_files_without_weights(tmp_path: Path, content: object, words: str) -> None:
    path = save(content, tmp_path / "a.pth")
    with pytest.raises(InputError, match=words):
        read_weights(path)
    message(lambda: read_weights(path))


def test_an_empty_safetensors_file(tmp_path: Path) -> None:
    save_file({}, tmp_path / "a.safetensors")
    with pytest.raises(InputError, match="holds no tensors"):
        read_weights(tmp_path / "a.safetensors")


@pytest.mark.parametrize("nested", [True, False])
def test_an_optimizer_is_told(tmp_path: Path, trained: ResNet, nested: bool) -> None:
    optimizer = torch.optim.Adam(trained.parameters())
    trained(torch.zeros(2, 3, 8, 8)).sum().backward()
    optimizer.step()
    content = optimizer.state_dict()
    path = save({"optimizer": content} if nested else content, tmp_path / "a.pth")
    with pytest.raises(InputError, match="an optimizer's state and no network's weights"):
        read_weights(path)


# --- classes that the safe mode does not know ----------------------------------------------------


class Options(dict):  # type: ignore[type-arg]
    """Options as many training programs keep them: a dictionary with attributes."""


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize(
    "extra",
    [
        argparse.Namespace(lr=0.1, path=pathlib.PurePosixPath("/data")),
        Options(lr=0.1, inner=Options(a=[1])),
        collections.defaultdict(list, a=[1]),
        collections.deque([1, 2], maxlen=3),
        {"mean": np.float64(0.5), "history": np.arange(3)},
        {pathlib.PurePosixPath("a"): 1},
        argparse.Namespace,
        print,
    ],
    ids=lambda extra: type(extra).__name__,
)
def test_weights_beside_foreign_objects(
    tmp_path: Path, state: State, extra: object, zipped: bool
) -> None:
    before = set(torch.serialization.get_safe_globals())
    path = save({"args": extra, "state_dict": state, "again": extra}, tmp_path / "a.th", zipped)
    assert same(read_weights(path), state)
    assert set(torch.serialization.get_safe_globals()) == before


def test_many_files_at_once(tmp_path: Path, state: State) -> None:
    path = save({"args": argparse.Namespace(lr=0.1), "state_dict": state}, tmp_path / "a.th")
    results: list[bool] = []
    threads = [
        threading.Thread(target=lambda: results.append(same(read_weights(path), state)))
        for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 6


class Call:
    """Pickles as a call, which an ordinary unpickler makes."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self.call


def payloads(marker: Path) -> dict[str, object]:
    return {
        "exec": Call(exec, f"open({str(marker)!r}, 'w')"),
        "eval": Call(eval, f"open({str(marker)!r}, 'w')"),
        "open": Call(open, str(marker), "w"),
        "getattr": Call(getattr, Call(__import__, "os"), "system"),
        "subprocess": Call(subprocess.call, ["touch", str(marker)]),
        "path": Call(pathlib.Path.touch, marker),
        "os.system": Call(os.system, f"touch {marker}"),
        "os.mkdir": Call(os.mkdir, str(marker)),
    }


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("name", payloads(Path("unused")))
def test_no_code_of_a_file_runs(tmp_path: Path, state: State, name: str, zipped: bool) -> None:
    marker = tmp_path / "marker"
    path = save({"a": payloads(marker)[name], "state_dict": state}, tmp_path / "a.pth", zipped)
    if name.startswith("os."):
        assert f"asks for {os.name}.{name[3:]}, which" in message(lambda: read_weights(path))
    elif name == "path":  # a call of what a call returned
        assert "safe mode forbids" in (text := message(lambda: read_weights(path)))
        assert "needs code of the program that wrote it (builtins.getattr, pathlib.Path" in text
    else:
        assert same(read_weights(path), state)
    assert not marker.exists()


def test_the_payloads_are_live(tmp_path: Path) -> None:
    """Without the safe mode each of them leaves its mark: the test above tests something."""
    for name, payload in payloads(tmp_path / "marker").items():
        if name != "getattr":
            torch.load(save(payload, tmp_path / "a.pth"), weights_only=False)
            marker = tmp_path / "marker"
            assert marker.exists(), name
            marker.rmdir() if marker.is_dir() else marker.unlink()


def test_what_stays_unreadable_names_the_class(tmp_path: Path) -> None:
    content = {"a": Call(collections.defaultdict, list), "b": torch.zeros(1)}
    assert same(read_weights(save(content, tmp_path / "a.pth")), {"b": torch.zeros(1)})
    # A stand-in for a function that should make a tensor has no values to give.
    content = {"a": Call(torch._utils._rebuild_parameter, Call(np.zeros, 2), True, {})}
    text = message(lambda: read_weights(save(content, tmp_path / "a.pth")))
    assert "needs code of the program that wrote it (numpy.zeros)" in text


# --- nested weights ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "nest",
    ["state_dict", "model", "model_state_dict", "net", "network", "weights", "params", "ema", "xy"],
)
def test_nested_weights(tmp_path: Path, state: State, nest: str) -> None:
    for content in (
        {nest: state},
        {"epoch": 3, "loss": torch.tensor(0.5), "acc": torch.tensor(1.0), nest: state},
        {"checkpoint": {nest: state, "epoch": 3}},
    ):
        assert same(read_weights(save(content, tmp_path / "a.pth")), state)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("state_dict", "ema"),
        ("model", "model_ema"),
        ("xy", "state_dict_ema"),
        ("state_dict", "model"),
        ("model", "xy"),
    ],
)
def test_which_of_two_nested_weights(tmp_path: Path, state: State, first: str, second: str) -> None:
    other = small(seed=2).state_dict()
    for content in ({first: state, second: other}, {second: other, first: state}):
        assert same(read_weights(save(content, tmp_path / "a.pth")), state)


def test_optimizer_and_small_tensors_beside_the_weights(tmp_path: Path, trained: ResNet) -> None:
    optimizer = torch.optim.SGD(trained.parameters(), lr=0.1, momentum=0.9)
    trained(torch.zeros(2, 3, 8, 8)).sum().backward()
    optimizer.step()
    content = {
        "optimizer": optimizer.state_dict(),
        "normalisation": {"mean": torch.zeros(3), "std": torch.ones(3)},
        "mine": trained.state_dict(),
    }
    assert same(read_weights(save(content, tmp_path / "a.pth")), trained.state_dict())


def test_endless_nesting(tmp_path: Path, state: State) -> None:
    loop: dict[str, Any] = {"state_dict": state}
    loop["self"] = loop
    assert same(read_weights(save(loop, tmp_path / "a.pth")), state)
