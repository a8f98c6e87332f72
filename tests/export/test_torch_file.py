"""Safetensors files of Q: written, packed, loaded, and refused when they are not right."""

from __future__ import annotations

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

import adadfq_core
from adadfq_core.errors import InputError
from adadfq_core.export.description import KEY
from adadfq_core.export.torch_file import load_quantized, read_description, save_torch


@pytest.mark.parametrize("bits", range(2, 9))
@pytest.mark.parametrize("packed", [False, True])
def test_round_trip(bundled, real, tmp_path, bits, packed):
    _, frozen, description = bundled(bits)
    path = tmp_path / "q.safetensors"
    description = description.model_copy(update={"packed": packed})
    save_torch(frozen, description, path)
    loaded = adadfq_core.load_quantized(path)
    x = real.images[:20]
    with torch.no_grad():
        torch.testing.assert_close(loaded(x), frozen(x), rtol=0, atol=0)
    assert read_description(path) == description
    assert [weight.bits for _, weight in loaded.weights()] == [bits] * 22


def test_packed_takes_the_true_bits(bundled, tmp_path):
    sizes = {}
    for bits in (2, 4, 8):
        _, frozen, description = bundled(bits)
        path = tmp_path / f"{bits}.safetensors"
        save_torch(frozen, description.model_copy(update={"packed": True}), path)
        tensors = load_file(path)
        sizes[bits] = sum(t.numel() for name, t in tensors.items() if name.endswith(".codes"))
    weights = sum(w.codes.numel() for _, w in bundled(8)[1].weights())
    assert sizes[8] == weights
    assert sizes[4] == pytest.approx(weights / 2, rel=1e-3)
    assert sizes[2] == pytest.approx(weights / 4, rel=1e-3)


def test_a_network_of_the_users_own_is_given(calibrated, tmp_path):
    def build():
        return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 196, 3))

    _, frozen, description, x = calibrated(build(), 3, overrides="first=8")
    path = tmp_path / "q.safetensors"
    save_torch(frozen, description, path)
    with torch.no_grad():
        torch.testing.assert_close(load_quantized(path, build())(x), frozen(x), rtol=0, atol=0)
    with pytest.raises(InputError, match=r"a_file\.py:network, which is code of its user"):
        load_quantized(path)
    other = nn.Sequential(nn.Conv2d(3, 5, 3), nn.ReLU(), nn.Flatten(), nn.Linear(5 * 196, 3))
    with pytest.raises(InputError, match="instead of"):
        load_quantized(path, other)


def _damaged(kind, path):
    content = path.read_bytes()
    if kind == "cut off":
        path.write_bytes(content[: len(content) // 2])
    elif kind == "no safetensors":
        path.write_bytes(b"\x80\x04hello")
    elif kind == "empty":
        path.write_bytes(b"")
    else:
        with safe_open(path, "pt") as file:
            metadata = file.metadata()
        tensors = load_file(path)
        name = next(name for name in tensors if name.endswith("weight.codes"))
        step = next(name for name in tensors if name.endswith("weight.step"))
        if kind == "no description":
            metadata = {}
        elif kind == "another description":
            metadata = {KEY: "network: [1, 2"}
        elif kind == "bits beyond":
            metadata = {KEY: metadata[KEY].replace("weight_bits: 4", "weight_bits: 9")}
        elif kind == "unknown network":
            metadata = {KEY: metadata[KEY].replace("fashion-resnet20", "no-such")}
        elif kind == "missing tensor":
            del tensors[name]
        elif kind == "other type":
            tensors[name] = tensors[name].float()
        elif kind == "other shape":
            tensors[name] = tensors[name].flatten()
        elif kind == "not finite":
            tensors[step][0] = float("nan")
        save_file(tensors, path, metadata)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    "kind",
    [
        "cut off",
        "no safetensors",
        "empty",
        "no description",
        "another description",
        "bits beyond",
        "unknown network",
        "missing tensor",
        "other type",
        "other shape",
        "not finite",
    ],
)
def test_files_that_are_not_right_are_refused(bundled, tmp_path, kind, packed):
    _, frozen, description = bundled(4)
    path = tmp_path / "q.safetensors"
    save_torch(frozen, description.model_copy(update={"packed": packed}), path)
    if packed and kind == "other shape":
        pytest.skip("packed codes are flat")
    _damaged(kind, path)
    with pytest.raises(InputError) as refused:
        load_quantized(path)
    assert str(path) in str(refused.value) or kind == "unknown network"
    assert "\n" not in str(refused.value)


def test_no_such_file(tmp_path):
    with pytest.raises(InputError, match="There is no file"):
        load_quantized(tmp_path / "none.safetensors")
