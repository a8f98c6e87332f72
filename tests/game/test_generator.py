from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from adadfq_core.errors import InputError
from adadfq_core.game.generator import Generator, UpsampleConv2d


@pytest.mark.parametrize("shape", [(2, 3, 4, 4), (1, 3, 1, 1), (2, 3, 5, 2)])
def test_upsampling_convolution_equals_the_two_steps(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    layer = UpsampleConv2d(3, 4).double()
    x = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    leaves = (x, layer.weight, layer.bias)
    actual = layer(x)
    expected = F.conv2d(
        F.interpolate(x, scale_factor=2, mode="nearest"), layer.weight, layer.bias, padding=1
    )
    torch.testing.assert_close(actual, expected, rtol=1e-12, atol=1e-12)
    upstream = torch.randn_like(expected)
    own = torch.autograd.grad(actual, leaves, upstream)
    other = torch.autograd.grad(expected, leaves, upstream)
    for a, b in zip(own, other, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-11)


def test_upsampling_convolution_stores_what_a_convolution_stores() -> None:
    assert set(UpsampleConv2d(3, 4).state_dict()) == {"weight", "bias"}


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (3, 8, 12)])
def test_images_have_the_asked_shape_and_are_normalised(shape: tuple[int, int, int]) -> None:
    torch.manual_seed(0)
    generator = Generator(10, shape, 7, 8)
    images = generator(torch.randn(16, 7), torch.randint(10, (16,)))
    assert images.shape == (16, *shape)
    torch.testing.assert_close(images.mean((0, 2, 3)), torch.zeros(shape[0]), rtol=0, atol=1e-4)
    deviation = images.var((0, 2, 3), unbiased=False)
    torch.testing.assert_close(deviation, torch.ones(shape[0]), rtol=0, atol=2e-2)


def test_the_image_depends_on_the_class_and_on_the_noise() -> None:
    torch.manual_seed(0)
    generator = Generator(3, (1, 8, 8), 5, 4).eval()
    z = torch.randn(1, 5)
    first, second = generator(z, torch.tensor([0])), generator(z, torch.tensor([1]))
    assert not torch.allclose(first, second)
    assert not torch.allclose(first, generator(z + 1, torch.tensor([0])))


@pytest.mark.parametrize("class_shift", [False, True])
def test_only_the_shift_gives_classes_places_of_their_own(class_shift: bool) -> None:
    """Over noise and its negative, which are equally likely, a product averages to nothing."""
    torch.manual_seed(0)
    generator = Generator(3, (1, 8, 8), 5, 4, class_shift=class_shift)
    spread: list[torch.Tensor] = []
    generator.spread.register_forward_hook(lambda _m, _i, output: spread.append(output))
    z = torch.randn(8, 5)
    for label in range(3):
        generator(torch.cat([z, -z]), torch.full((16,), label))
    first, second, third = (output.mean(0) for output in spread)
    assert torch.allclose(first, second, atol=1e-5) == (not class_shift)
    assert torch.allclose(first, third, atol=1e-5) == (not class_shift)


@pytest.mark.parametrize(("height", "width"), [(30, 28), (28, 30), (7, 7), (2, 4)])
def test_sizes_that_are_no_multiple_of_four_are_refused(height: int, width: int) -> None:
    with pytest.raises(InputError, match=f"{height}x{width} is not allowed.*multiples of 4"):
        Generator(10, (1, height, width), 5, 4)
