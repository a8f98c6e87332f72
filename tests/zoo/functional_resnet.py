"""A CIFAR ResNet as a user may have written it: functional ReLU, shortcuts without parameters.

After He et al., CVPR 2016, section 4.2: a 3x3 convolution, three stages of n blocks with 16, 32
and 64 channels, global average pooling and a linear layer: 6n + 2 layers. Its shortcuts are
option A, the identity with zeros for the added channels.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Block(nn.Module):
    """Maps `(B, in_channels, H, W)` to `(B, out_channels, H / stride, W / stride)`."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.stride = stride
        self.added = (out_channels - in_channels) // 2

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        if self.stride == 2:
            x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.added, self.added))
        return F.relu(y + x)


class ResNet(nn.Module):
    """Images `(B, 3, 32, 32)` to logits `(B, num_classes)`."""

    def __init__(self, blocks: int, num_classes: int = 10, width: int = 16) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.layer1 = self._stage(width, width, blocks)
        self.layer2 = self._stage(width, 2 * width, blocks)
        self.layer3 = self._stage(2 * width, 4 * width, blocks)
        self.linear = nn.Linear(4 * width, num_classes)

    @staticmethod
    def _stage(in_channels: int, out_channels: int, blocks: int) -> nn.Sequential:
        stride = 1 if in_channels == out_channels else 2
        first = Block(in_channels, out_channels, stride)
        return nn.Sequential(
            first, *(Block(out_channels, out_channels, 1) for _ in range(1, blocks))
        )

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        x = F.avg_pool2d(x, x.shape[3])
        return self.linear(torch.flatten(x, 1))


def resnet20() -> ResNet:
    return ResNet(blocks=3)


def resnet56() -> ResNet:
    return ResNet(blocks=9)
