from __future__ import annotations

import copy
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from adadfq_core.errors import InputError
from adadfq_core.game.generator import Generator
from adadfq_core.inspection.walk import arc, latent_points, latent_walk
from adadfq_core.zoo.formats import ImageFormat

IMAGES = ImageFormat((1, 8, 8), ("a", "b", "c"), (0.5,), (0.2,))
LARGE = ImageFormat((1, 66, 8), ("a", "b", "c"), (0.5,), (0.2,))


def generator(images: ImageFormat = IMAGES, seed: int = 0) -> Generator:
    """A G whose classes differ in all that it can learn of them."""
    torch.manual_seed(seed)
    made = Generator(3, images.shape, 6, 4, class_shift=True)
    for table in made.modules():
        if isinstance(table, nn.Embedding):
            nn.init.normal_(table.weight, mean=1.0)
    return made


def apart(first: np.ndarray, second: np.ndarray) -> float:
    """Mean distance of two pixels."""
    return float(np.abs(first.astype(int) - second.astype(int)).mean())


def test_the_same_seed_gives_the_same_points() -> None:
    points = latent_points(3, 500, 8)
    assert points.shape == (500, 8) and torch.equal(points, latent_points(3, 500, 8))
    assert not torch.equal(points, latent_points(4, 500, 8))
    torch.manual_seed(1)
    expected = torch.rand(2)
    torch.manual_seed(1)
    latent_points(3, 2, 8)
    assert torch.equal(torch.rand(2), expected), "the global random numbers are left alone"
    assert abs(float(points.mean())) < 0.05 and abs(float(points.std()) - 1) < 0.05


def test_the_direction_follows_the_arc_that_scipy_draws() -> None:
    from scipy.spatial import geometric_slerp

    start, end = latent_points(0, 2, 7).double()
    way = torch.linspace(0, 1, 9, dtype=torch.float64)
    points = arc(start, end, way)
    lengths = points.norm(dim=1)
    expected = geometric_slerp(
        (start / start.norm()).numpy(), (end / end.norm()).numpy(), way.numpy()
    )
    np.testing.assert_allclose((points / lengths[:, None]).numpy(), expected, atol=1e-12)
    torch.testing.assert_close(lengths, torch.lerp(start.norm(), end.norm(), way))


@pytest.mark.parametrize(
    ("end", "middle"),
    [([2.0, 0.0], [1.5, 0.0]), ([-3.0, 0.0], [-1.0, 0.0]), ([0.0, 0.0], [0.5, 0.0])],
)
def test_without_an_arc_the_line_is_taken(end: list[float], middle: list[float]) -> None:
    way = torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64)
    points = arc(torch.tensor([1.0, 0.0]), torch.tensor(end), way)
    assert points.tolist() == [[1.0, 0.0], middle, end]


@pytest.mark.parametrize("images", [IMAGES, LARGE])
def test_the_walk_is_smooth_and_ends_where_it_should(images: ImageFormat) -> None:
    made = generator(images)
    start, end = latent_points(1, 2, 6)
    walk = latent_walk(made, images, start, end, 0, 2, 33)
    assert walk.shape == (33, *images.shape) and walk.dtype == np.uint8
    whole = apart(walk[0], walk[-1])
    assert whole > 10
    steps = [apart(a, b) for a, b in pairwise(walk)]
    assert max(steps) < whole / 5
    back = latent_walk(made, images, end, start, 2, 0, 33)
    assert apart(back[::-1], walk) < 0.1
    stays = latent_walk(made, images, start, start, 0, 0, 2)
    assert apart(stays[0], walk[0]) < 0.1 and apart(stays[1], walk[0]) < 0.1


def test_an_image_does_not_depend_on_the_others() -> None:
    made = generator()
    start, end = latent_points(1, 2, 6)
    fine = latent_walk(made, IMAGES, start, end, 0, 1, 41)
    coarse = latent_walk(made, IMAGES, start, end, 0, 1, 3)
    assert np.abs(fine[::20].astype(int) - coarse).max() <= 1  # the sums' order may differ


def test_the_class_alone_can_change() -> None:
    z = latent_points(1, 1, 6)[0]
    walk = latent_walk(generator(), IMAGES, z, z, 0, 1, 5)
    assert apart(walk[0], walk[-1]) > 5
    assert all(apart(a, b) > 0 for a, b in pairwise(walk))


@pytest.mark.parametrize("training", [True, False])
def test_g_is_left_as_it_is(
    training: bool, weights_of: Callable[[nn.Module], dict[str, Tensor]]
) -> None:
    made = generator().train(training)
    before = weights_of(made)
    latent_walk(made, IMAGES, *latent_points(0, 2, 6), 0, 1, 4)
    assert made.training == training and made.norm3.momentum == 0.1
    assert all(torch.equal(value, before[name]) for name, value in weights_of(made).items())


def test_a_g_of_the_first_iteration_has_contrast() -> None:
    made = generator()
    z, labels = latent_points(2, 16, 6), torch.arange(16) % 3
    naive = IMAGES.pixels(copy.deepcopy(made).eval()(z, labels)).float().std()
    walk = latent_walk(made, IMAGES, z[0], z[1], 0, 1, 16).astype(float).std()
    assert naive < 15 and walk > 25  # 0.2 * 255 = 51 over the whole distribution


@pytest.mark.parametrize(
    ("classes", "steps", "sentence"),
    [
        ((3, 0), 4, r"class_from = 3 is not allowed; it must be a whole number from 0 to 2\."),
        ((0, -1), 4, r"class_to = -1 is not allowed; it must be a whole number from 0 to 2\."),
        ((0, 1), 1, r"steps = 1 is not allowed; it must be a whole number of at least 2\."),
    ],
)
def test_bad_input_is_refused(classes: tuple[int, int], steps: int, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        latent_walk(generator(), IMAGES, *latent_points(0, 2, 6), *classes, steps)
