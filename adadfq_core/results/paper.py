"""What the paper states (Qian et al., CVPR 2023, arXiv 2303.06869): top-1 in percent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class PaperResult:
    """One number of the paper, beside that of its own full-precision network.

    Attributes:
        network: architecture and data set, as the paper names them.
        top1_p, top1_q: in percent.
    """

    network: str
    top1_p: float
    top1_q: float

    @property
    def loss(self) -> float:
        """What Q is behind P, in points."""
        return self.top1_p - self.top1_q


@dataclass(frozen=True)
class _Network:
    name: str
    top1_p: float
    top1_q: Mapping[str, Mapping[int, float]]


_CIFAR10 = _Network(
    "ResNet-20, CIFAR-10",
    93.89,
    {
        "AdaDFQ": {3: 84.89, 4: 92.31, 5: 93.81},
        "GDFQ": {3: 75.11, 4: 90.11, 5: 93.38},
    },
)
_CIFAR100 = _Network("ResNet-20, CIFAR-100", 70.33, {"AdaDFQ": {3: 52.74, 4: 66.81, 5: 69.93}})
_RESNET18 = _Network("ResNet-18, ImageNet", 71.47, {"AdaDFQ": {3: 38.10, 4: 66.53, 5: 70.29}})
_MOBILENET = _Network("MobileNetV2, ImageNet", 73.03, {"AdaDFQ": {3: 28.99, 4: 65.41, 5: 71.61}})
_RESNET50 = _Network("ResNet-50, ImageNet", 77.73, {"AdaDFQ": {3: 17.63, 4: 68.38, 5: 76.03}})
_ABLATED = _Network(
    _MOBILENET.name,
    _MOBILENET.top1_p,
    {"AdaDFQ": {3: 28.99}, "without L_ds": {3: 17.79}, "without L_as": {3: 23.58}},
)

# The paper has no Fashion-MNIST: its own ResNet-20 on small images is what comes nearest.
_NEAREST = {
    "fashion-resnet20": _CIFAR10,
    "cifar10-resnet20": _CIFAR10,
    "cifar10-resnet20-wide": _CIFAR10,
    "pytorchcv/resnet20_cifar10": _CIFAR10,
    "pytorchcv/resnet20_cifar100": _CIFAR100,
    "pytorchcv/resnet18": _RESNET18,
    "torchvision/resnet18": _RESNET18,
    "pytorchcv/mobilenetv2_w1": _MOBILENET,
    "torchvision/mobilenet_v2": _MOBILENET,
    "pytorchcv/resnet50": _RESNET50,
    "torchvision/resnet50": _RESNET50,
}


# Beside a row that the paper cannot have: what it has in the row's place.
_IN_PLACE_OF = {"best recipe": "AdaDFQ"}


def paper_result(table: str, network: str, method: str, bits: int) -> PaperResult | None:
    """The paper's number that stands beside a row of ours; `None` where it has none.

    Args:
        table: main, or ablation, which the paper has of MobileNetV2 alone, so that this network
            stands beside every other one.
        network: as this program names it.
        method: a name of `presets.METHODS` or `presets.ABLATION`.
        bits: of weights and activations alike.
    """
    source = _ABLATED if table == "ablation" else _NEAREST.get(network)
    if source is None:
        return None
    top1_q = source.top1_q.get(_IN_PLACE_OF.get(method, method), {}).get(bits)
    return None if top1_q is None else PaperResult(source.name, source.top1_p, top1_q)
