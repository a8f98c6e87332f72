"""At 8 bits quantization must not change what trained networks say of real images."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from adadfq_core.quant import quantize
from adadfq_core.settings import make_settings
from adadfq_core.training.evaluation import predictions
from adadfq_core.zoo.bundled import BUNDLED
from adadfq_core.zoo.evaluation_data import EvaluationData, load_evaluation_data
from adadfq_core.zoo.loading import load_float_network

OWN = str(Path(__file__).parents[1] / "zoo" / "functional_resnet.py")
IMAGENET_STATISTICS = {"image_mean": "0.485,0.456,0.406", "image_std": "0.229,0.224,0.225"}


def own(shared: Path, name: str) -> dict[str, str]:
    return {
        "network": f"{OWN}:{name}",
        "weights": str(shared / "data" / "weights" / f"akamaster-{name}-cifar10.th"),
        "data": str(shared / "data" / "cifar10-test.parquet"),
        "image_shape": "3,32,32",
        **IMAGENET_STATISTICS,
    }


def settings_of(kind: str, request: pytest.FixtureRequest) -> dict[str, str]:
    if kind == "fashion-resnet20":
        return {}  # with its own pictures
    shared: Path = request.getfixturevalue("shared_folder")
    if kind == "efficientnet-lite0":
        pytest.importorskip("efficientnet_lite_pytorch", reason="requirements-zoo.txt is missing")
        return {"network": kind, "data": str(shared / "data" / "imagenet-sample-1000.parquet")}
    if kind in BUNDLED:
        return {"network": kind, "data": str(shared / "data" / "cifar10-test.parquet")}
    return own(shared, kind)


def changed(network: nn.Module, data: EvaluationData, calibration: int) -> float:
    """Share of the images whose predicted class quantization to 8 bits changes."""
    chosen = data.spread(calibration)
    q = quantize(network, 8, 8, data.images[chosen[:2]])
    with torch.no_grad(), q.observing_ranges():
        for part in torch.split(chosen, 16):
            q(data.images[part])
    with torch.no_grad(), q.correcting_biases():
        for part in torch.split(chosen, 16):
            q(data.images[part])
    before, after = predictions(network, data.images), predictions(q, data.images)
    return float((before != after).float().mean())


# Images at hand, fewer by default so that the suite stays quick, and the largest share of changed
# predictions, one in a hundred of all images.
NETWORKS = {
    "fashion-resnet20": (1000, 10_000, 0.01),
    "cifar10-resnet20": (500, 10_000, 0.01),
    "cifar10-resnet20-wide": (200, 10_000, 0.01),
    "resnet20": (500, 10_000, 0.01),
    "resnet56": (200, 10_000, 0.01),
    "efficientnet-lite0": (40, 1000, 0.01),
}


@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.parametrize("whole", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_eight_bits_change_few_predictions(
    kind: str, whole: bool, request: pytest.FixtureRequest
) -> None:
    settings = make_settings(settings_of(kind, request))
    for path in (settings.weights, settings.data):
        if path.startswith("/") and not Path(path).exists():
            pytest.skip(f"no file {path}")
    loaded = load_float_network(settings)
    assert loaded.data is not None
    few, all_images, allowed = NETWORKS[kind]
    data = load_evaluation_data(loaded.data, loaded.images, all_images if whole else few)
    share = changed(loaded.network, data, calibration=min(500, len(data.images) // 2))
    print(f"{kind}: {100 * share:.2f} % of {len(data.images)} predictions changed")
    # Of forty images a single one is 2.5 %: two may change, since processors round differently.
    assert share * len(data.images) <= max(allowed * len(data.images), 2)
