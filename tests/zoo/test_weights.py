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
from functional_resnet import ResNet, resnet20, resnet56
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import Tensor, nn

from adadfq_core.errors import InputError
from adadfq_core.training.evaluation import top1
from adadfq_core.zoo.weights import fit_names, head_classes, load_weights, read_weights

State = dict[str, Tensor]


def small(classes: int = 10, width: int = 2, blocks: int = 1, seed: int = 1) -> ResNet:
    torch.manual_seed(seed)
    return ResNet(blocks, classes, width)


@pytest.fixture
def trained() -> ResNet:
    return small()


@pytest.fixture
def state(trained: ResNet) -> State:
    return trained.state_dict()


def save(content: object, path: Path, zipped: bool = True) -> Path:
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    return path


def same(found: State, expected: State) -> bool:
    return found.keys() == expected.keys() and all(
        torch.equal(found[name], expected[name]) for name in expected
    )


def message(action: Callable[[], object]) -> str:
    with pytest.raises(InputError) as caught:
        action()
    text = str(caught.value)
    assert text.endswith(".") and "\n" not in text and "\033" not in text and len(text) < 900
    return text


# --- reading -----------------------------------------------------------------------------------


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
    for position in range(0, len(whole), 3):
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


# --- names ---------------------------------------------------------------------------------------

PREFIXES = st.lists(st.sampled_from(["module", "_orig_mod", "model", "net"]), max_size=5)
WRAPPERS = st.lists(st.sampled_from(["module", "_orig_mod"]), max_size=2)
NAMES = ["conv1.weight", "bn1.num_batches_tracked", "layer1.0.weight", "layer1.1.0.bias"]


@given(prefix=PREFIXES, inner=st.lists(WRAPPERS, min_size=4, max_size=4))
def test_any_nesting_of_prefixes_gives_the_clean_names(
    prefix: list[str], inner: list[list[str]]
) -> None:
    state = {}
    for index, (name, wrappers) in enumerate(zip(NAMES, inner, strict=True)):
        first, _, rest = name.partition(".")
        state[".".join([*prefix, first, *wrappers, rest])] = torch.tensor(index)
    fitted = fit_names(state, NAMES)
    assert {name: int(value) for name, value in fitted.items()} == {
        name: index for index, name in enumerate(NAMES)
    }


@settings(max_examples=50)
@given(inside=PREFIXES, outside=PREFIXES)
def test_prefixes_of_the_network_itself(inside: list[str], outside: list[str]) -> None:
    expected = [".".join([*inside, name]) for name in NAMES]
    state = {".".join([*outside, name]): torch.tensor(i) for i, name in enumerate(NAMES)}
    fitted = fit_names(state, expected)
    assert [int(fitted[name]) for name in expected] == [0, 1, 2, 3]


def test_names_that_only_a_wrapper_tells_apart() -> None:
    expected = ["module.a.weight", "a.weight"]
    state = {f"net.{name}": torch.tensor(i) for i, name in enumerate(expected)}
    assert [int(fit_names(state, expected)[name]) for name in expected] == [0, 1]


def test_a_prefix_is_dropped_only_where_that_fits_better() -> None:
    state = {"backbone.a.weight": torch.zeros(1), "backbone.b.weight": torch.zeros(1)}
    assert fit_names(state, ["backbone.a.weight"]).keys() == state.keys()
    assert fit_names(state, ["a.weight", "b.weight"]).keys() == {"a.weight", "b.weight"}
    assert fit_names(state, ["c.weight"]).keys() == state.keys()
    mixed = {"model.a.weight": torch.zeros(1), "loss.weight": torch.zeros(1)}
    assert fit_names(mixed, ["a.weight"]).keys() == mixed.keys()


# --- loading -------------------------------------------------------------------------------------

WRAPPINGS = [
    "",
    "module.",
    "_orig_mod.module.",
    "module._orig_mod.",
    "model._orig_mod.",
    "model.",
    "net.module.model._orig_mod.",
]


@pytest.mark.parametrize("wrapping", WRAPPINGS)
@pytest.mark.parametrize("nest", [None, "state_dict"])
def test_wrapped_weights_load(
    tmp_path: Path, state: State, wrapping: str, nest: str | None
) -> None:
    wrapped = {wrapping + name: value for name, value in state.items()}
    network = small(seed=2)
    load_weights(network, save({nest: wrapped} if nest else wrapped, tmp_path / "a.ckpt"))
    assert same(network.state_dict(), state)


def test_real_wrappers_load(tmp_path: Path, trained: ResNet, state: State) -> None:
    for wrapper in (
        nn.DataParallel(trained),
        torch.compile(trained),
        torch.optim.swa_utils.AveragedModel(trained),
        nn.DataParallel(torch.compile(trained)),
    ):
        network = small(seed=2)
        load_weights(network, save(wrapper.state_dict(), tmp_path / "a.pth"))
        assert same(network.state_dict(), state)
    compiled = torch.compile(small(seed=2))
    load_weights(compiled, save(state, tmp_path / "a.pth"))
    assert same(compiled._orig_mod.state_dict(), state)


def test_counters_may_be_missing_or_left_over(tmp_path: Path, state: State) -> None:
    for name in [n for n in state if n.endswith("num_batches_tracked")][:2]:
        del state[name]
    state["layer3.0.bn2.num_batches_tracked"] = torch.tensor(7)
    state["layer9.num_batches_tracked"] = torch.tensor(3)
    state["total_ops"] = torch.tensor([5.0])
    network = small(seed=2)
    load_weights(network, save(state, tmp_path / "a.pth"))
    assert torch.equal(network.linear.weight, state["linear.weight"])
    assert network.layer3[0].bn2.num_batches_tracked == 7


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_other_precisions_are_converted(
    tmp_path: Path, state: State, dtype: torch.dtype, suffix: str
) -> None:
    other = {n: v.to(dtype) if v.is_floating_point() else v for n, v in state.items()}
    path = tmp_path / f"a{suffix}"
    save(other, path) if suffix == ".pth" else save_file(other, path)
    network = small(seed=2)
    load_weights(network, path)
    assert network.conv1.weight.dtype == torch.float32
    assert torch.equal(network.conv1.weight, other["conv1.weight"].float())


def refused(network: nn.Module, state: State, path: Path) -> str:
    """The message of a refused load, which must leave the network as it was."""
    before = {name: value.clone() for name, value in network.state_dict().items()}
    text = message(lambda: load_weights(network, save(state, path)))
    assert str(path) in text
    assert same(network.state_dict(), before)
    return text


def without(state: State, *starts: str) -> State:
    return {name: value for name, value in state.items() if not name.startswith(starts)}


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: small(classes=7).state_dict(), "the file has 7 classes, the network has 10; "),
        (lambda: small(width=4).state_dict(), "these are the weights of a network of another wid"),
        (lambda: small(blocks=2).state_dict(), "the file holds more layers than the network"),
        (lambda: without(small().state_dict(), "layer3"), "the file holds fewer layers than"),
        (lambda: without(small().state_dict(), "linear"), "lacks the layer that makes the class"),
        (lambda: nn.Linear(3, 4).state_dict(), "the weights of another architecture"),
        (
            lambda: {
                **{f"model.{n}": v for n, v in small().state_dict().items()},
                "loss.weight": torch.ones(10),
            },
            "the names that fit all start with 'model.'; save that part",
        ),
        (
            lambda: {
                n.replace("layer1.0.conv", "layer1.0.c"): v for n, v in small().state_dict().items()
            },
            "the weights of another variant",
        ),
    ],
)
def test_the_likely_cause_of_a_mismatch(
    tmp_path: Path, make: Callable[[], State], words: str
) -> None:
    assert words in refused(small(seed=2), make(), tmp_path / "a.pth")


def test_a_mismatch_names_the_first_three_of_each(tmp_path: Path, state: State) -> None:
    state = without(state, "layer2")
    state["conv1.weight"] = torch.zeros(2, 3, 5, 5)
    for index in range(2):
        state[f"extra{index}.weight"] = torch.zeros(1)
    text = refused(small(seed=2), state, tmp_path / "a.pth")
    assert "10 missing (layer2.0.conv1.weight, layer2.0.bn1.weight, layer2.0.bn1.bias, ...)" in text
    assert "2 unexpected (extra0.weight, extra1.weight)" in text
    assert "1 of another shape (conv1.weight (2, 3, 5, 5) instead of (2, 3, 3, 3))" in text


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("name", ["conv1.weight", "layer3.0.bn2.running_var"])
def test_values_that_are_not_finite(tmp_path: Path, state: State, name: str, value: float) -> None:
    state[name].view(-1)[1] = value
    text = refused(small(seed=2), state, tmp_path / "a.pth")
    assert f"The tensor {name} in" in text and "holds NaN or infinite values" in text


def test_values_beyond_the_networks_precision(tmp_path: Path, state: State) -> None:
    state["conv1.weight"] = state["conv1.weight"].double() + 1e300
    assert "NaN or infinite" in refused(small(seed=2), state, tmp_path / "a.pth")


@pytest.mark.parametrize(
    "change",
    [
        lambda value: value.to(torch.int8),
        lambda value: torch.quantize_per_tensor(value, 0.1, 0, torch.qint8),
        lambda value: value.to_sparse(),
        lambda value: value.to("meta"),
        lambda value: value.to(torch.complex64),
    ],
    ids=["int8", "qint8", "sparse", "meta", "complex"],
)
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")
def test_values_that_are_no_plain_numbers(
    tmp_path: Path, state: State, change: Callable[[Tensor], Tensor]
) -> None:
    state["conv1.weight"] = change(state["conv1.weight"])
    text = refused(small(seed=2), state, tmp_path / "a.pth")
    assert "The tensor conv1.weight in" in text and "holds no plain real numbers" in text


# --- the number of classes -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ({"conv.weight": (4, 3, 3, 3), "fc.weight": (7, 4), "fc.bias": (7,)}, 7),
        ({"classifier.0.weight": (9, 4), "classifier.3.weight": (6, 9)}, 6),
        ({"head.weight": (5, 4), "stages.0.shortcut.0.weight": (8, 4, 1, 1)}, 5),
        ({"model.head.fc.weight": (5, 4), "model.stages.0.fc1.weight": (8, 4)}, 5),
        ({"classifier.1.weight": (5, 4, 1, 1), "features.squeeze.weight": (2, 4, 1, 1)}, 5),
        ({"a.weight": (4, 3, 3, 3), "b.weight": (4,)}, None),
        ({}, None),
    ],
)
def test_head_classes(names: dict[str, tuple[int, ...]], expected: int | None) -> None:
    assert head_classes({name: torch.zeros(shape) for name, shape in names.items()}) == expected


# --- a public network ----------------------------------------------------------------------------


def public_weights(shared_folder: Path, depth: int) -> Path:
    path = shared_folder / "data" / "weights" / f"akamaster-resnet{depth}-cifar10.th"
    if not path.is_file():
        pytest.skip(f"no public weights at {path}")
    return path


def test_public_weights_load(shared_folder: Path) -> None:
    for depth, build in ((20, resnet20), (56, resnet56)):
        path = public_weights(shared_folder, depth)
        network = build()
        load_weights(network, path)
        weights = read_weights(path)
        assert head_classes(weights) == 10
        assert same(
            network.state_dict() | {n.removeprefix("module."): v for n, v in weights.items()},
            network.state_dict(),
        )


def test_public_weights_of_another_depth(shared_folder: Path) -> None:
    text = message(lambda: load_weights(resnet20(), public_weights(shared_folder, 56)))
    assert "0 missing, 180 unexpected (layer1.3.conv1.weight, " in text
    assert "0 of another shape; the file holds more layers than the network" in text


def public_accuracy(shared_folder: Path, count: int, path: Path) -> float:
    parquet = pytest.importorskip("pyarrow.parquet")
    image = pytest.importorskip("PIL.Image")
    source = shared_folder / "data" / "cifar10-test.parquet"
    if not source.is_file():
        pytest.skip(f"no test images at {source}")
    rows = parquet.read_table(source).slice(0, count).to_pydict()
    pixels = np.stack([np.asarray(image.open(io.BytesIO(raw))) for raw in rows["image"]])
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
    mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    network = resnet20()
    load_weights(network, path)
    return top1(network.eval(), (images - mean) / std, torch.tensor(rows["label"]))


def test_accuracy_of_wrapped_public_weights(shared_folder: Path, tmp_path: Path) -> None:
    clean = public_weights(shared_folder, 20)
    bare = {name.removeprefix("module."): value for name, value in read_weights(clean).items()}
    accuracy = public_accuracy(shared_folder, 500, clean)
    assert 76 < accuracy < 87
    wrapped = {f"model._orig_mod.module.{name}": value for name, value in bare.items()}
    assert public_accuracy(shared_folder, 500, save(wrapped, tmp_path / "a.pt")) == accuracy


@pytest.mark.slow
def test_accuracy_of_the_public_network(shared_folder: Path) -> None:
    accuracy = public_accuracy(shared_folder, 10_000, public_weights(shared_folder, 20))
    assert accuracy == pytest.approx(81.03, abs=0.1)
