"""Loading a named network P with the data set that measures it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from adadfq_core.errors import InputError
from adadfq_core.zoo import fashion_mnist
from adadfq_core.zoo.assets import ASSETS, verified
from adadfq_core.zoo.formats import ImageFormat
from adadfq_core.zoo.networks import resnet20


@dataclass(frozen=True)
class ZooEntry:
    """A bundled network: how to build it, where its weights are, which data set measures it."""

    name: str
    dataset: str
    weights: str
    images: ImageFormat
    build: Callable[[], nn.Module]
    read_test_split: Callable[[], tuple[Tensor, Tensor]]


FASHION_FOLDER = "data/fashion-mnist"


def _fashion_test_split() -> tuple[Tensor, Tensor]:
    for part in ("images-idx3", "labels-idx1"):
        verified(f"{FASHION_FOLDER}/t10k-{part}-ubyte.gz")
    return fashion_mnist.read_split(ASSETS / FASHION_FOLDER, "t10k")


ZOO: dict[str, ZooEntry] = {
    "fashion-resnet20": ZooEntry(
        name="fashion-resnet20",
        dataset="Fashion-MNIST",
        weights="networks/fashion-resnet20.safetensors",
        images=ImageFormat(
            (1, 28, 28), fashion_mnist.CLASS_NAMES, fashion_mnist.MEAN, fashion_mnist.STD
        ),
        build=lambda: resnet20(in_channels=1, num_classes=10),
        read_test_split=_fashion_test_split,
    ),
}


def find(name: str) -> ZooEntry:
    """The zoo's entry `name`.

    Raises:
        InputError: there is none of that name.
    """
    if name not in ZOO:
        raise InputError(f"Unknown network '{name}'; choose one of {', '.join(ZOO)}.")
    return ZOO[name]


def load_network(entry: ZooEntry) -> nn.Module:
    """P with its trained weights, in evaluation mode on the CPU.

    Raises:
        InputError: the weights are missing, altered or do not fit.
    """
    network = entry.build()
    load_weights(network, verified(entry.weights))
    return network.eval()


def load_weights(network: nn.Module, path: Path) -> None:
    """Read a safetensors file into `network`.

    Raises:
        InputError: not a safetensors file, or its tensors do not fit the network.
    """
    try:
        network.load_state_dict(load_file(path))
    except (SafetensorError, OSError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path} does not hold this network's weights: {reason}.") from error


@dataclass(frozen=True)
class EvaluationData:
    """Labelled real images: normalised floats `(N, C, H, W)` and classes `(N,)`."""

    images: Tensor
    labels: Tensor


def load_evaluation_data(entry: ZooEntry) -> EvaluationData:
    """The test images of the entry's data set. They serve accuracy and pictures, never training.

    Raises:
        InputError: a file is missing, altered or damaged.
    """
    pixels, labels = entry.read_test_split()
    return EvaluationData(entry.images.normalise(pixels), labels)
