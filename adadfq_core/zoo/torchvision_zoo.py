"""torchvision's classification networks with their ImageNet-1k weights.

Where a network has several sets of weights, `IMAGENET1K_V1` is taken: the ones that papers on
quantization start from. Later sets come from longer recipes.
"""

from __future__ import annotations

import re
from functools import partial
from typing import Any

from torch import nn

from adadfq_core.errors import InputError
from adadfq_core.zoo.downloads import Checksum, Download
from adadfq_core.zoo.entry import ZooEntry, fetched
from adadfq_core.zoo.formats import ImageFormat, Interpolation
from adadfq_core.zoo.weights import fill, read_weights

PREFIX = "torchvision/"
OFFERED = (
    "resnet18",
    "resnet50",
    "mobilenet_v2",
    "mobilenet_v3_small",
    "shufflenet_v2_x1_0",
    "efficientnet_b0",
    "densenet121",
    "vgg11_bn",
    "regnet_y_400mf",
)
# Networks with auxiliary classifiers, which give logits alone only without them. Their own
# first step turns ImageNet's usual normalisation into this one, which is given directly instead.
_AUXILIARY = ("googlenet", "inception_v3")
_AUXILIARY_WEIGHTS = ("AuxLogits.", "aux1.", "aux2.")
# The files of DenseNet and the vision transformers are from when their layers had other names.
_RENAMED = (
    (re.compile(r"(\.denselayer\d+\.(?:norm|conv))\.([12])\."), r"\1\2."),
    (re.compile(r"\.mlp\.linear_1\."), ".mlp.0."),
    (re.compile(r"\.mlp\.linear_2\."), ".mlp.3."),
)
_HALF = (0.5, 0.5, 0.5)
_OWN_LICENCES = {"https://github.com/facebookresearch/SWAG/blob/main/LICENSE": "CC-BY-NC-4.0"}


def short_names() -> tuple[str, ...]:
    """Names of torchvision's classification networks, without the family's prefix."""
    from torchvision import models  # slow import, needed only for this family

    return tuple(models.list_models(module=models))


def entry(short_name: str) -> ZooEntry:
    """The entry of torchvision's network `short_name`, one of `short_names()`."""
    weights = _weights(short_name)
    download = _download(weights.url)
    return ZooEntry(
        name=PREFIX + short_name,
        source=f"torchvision, weights {weights.name}",
        dataset="ImageNet-1k",
        images=_images(short_name, weights),
        licence=_OWN_LICENCES.get(weights.meta.get("license", ""), "BSD-3-Clause"),
        url=weights.meta["recipe"],
        top1=float(weights.meta["_metrics"]["ImageNet-1K"]["acc@1"]),
        build=partial(_build, short_name),
        load=partial(_load, short_name, download),
        data=None,
        weights=download,
    )


def _weights(short_name: str) -> Any:
    from torchvision import models  # slow import, needed only for this family

    available = models.get_model_weights(short_name)
    return available.__members__.get("IMAGENET1K_V1", available.DEFAULT)


def _images(short_name: str, weights: Any) -> ImageFormat:
    transform = weights.transforms()
    (crop,) = transform.crop_size
    (resize,) = transform.resize_size
    auxiliary = short_name in _AUXILIARY
    interpolation: Interpolation = (
        "bicubic" if transform.interpolation.value == "bicubic" else "bilinear"
    )
    return ImageFormat(
        (3, crop, crop),
        tuple(weights.meta["categories"]),
        _HALF if auxiliary else tuple(transform.mean),
        _HALF if auxiliary else tuple(transform.std),
        resize,
        interpolation,
    )


def _download(url: str) -> Download:
    file_name = url.rpartition("/")[2]
    digits = re.search(r"-([0-9a-f]{8,})\.pth$", file_name)
    if digits is None:
        raise InputError(
            f"{url} carries no checksum in its name, which this version of torchvision was "
            "expected to do; choose another network."
        )
    return Download(url, file_name, Checksum("sha256", digits[1]))


def _build(short_name: str) -> nn.Module:
    from torchvision import models  # slow import, needed only for this family

    options: dict[str, bool] = {}
    if short_name in _AUXILIARY:
        options = {"aux_logits": False, "transform_input": False, "init_weights": False}
    network: nn.Module = models.get_model(short_name, weights=None, **options)
    return network


def _load(short_name: str, download: Download) -> nn.Module:
    path = fetched(download)
    network = _build(short_name)
    weights = {
        _todays_name(name): value
        for name, value in read_weights(path).items()
        if not name.startswith(_AUXILIARY_WEIGHTS)
    }
    fill(network, weights, path)
    return network.eval()


def _todays_name(name: str) -> str:
    for old, new in _RENAMED:
        name = old.sub(new, name)
    return name
