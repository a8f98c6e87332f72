from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from functional_resnet import ResNet, resnet20, resnet56
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import Tensor, nn
from weight_samples import State, message, same, save, small

from adadfq_core.training.evaluation import top1
from adadfq_core.zoo.weights import fit_names, load_weights, read_weights

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


class Named(nn.Module):
    """A module that holds parameters of any names and shapes."""

    def __init__(self, shapes: dict[str, tuple[int, ...]]) -> None:
        super().__init__()
        for name, shape in shapes.items():
            *parts, last = name.split(".")
            place: nn.Module = self
            for part in parts:
                if part not in place._modules:
                    place.add_module(part, nn.Module())
                place = place.get_submodule(part)
            place.register_parameter(last, nn.Parameter(torch.zeros(shape)))


@pytest.mark.parametrize(
    ("shapes", "head"),
    [
        ({"conv.weight": (4, 3, 3, 3), "fc.weight": (7, 4), "fc.bias": (7,)}, "fc"),
        ({"classifier.0.weight": (9, 4), "classifier.3.weight": (6, 9)}, "classifier.3"),
        ({"head.weight": (5, 4), "stages.0.shortcut.0.weight": (8, 4, 1, 1)}, "head"),
        ({"features.squeeze.weight": (2, 4, 1, 1), "last.weight": (5, 4, 1, 1)}, "last"),
        ({"weight": (5, 4), "bias": (5,)}, ""),
        ({"a.weight": (4, 3, 3, 3), "b.weight": (4,)}, None),
    ],
)
def test_weights_for_another_number_of_classes(
    tmp_path: Path, shapes: dict[str, tuple[int, ...]], head: str | None
) -> None:
    changed = next(reversed(shapes)).rpartition(".")[0] if head is None else head
    other = {
        name: (shape[0] + 90, *shape[1:]) if name.rpartition(".")[0] == changed else shape
        for name, shape in shapes.items()
    }
    text = refused(Named(shapes), Named(other).state_dict(), tmp_path / "a.pth")
    if head is None:
        assert "these are the weights of a network of another width" in text
    else:
        classes = shapes[f"{head}.weight".removeprefix(".")][0]
        assert f"the file has {classes + 90} classes, the network has {classes}; choose a" in text


# --- networks that ask for the version of their weights ---------------------------------------


@pytest.fixture
def mnasnet() -> Callable[[], nn.Module]:
    models = pytest.importorskip("torchvision.models", reason="MNASNet comes from torchvision")
    return lambda: models.MNASNet(0.1, num_classes=3)


@pytest.mark.parametrize(
    ("suffix", "version"), [(".pth", 1), (".pth", 2), (".pth", None), (".safetensors", None)]
)
def test_mnasnet(
    tmp_path: Path, mnasnet: Callable[[], nn.Module], suffix: str, version: int | None
) -> None:
    state = mnasnet().state_dict()
    state._metadata[""] = {} if version is None else {"version": version}
    path = tmp_path / f"a{suffix}"
    save(state, path) if suffix == ".pth" else save_file(state, path)
    network = mnasnet()
    load_weights(network, path)
    assert same(network.state_dict(), state)


def test_mnasnet_of_another_size_is_refused(
    tmp_path: Path, mnasnet: Callable[[], nn.Module]
) -> None:
    state = mnasnet().state_dict()
    state["layers.0.weight"] = torch.zeros(32, 3, 3, 3)
    assert "of another shape (layers.0.weight" in refused(mnasnet(), state, tmp_path / "a.pth")


def test_extra_state_of_a_network_stays_its_own(tmp_path: Path) -> None:
    class Extra(nn.Linear):
        def get_extra_state(self) -> dict[str, int]:
            return {"kept": 1}

        def set_extra_state(self, state: dict[str, int]) -> None:
            assert state == {"kept": 1}

    trained = Extra(2, 3)
    network = Extra(2, 3)
    load_weights(network, save(trained.state_dict(), tmp_path / "a.pth"))
    assert torch.equal(network.weight, trained.weight)


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
    weights = read_weights(public_weights(shared_folder, 20))
    bare = {name.removeprefix("module."): value for name, value in weights.items()}
    wrapped = {f"model._orig_mod.module.{name}": value for name, value in bare.items()}
    assert 76 < public_accuracy(shared_folder, 300, save(wrapped, tmp_path / "a.pt")) < 87


@pytest.mark.slow
def test_accuracy_of_the_public_network(shared_folder: Path) -> None:
    accuracy = public_accuracy(shared_folder, 10_000, public_weights(shared_folder, 20))
    assert accuracy == pytest.approx(81.03, abs=0.1)
