"""The game as plainly as it can be written: the reference that the engine's step is held to.

Everything is eager and done where the formulas say so. G upsamples and then convolves, BatchNorm is
a layer of its own, Q answers once for each player, and each loss is differentiated for every
parameter that it depends on. From the engine it takes the parameters to start from, nothing else.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence
from itertools import cycle
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from adadfq_core.game.generator import ConditionalBatchNorm2d, Generator
from adadfq_core.settings import RunSettings


class _Round(torch.autograd.Function):
    """To the nearest of the `2^bits` values of a range; the gradient passes straight through."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, low: Tensor, high: Tensor, bits: int) -> Tensor:
        scale = (2**bits - 1) / (high - low).clamp(min=1e-8)
        zero_point = torch.round(scale * low)
        codes = torch.clamp(torch.round(scale * x) - zero_point, 0, 2**bits - 1)
        return (codes + zero_point) / scale

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        return gradients[0], None, None, None


def _rounded_weight(weight: Tensor, bits: int) -> Tensor:
    """Per output channel, between its smallest and its largest weight, zero included."""
    each = weight.detach().flatten(1)
    shape = (-1, *[1] * (weight.ndim - 1))
    low = each.min(dim=1).values.clamp(max=0).view(shape)
    high = each.max(dim=1).values.clamp(min=0).view(shape)
    return _Round.apply(weight, low, high, bits)


class RoundedConv2d(nn.Module):
    """A convolution whose weights are rounded at every pass."""

    def __init__(self, layer: nn.Conv2d, bits: int) -> None:
        super().__init__()
        self.layer = layer
        self.bits = bits

    def forward(self, x: Tensor) -> Tensor:
        weight = _rounded_weight(self.layer.weight, self.bits)
        return F.conv2d(x, weight, self.layer.bias, self.layer.stride, self.layer.padding)


class RoundedLinear(nn.Module):
    """A linear layer whose weights are rounded at every pass."""

    def __init__(self, layer: nn.Linear, bits: int) -> None:
        super().__init__()
        self.layer = layer
        self.bits = bits

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, _rounded_weight(self.layer.weight, self.bits), self.layer.bias)


class RoundedReLU(nn.Module):
    """ReLU, then rounding; one that is called several times has a range for each call."""

    def __init__(self, bits: int) -> None:
        super().__init__()
        self.bits = bits
        self.ranges: Iterator[tuple[Tensor, Tensor]] = iter(())

    def forward(self, x: Tensor) -> Tensor:
        low, high = next(self.ranges)
        return _Round.apply(F.relu(x), low, high, self.bits)


def plain_q(
    p: nn.Module, bits: int, ranges: Sequence[tuple[Tensor, Tensor]], x: Tensor
) -> nn.Module:
    """A copy of `p` with every convolution, linear layer and ReLU swapped for its rounded form.

    Args:
        p: built of `nn.Conv2d`, `nn.Linear`, `nn.BatchNorm2d` and `nn.ReLU` modules.
        ranges: of each call of a ReLU, in the order of the calls.
        x: images that `p` takes, to find that order.
    """
    q = copy.deepcopy(p)

    def swap(module: nn.Module) -> None:
        for name, child in module.named_children():
            if isinstance(child, nn.Conv2d):
                setattr(module, name, RoundedConv2d(child, bits))
            elif isinstance(child, nn.Linear):
                setattr(module, name, RoundedLinear(child, bits))
            elif isinstance(child, nn.ReLU):
                setattr(module, name, RoundedReLU(bits))
            else:
                swap(child)

    calls: list[RoundedReLU] = []
    swap(q)
    rectifiers = [module for module in q.modules() if isinstance(module, RoundedReLU)]
    for rectifier in rectifiers:
        rectifier.ranges = cycle([ranges[0]])
        rectifier.register_forward_pre_hook(lambda module, _: calls.append(module))
    with torch.no_grad():
        q.eval()(x)
    assert len(calls) == len(ranges)
    for rectifier in rectifiers:
        rectifier._forward_pre_hooks.clear()
        own = [limits for call, limits in zip(calls, ranges, strict=True) if call is rectifier]
        rectifier.ranges = cycle(own)
    return q


def plain_images(generator: Generator, z: Tensor, labels: Tensor) -> Tensor:
    """What `generator` makes, by an upsampling and a 3x3 convolution one after the other."""

    def normalised(norm: nn.Module, x: Tensor) -> Tensor:
        if not isinstance(norm, ConditionalBatchNorm2d):
            return nn.BatchNorm2d.forward(norm, x)
        factors, offsets = norm.factors(labels), norm.offsets(labels)
        return norm.norm(x) * factors[:, :, None, None] + offsets[:, :, None, None]

    def doubled(conv: nn.Conv2d, x: Tensor) -> Tensor:
        return F.conv2d(F.interpolate(x, scale_factor=2), conv.weight, conv.bias, padding=1)

    code = z if generator.class_vectors is None else z * generator.class_vectors(labels)
    side = generator.image_size[0] // 4
    x = generator.spread(code).view(len(z), -1, side, side)
    x = normalised(generator.norm0, x)
    x = F.leaky_relu(normalised(generator.norm1, doubled(generator.conv1, x)), 0.2)
    x = F.leaky_relu(normalised(generator.norm2, doubled(generator.conv2, x)), 0.2)
    return generator.norm3(torch.tanh(generator.conv3(x)))


def _entropy(logits: Tensor) -> Tensor:
    probabilities = torch.softmax(logits, dim=1)
    return -(probabilities * torch.log_softmax(logits, dim=1)).sum(dim=1)


class PlainGame:
    """P, Q and G with their optimizers, ready for iterations after the warm-up.

    Args:
        settings: of the method `adadfq`, without an added vector of the class.
        p: the float network; not changed.
        q: as `plain_q` makes it.
        generator: the engine's G, of which a copy is trained.
    """

    def __init__(
        self, settings: RunSettings, p: nn.Module, q: nn.Module, generator: Generator
    ) -> None:
        self.settings = settings
        self.p = copy.deepcopy(p).eval().requires_grad_(True)
        self.q = q.requires_grad_(True)
        self.generator = copy.deepcopy(generator)
        self.optimizer_g = torch.optim.Adam(
            self.generator.parameters(),
            lr=settings.lr_g,
            betas=(settings.adam_beta1, settings.adam_beta2),
        )
        self.optimizer_q = torch.optim.SGD(
            self.q.parameters(),
            lr=settings.lr_q,
            momentum=settings.q_momentum,
            nesterov=True,
            weight_decay=settings.q_weight_decay,
        )
        self._statistics: list[Tensor] = []
        for layer in self.p.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.register_forward_pre_hook(self._compare)

    def _compare(self, layer: nn.BatchNorm2d, inputs: tuple[Tensor]) -> None:
        mean = inputs[0].mean([0, 2, 3])
        variance = inputs[0].var([0, 2, 3], unbiased=False)
        self._statistics.append(
            F.mse_loss(mean, layer.running_mean) + F.mse_loss(variance, layer.running_var)
        )

    def step(self, z: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """One iteration for noise `(B, latent_dim)` and classes `(B,)`; `L_G` and `L_Q`."""
        loss_g, images, p_logits = self.move_g(z, labels)
        return loss_g, self.move_q(images, p_logits)

    def move_g(self, z: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """G's move, all of an iteration of the warm-up; `L_G`, the images and P's logits."""
        s = self.settings
        self._statistics.clear()
        self.optimizer_g.zero_grad()
        self.optimizer_q.zero_grad()
        self.p.zero_grad()
        images = plain_images(self.generator, z, labels)
        p_logits = self.p(images)
        q_logits = self.q(images)

        h_info = _entropy(p_logits - q_logits)
        h_prime = (h_info - h_info.min()) / (math.log(p_logits.shape[1]) - h_info.min())
        too_low = torch.clamp(s.lambda_l - h_prime, min=0).mean()
        too_high = torch.clamp(h_prime - s.lambda_u, min=0).mean()
        balance = s.alpha_ds * F.cross_entropy(p_logits - q_logits, labels)
        balance = balance + s.alpha_as * F.cross_entropy(p_logits + q_logits, labels)
        statistics = sum(self._statistics) / len(self._statistics)
        loss_g = too_low + too_high + s.beta * balance + s.gamma * statistics
        loss_g.backward()
        self.optimizer_g.step()
        return loss_g.detach(), images.detach(), p_logits.detach()

    def move_q(self, images: Tensor, p_logits: Tensor) -> Tensor:
        """Q's move on G's images; `L_Q`."""
        t = self.settings.temperature
        self.optimizer_q.zero_grad()
        q_logits = self.q(images)
        loss_q = -(t**2) * _entropy((p_logits - q_logits) / t).mean()
        loss_q.backward()
        self.optimizer_q.step()
        return loss_q.detach()
