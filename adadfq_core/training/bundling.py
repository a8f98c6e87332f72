"""Train a bundled network and write its weights, model card and checksums into `assets/`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from adadfq_core.errors import InputError
from adadfq_core.files import expanded, replace_atomically
from adadfq_core.home import ASSETS
from adadfq_core.training.pretraining import EpochReport, Recipe, pretrain
from adadfq_core.zoo.assets import record_checksums
from adadfq_core.zoo.bundled import BUNDLED, card_name, weights_name
from adadfq_core.zoo.data import open_data
from adadfq_core.zoo.entry import ZooEntry
from adadfq_core.zoo.fashion_mnist import find_training_images
from adadfq_core.zoo.networks import SmallResNet

RECIPES: dict[str, Recipe] = {
    "fashion-resnet20": Recipe(),
    "cifar10-resnet20": Recipe(crop_padding=4),
    "cifar10-resnet20-wide": Recipe(epochs=52, crop_padding=4, cutout=8, label_smoothing=0.1),
}
"""How each bundled network is trained."""

_JPEG_START = b"\xff\xd8\xff"


@dataclass(frozen=True)
class _Pictures:
    """uint8 pixels `(N, C, H, W)`, labels `(N,)`, and the data set they were opened from, if any.

    `jpeg` tells that the pictures went through JPEG's lossy coding.
    """

    pixels: Tensor
    labels: Tensor
    spec: str | None = None
    jpeg: bool = False


def train_bundled(
    name: str,
    work_folder: Path,
    report: Callable[[EpochReport], None],
    train: str | None = None,
    test: str | None = None,
    recipe: Recipe | None = None,
    assets: Path = ASSETS,
    compiled: bool = False,
) -> float:
    """Train the bundled network `name` and bundle it; resumes from a checkpoint in `work_folder`.

    Args:
        train, test: data sets with the training and the test pictures (see `zoo.data`); without
            them Fashion-MNIST is found or downloaded, and the entry's own test pictures are used.
        recipe: how to train instead of `RECIPES[name]`.
        compiled: train through `torch.compile`, which needs a C++ compiler.

    Returns:
        top-1 in percent on the test images after the last epoch.

    Raises:
        InputError: no bundled network of that name, or training or test images are not to be had.
    """
    if name not in BUNDLED:
        raise InputError(
            f"'{name}' is not a network that this project trains; choose one of "
            f"{', '.join(BUNDLED)}."
        )
    entry = BUNDLED[name]
    recipe = recipe or RECIPES[name]
    network = entry.build()
    assert isinstance(network, SmallResNet)
    training = _training_pictures(entry, train, work_folder)
    measuring = _test_pictures(entry, test)
    work_folder.mkdir(parents=True, exist_ok=True)
    accuracy = pretrain(
        network,
        (entry.images.normalise(training.pixels), training.labels),
        (entry.images.normalise(measuring.pixels), measuring.labels),
        recipe,
        work_folder / f"{name}.pt",
        report,
        compiled,
    )
    weights, card = weights_name(name), card_name(name)
    (assets / weights).parent.mkdir(parents=True, exist_ok=True)
    state = {key: tensor.contiguous() for key, tensor in network.state_dict().items()}
    with replace_atomically(assets / weights) as temporary:
        save_file(state, temporary)
    text = _model_card(entry, recipe, network, accuracy, training, measuring)
    with replace_atomically(assets / card) as temporary:
        temporary.write_text(text, encoding="utf-8")
    record_checksums([weights, card], assets)
    return accuracy


def _training_pictures(entry: ZooEntry, spec: str | None, work_folder: Path) -> _Pictures:
    if spec is not None:
        return _opened(entry, spec)
    if entry.dataset != "Fashion-MNIST":
        raise InputError(
            f"The training pictures of {entry.dataset} are not bundled; name a data set with "
            "--train, for example a .parquet file."
        )
    return _Pictures(*find_training_images(work_folder))


def _test_pictures(entry: ZooEntry, spec: str | None) -> _Pictures:
    if spec is not None:
        return _opened(entry, spec)
    assert entry.data is not None  # every bundled network has one
    data = open_data(entry.data, entry.images)
    return _Pictures(data.pixels, data.labels)


def _opened(entry: ZooEntry, spec: str) -> _Pictures:
    data = open_data(spec, entry.images)
    return _Pictures(data.pixels, data.labels, spec, _holds_jpeg(Path(spec)))


def _holds_jpeg(path: Path) -> bool:
    """Whether the pictures in a Parquet file, judged by the first, are coded as JPEG."""
    if path.suffix.lower() != ".parquet":
        return False
    from adadfq_core.zoo.data.parquet import open_file  # pyarrow is slow to import

    _, picture = next(iter(open_file(expanded(path)).read([0])))
    return isinstance(picture, bytes) and picture.startswith(_JPEG_START)


def _model_card(
    entry: ZooEntry,
    recipe: Recipe,
    network: SmallResNet,
    accuracy: float,
    training: _Pictures,
    test: _Pictures,
) -> str:
    """The model card as Markdown: what the network is, how it was trained, what it reached."""
    parameters = sum(parameter.numel() for parameter in network.parameters())
    widths = "-".join(str(width) for width in network.widths)
    channels, height, width = entry.images.shape
    rows = "".join(f"| {f.name} | {getattr(recipe, f.name)} |\n" for f in fields(recipe))
    count = f"{len(test.labels):,}"
    return f"""# {entry.name}

The full-precision network P that this project bundles for {entry.dataset}.

| | |
|---|---|
| network | ResNet-20, widths {widths}, {parameters:,} parameters |
| input | {channels} x {height} x {width}, mean {entry.images.mean}, std {entry.images.std} |
| classes | {", ".join(entry.images.classes)} |
| training images | {_origin(entry, training)} |
| test images | {_origin(entry, test)} |
| top-1 on the {count} test images | **{accuracy:.2f} %** (last epoch, no choice by test accuracy) |
| trained with | `{_command(entry, training, test)}`, torch {torch.__version__} |

## Recipe

Cross-entropy; SGD with Nesterov momentum, linear warm-up and a half cosine to zero; no weight decay
on BatchNorm and biases; random crops, horizontal flips and squares cut out where `cutout` is not 0;
bfloat16 autocast in training, float32 in evaluation.

| setting | value |
|---|---|
{rows}
The training images serve this network alone: the quantization that the project is about never
sees them.
"""


def _origin(entry: ZooEntry, pictures: _Pictures) -> str:
    coded = "; the pictures went through JPEG" if pictures.jpeg else ""
    return f"{len(pictures.labels):,} of {entry.dataset}{coded}"


def _command(entry: ZooEntry, training: _Pictures, test: _Pictures) -> str:
    """The command that trains the network; of a data set's path only the last part is told."""
    options = [
        f" {option} {Path(pictures.spec).name}"
        for option, pictures in (("--train", training), ("--test", test))
        if pictures.spec is not None
    ]
    return f"python -m adadfq_core zoo train {entry.name}{''.join(options)}"
