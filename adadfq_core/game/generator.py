"""The class-conditional generator G (paper, section 4.1)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

EMBEDDED_SIDE = 64
"""Largest side in pixels for which the class comes in with the noise (the paper's CIFAR G)."""

# Which of a 3x3 kernel's taps (columns), along one axis, reach an upsampled pixel from a source
# pixel: one row for each of the four upsampled pixels that the source pixel has a part in.
_TAPS = torch.tensor([[0.0, 0, 1], [0, 1, 1], [1, 1, 0], [1, 0, 0]])


class UpsampleConv2d(nn.Conv2d):
    """Nearest-neighbour upsampling by 2, then a 3x3 convolution with padding 1, in one.

    Upsampled pixels repeat, so both together are linear in the small map: a transposed
    convolution of stride 2 whose 4x4 kernel sums the taps that meet the same source pixel. It gives
    the same result with 2.25 times fewer multiplications and without the large map between.
    Maps `(B, in_channels, H, W)` to `(B, out_channels, 2H, 2W)`.
    """

    taps: Tensor

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, 3, padding=1)
        self.register_buffer("taps", _TAPS.clone(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        taps = self.taps.to(self.weight.dtype)
        kernel = torch.einsum("ak,bl,oikl->ioab", taps, taps, self.weight)
        kernel = kernel.contiguous(memory_format=torch.channels_last)
        out = F.conv_transpose2d(x, kernel, stride=2, padding=1)
        # Added here, for its gradient as a part of the convolution takes several times as long.
        return out if self.bias is None else out + self.bias.view(1, -1, 1, 1)


def class_rows(table: nn.Embedding, labels: Tensor) -> Tensor:
    """What `table` holds for each sample's class: `(B, D)`.

    Args:
        table: one row of length D for each of the C classes.
        labels: classes `(B,)`, whole numbers; or floating-point shares `(B, C)` of all classes,
            whose rows are then mixed.
    """
    rows: Tensor = labels @ table.weight if labels.is_floating_point() else table(labels)
    return rows


class ConditionalBatchNorm2d(nn.Module):
    """BatchNorm whose factor and offset are learned for each class (paper's ImageNet G).

    Maps `(B, channels, H, W)` and classes (see `class_rows`) to the same shape as the former.
    """

    def __init__(self, channels: int, num_classes: int, eps: float) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, eps=eps, affine=False)
        self.factors = nn.Embedding(num_classes, channels)
        self.offsets = nn.Embedding(num_classes, channels)
        nn.init.ones_(self.factors.weight)
        nn.init.zeros_(self.offsets.weight)

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        factor, offset = (
            class_rows(table, labels)[:, :, None, None] for table in (self.factors, self.offsets)
        )
        return torch.addcmul(offset, self.norm(x), factor)


class _BatchNorm2d(nn.BatchNorm2d):
    """BatchNorm that is the same for all classes."""

    def forward(self, input: Tensor, labels: Tensor) -> Tensor:  # type: ignore[override]
        return super().forward(input)


class Generator(nn.Module):
    """G: class-conditional images in P's normalised input space.

    Noise is spread over a map of a quarter of the image's side, rounded up, that is upsampled
    twice and cropped at its centre to the image's size. How the class comes in is the paper's
    choice for small and for large images:

    - up to `EMBEDDED_SIDE` pixels a side, the noise is multiplied by a learned vector of the
      class. Noise is symmetric around zero, so a product alone tells the classes apart only by how
      far the noise reaches, which takes thousands of iterations to make use of; with `class_shift`
      a second learned vector of the class is added, which moves each class to a place of its own
      from the first iteration on;
    - beyond, the classes have BatchNorm factors and offsets of their own, and `class_shift` adds
      its vector to the noise itself.

    The last BatchNorm, without weight and bias, gives each channel zero mean and unit variance
    over the batch, as normalised images have.

    Args:
        num_classes: C.
        image_shape: `(channels, height, width)`, any number of channels and any size.
        latent_dim: length of z.
        width: channels of the first maps; the last stage has half as many.
        class_shift: add a learned vector of the class to the noise (the paper's G does not).
    """

    def __init__(
        self,
        num_classes: int,
        image_shape: tuple[int, int, int],
        latent_dim: int,
        width: int,
        *,
        class_shift: bool = False,
    ) -> None:
        super().__init__()
        channels, height, image_width = image_shape
        self.image_size = (height, image_width)
        conditional = max(self.image_size) > EMBEDDED_SIDE

        def norm(features: int, eps: float) -> nn.Module:
            if conditional:
                return ConditionalBatchNorm2d(features, num_classes, eps)
            return _BatchNorm2d(features, eps=eps)

        self._first_map = (width, -(-height // 4), -(-image_width // 4))
        self.class_vectors = None if conditional else nn.Embedding(num_classes, latent_dim)
        self.class_shifts = nn.Embedding(num_classes, latent_dim) if class_shift else None
        self.spread = nn.Linear(latent_dim, math.prod(self._first_map))
        self.norm0 = norm(width, 1e-5)
        self.conv1 = UpsampleConv2d(width, width)
        self.norm1 = norm(width, 0.8)
        self.conv2 = UpsampleConv2d(width, width // 2)
        self.norm2 = norm(width // 2, 0.8)
        self.conv3 = nn.Conv2d(width // 2, channels, 3, padding=1)
        self.norm3 = nn.BatchNorm2d(channels, affine=False)

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        """Images `(B, channels, height, width)` for noise `(B, latent_dim)` and classes `(B,)`.

        Shares of the classes `(B, C)` in place of `labels` give images between classes: whatever
        G has learned for each class is mixed (see `class_rows`).
        """
        code = z if self.class_vectors is None else z * class_rows(self.class_vectors, labels)
        if self.class_shifts is not None:
            code = code + class_rows(self.class_shifts, labels)
        x = self.spread(code).view(len(z), *self._first_map)
        x = x.contiguous(memory_format=torch.channels_last)  # all layers behind it keep it so
        x = self.norm0(x, labels)
        x = F.leaky_relu(self.norm1(self.conv1(x), labels), 0.2)
        x = F.leaky_relu(self.norm2(self.conv2(x), labels), 0.2)
        images: Tensor = self.norm3(torch.tanh(self._cropped(self.conv3(x))))
        return images

    def _cropped(self, x: Tensor) -> Tensor:
        height, width = self.image_size
        if x.shape[2:] == (height, width):
            return x
        top, left = (x.shape[2] - height) // 2, (x.shape[3] - width) // 2
        return x[:, :, top : top + height, left : left + width]
