from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from adadfq_core.embedding.features import real_features
from adadfq_core.errors import InputError
from adadfq_core.inspection.neighbours import REAL_IMAGES, RealNeighbours
from adadfq_core.quant.capture import capture
from adadfq_core.zoo.evaluation_data import EvaluationData, NormalisedPixels
from adadfq_core.zoo.formats import ImageFormat

IMAGES = ImageFormat((1, 8, 8), ("a", "b", "c"), (0.4,), (0.3,))


def some_features(rows: int, columns: int, seed: int) -> torch.Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("columns", [1, 64])
def test_the_nearest_as_scikit_learn_finds_them(columns: int) -> None:
    from sklearn.neighbors import NearestNeighbors

    real, others = some_features(80, columns, 0), some_features(7, columns, 1)
    indices = torch.arange(80) * 3 + 5
    labels = torch.arange(80) % 4
    found = RealNeighbours(real, indices, labels).nearest(others, 6)
    fitted = NearestNeighbors(algorithm="brute").fit(real.double().numpy())
    distances, rows = fitted.kneighbors(others.double().numpy(), 6)
    np.testing.assert_allclose(found.distances, distances, rtol=1e-10)
    np.testing.assert_array_equal(found.indices, rows * 3 + 5)
    np.testing.assert_array_equal(found.labels, rows % 4)


def test_by_hand_with_ties_and_fewer_images_than_asked() -> None:
    real = torch.tensor([[3.0, 4.0], [0.0, 1.0], [0.0, -1.0]])
    among = RealNeighbours(real, torch.tensor([10, 20, 30]), torch.tensor([0, 1, 2]))
    found = among.nearest(torch.zeros(1, 2), 5)
    assert found.distances.tolist() == [[1, 1, 5]]
    assert found.indices.tolist() == [[20, 30, 10]] and found.labels.tolist() == [[1, 2, 0]]
    assert among.notice == ""


def test_an_image_is_at_distance_zero_of_itself() -> None:
    real = some_features(50, 33, 0) * 100
    found = RealNeighbours(real, torch.arange(50), torch.zeros(50)).nearest(real, 1)
    assert (found.distances == 0).all()
    assert found.indices[:, 0].tolist() == list(range(50))


def test_real_features_that_are_not_finite_are_left_out_and_told() -> None:
    real = torch.tensor([[torch.nan, 0.0], [5.0, 0.0], [torch.inf, 0.0]])
    among = RealNeighbours(real, torch.arange(3), torch.arange(3))
    assert "2 of 3 real images have features that are not finite" in among.notice
    assert among.nearest(torch.zeros(1, 2), 3).indices.tolist() == [[1]]


@pytest.mark.parametrize("rows", [0, 2])
def test_without_a_usable_real_image_there_are_no_neighbours(rows: int) -> None:
    real = torch.full((rows, 2), torch.nan)
    with pytest.raises(InputError, match=f"None of the {rows} real images has finite features"):
        RealNeighbours(real, torch.arange(rows), torch.arange(rows))


def test_a_generated_image_without_finite_features_is_named() -> None:
    among = RealNeighbours(torch.zeros(2, 2), torch.arange(2), torch.arange(2))
    with pytest.raises(InputError, match="features of generated image 1 are not finite"):
        among.nearest(torch.tensor([[0.0, 1.0], [torch.nan, 0.0]]), 1)


def test_the_features_of_pixels_are_what_the_head_reads(
    tiny_network: Callable[..., nn.Module],
) -> None:
    network = tiny_network()
    p = capture(network, torch.randn(2, 1, 8, 8))
    pixels = np.random.default_rng(0).integers(0, 256, (5, 1, 8, 8), dtype=np.uint8)
    expected = network[:-1](IMAGES.normalise(torch.from_numpy(pixels)))
    shown = NormalisedPixels(torch.from_numpy(pixels), IMAGES)
    features = real_features(p, shown, torch.arange(5))
    torch.testing.assert_close(features, expected)
    head = dict(p.named_modules())["7"]
    assert not head._forward_pre_hooks


def test_the_real_images_themselves_are_found(tiny_network: Callable[..., nn.Module]) -> None:
    p = capture(tiny_network(), torch.randn(2, 1, 8, 8))
    random = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, (1500, 1, 8, 8), generator=random, dtype=torch.uint8)
    data = EvaluationData(NormalisedPixels(pixels, IMAGES), torch.arange(1500) % 3, (), "here")
    chosen = data.spread(REAL_IMAGES)
    features = real_features(p, data.images, chosen)
    among = RealNeighbours(features, chosen, data.labels[chosen])
    found = among.nearest(real_features(p, data.images, torch.tensor([0, 3, 1498])), 1)
    assert found.indices[:, 0].tolist() == [0, 3, 1498]  # 1,000 at equal distances
    assert found.labels[:, 0].tolist() == [0, 0, 1]
    np.testing.assert_allclose(found.distances, 0, atol=1e-4)
