from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from adadfq_core.game.generator import ConditionalBatchNorm2d, Generator, UpsampleConv2d


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


@pytest.mark.parametrize(
    "shape",
    [(1, 28, 28), (3, 32, 32), (3, 8, 12), (2, 30, 7), (4, 2, 3), (3, 96, 70), (1, 224, 224)],
)
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


@pytest.mark.parametrize("label", [0, 2])
def test_beyond_the_embedded_side_classes_have_normalisations_of_their_own(label: int) -> None:
    torch.manual_seed(0)
    generator = Generator(3, (3, 68, 66), 5, 4)
    z, labels = torch.randn(4, 5), torch.tensor([label] * 4)
    before = generator(z, torch.tensor([1] * 4))
    torch.testing.assert_close(generator(z, labels), before)  # equal until they have learned
    with torch.no_grad():
        for norm in (generator.norm0, generator.norm1, generator.norm2):
            norm.factors.weight[label] = 2.0
            norm.offsets.weight[label] = torch.randn(norm.offsets.weight.shape[1])
    assert not torch.allclose(generator(z, labels), before, atol=0.1)
    torch.testing.assert_close(generator(z, torch.tensor([1] * 4)), before)


def _conditional_layer(factor: float) -> ConditionalBatchNorm2d:
    """Two channels and three classes, of which the second has factors and offsets of its own."""
    torch.manual_seed(0)
    layer = ConditionalBatchNorm2d(2, 3, eps=0.1)
    with torch.no_grad():
        layer.factors.weight[1] = torch.tensor([factor, -1.0])
        layer.offsets.weight[1] = torch.tensor([0.5, 3.0])
    return layer


def test_a_conditional_normalisation_is_affine_in_each_class() -> None:
    layer = _conditional_layer(2.0)
    x = torch.randn(6, 2, 3, 3)
    plain = F.batch_norm(x, None, None, training=True, eps=0.1)
    labels = torch.tensor([0, 1, 0, 1, 2, 2])
    expected = plain.clone()
    for row in (1, 3):
        expected[row, 0] = 2 * plain[row, 0] + 0.5
        expected[row, 1] = -plain[row, 1] + 3
    torch.testing.assert_close(layer(x, labels), expected)


def test_the_crop_is_centred() -> None:
    generator = Generator(2, (1, 6, 5), 3, 4)
    maps = torch.arange(64.0).view(1, 1, 8, 8)
    assert torch.equal(generator._cropped(maps), maps[:, :, 1:7, 1:6])


@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 66, 9)])
def test_shares_of_one_class_alone_are_that_class(shape: tuple[int, int, int]) -> None:
    torch.manual_seed(0)
    generator = Generator(3, shape, 5, 4, class_shift=True)
    z, labels = torch.randn(4, 5), torch.tensor([0, 2, 2, 1])
    whole = F.one_hot(labels, 3).float()
    torch.testing.assert_close(generator(z, whole), generator(z, labels))


def test_shares_mix_the_vectors_of_the_classes() -> None:
    torch.manual_seed(0)
    generator = Generator(3, (1, 8, 8), 5, 4, class_shift=True)
    codes: list[torch.Tensor] = []
    generator.spread.register_forward_pre_hook(lambda _m, inputs: codes.append(inputs[0]))
    z = torch.randn(4, 5)
    generator(z, torch.tensor([[0.25, 0.0, 0.75]]).expand(4, 3))
    for label in (0, 2):
        generator(z, torch.full((4,), label))
    mixed, first, third = codes
    torch.testing.assert_close(mixed, 0.25 * first + 0.75 * third)


def test_shares_mix_the_normalisations_of_the_classes() -> None:
    layer = _conditional_layer(3.0)
    x = torch.randn(4, 2, 3, 3)
    zero, one = (layer(x, torch.full((4,), label)) for label in (0, 1))
    half = layer(x, torch.tensor([[0.5, 0.5, 0.0]]).expand(4, 3))
    torch.testing.assert_close(half, (zero + one) / 2)
