from __future__ import annotations

import numpy as np
import pytest
import torch
from picture_samples import image_format, noise
from PIL import Image

from adadfq_core.zoo.data.decoding import UnreadablePicture
from adadfq_core.zoo.data.scaling import fit
from adadfq_core.zoo.formats import Interpolation

transforms = pytest.importorskip("torchvision.transforms", reason="compares with torchvision")


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize(
    "size", [(50, 37), (37, 50), (31, 31), (24, 24), (24, 90), (13, 20), (16, 17), (101, 102)]
)
@pytest.mark.parametrize(("side", "resize"), [(16, 24), (16, 16), (16, None), (15, 18), (15, None)])
def test_equals_torchvision(
    size: tuple[int, int], side: int, resize: int | None, interpolation: Interpolation
) -> None:
    mode = transforms.InterpolationMode(interpolation)
    theirs = transforms.Compose(
        [
            transforms.Resize(resize or side, mode),
            transforms.CenterCrop(side),
            transforms.PILToTensor(),
        ]
    )
    for channels, image in ((3, noise(*size)), (1, noise(*size).convert("L"))):
        ours = fit(image, image_format((channels, side, side), (), resize, interpolation))
        assert ours.dtype == torch.uint8 and torch.equal(ours, theirs(image))


def test_the_right_size_is_not_resampled() -> None:
    image = noise(9, 7)
    expected = torch.from_numpy(np.array(image)).permute(2, 0, 1)
    assert torch.equal(fit(image, image_format((3, 7, 9))), expected)


@pytest.mark.parametrize("size", [(40, 10), (10, 40), (20, 13), (3, 2), (1, 1), (300, 299)])
def test_a_picture_covers_an_oblong_format(size: tuple[int, int]) -> None:
    white = Image.new("L", size, 255)
    pixels = fit(white, image_format((1, 12, 20)))
    assert pixels.shape == (1, 12, 20) and (pixels == 255).all(), "no black border"


def test_a_long_and_narrow_picture_is_unreadable() -> None:
    with pytest.raises(UnreadablePicture, match="1 x 20000 pixels are too long and narrow"):
        fit(Image.new("L", (1, 20000)), image_format((1, 224, 224)))
