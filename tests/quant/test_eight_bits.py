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
ALLOWED = 0.01
# Images that are looked at in every run of the tests, and all that there are.
FEW = {
    "fashion-resnet20": 1000,
    "cifar10-resnet20": 500,
    "cifar10-resnet20-wide": 200,
    "resnet20": 500,
    "resnet56": 200,
}
ALL = {**dict.fromkeys(FEW, 10_000), "efficientnet-lite0": 1000}


@pytest.mark.parametrize(
    ("kind", "count"),
    [*FEW.items(), *(pytest.param(*each, marks=pytest.mark.slow) for each in ALL.items())],
)
def test_eight_bits_change_few_predictions(
    kind: str, count: int, request: pytest.FixtureRequest
) -> None:
    settings = make_settings(settings_of(kind, request))
    for path in (settings.weights, settings.data):
        if path.startswith("/") and not Path(path).exists():
            pytest.skip(f"no file {path}")
    loaded = load_float_network(settings)
    assert loaded.data is not None
    data = load_evaluation_data(loaded.data, loaded.images, count)
    share = changed(loaded.network, data, calibration=min(500, len(data.images) // 2))
    print(f"{kind}: {100 * share:.2f} % of {len(data.images)} predictions changed")
    # One of few images is half a percent: two may change, since processors round differently.
    assert share * len(data.images) <= max(ALLOWED * len(data.images), 2)
