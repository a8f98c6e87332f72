"""Layer by layer: where generated images leave P's BatchNorm statistics and Q's ranges."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, fx, nn

from adadfq_core.errors import InputError
from adadfq_core.game.batchnorm_loss import channel_moments, statistics_mismatch
from adadfq_core.quant.coverage import unique_names
from adadfq_core.quant.fake_quant import levels, scale_and_zero_point
from adadfq_core.quant.leftovers import layer_name
from adadfq_core.quant.network import QuantizedNetwork
from adadfq_core.quant.operations import is_batchnorm
from adadfq_core.quant.ranges import ActivationQuantizer
from adadfq_core.training.evaluation import EVALUATION_BATCH, Images

BULK = (0.001, 0.999)
"""The quantiles between which the bulk of a site's values lies."""

# Values of a site that its quantiles are taken from: some hundred of them lie in each tail.
_SAMPLED = 2**18


@dataclass(frozen=True)
class BatchNormMismatch:
    """One call of a BatchNorm layer of P, in squared units of its input.

    Attributes:
        name: the layer's name in the network, with "#2" behind it for its second call.
        mean_part: mean over channels of (mean - running mean)^2.
        variance_part: mean over channels of (biased variance - running variance)^2.
    """

    name: str
    mean_part: float
    variance_part: float

    @property
    def total(self) -> float:
        """The layer's term of `L_BNS`."""
        return self.mean_part + self.variance_part


@dataclass(frozen=True)
class ValueRange:
    """What the values of one activation site span over a set of images.

    Attributes:
        low: least value.
        high: largest value.
        bulk_low: quantile `BULK[0]`, from a sample of the values where there are many.
        bulk_high: quantile `BULK[1]`.
        clipped: share of values whose code is clamped (see `clipped`), 0..1; `None` where Q has no
            range yet.
    """

    low: float
    high: float
    bulk_low: float
    bulk_high: float
    clipped: float | None


@dataclass(frozen=True)
class SiteRanges:
    """One activation site of Q, in units of the activation.

    Attributes:
        name: the call site's name in the network.
        in_force: Q's range, widened to zero; `None` before the first observed batch.
        synthetic: over generated images.
        real: over real images; `None` where there are none.
    """

    name: str
    in_force: tuple[float, float] | None
    synthetic: ValueRange
    real: ValueRange | None


@torch.inference_mode()
def batchnorm_mismatch(network: fx.GraphModule, images: Images) -> list[BatchNormMismatch]:
    """Each BatchNorm layer's term of `L_BNS` for all `images` as one batch, in forward order.

    The mean of the totals is `L_BNS` of that batch (`game.batchnorm_loss`). Images go through the
    network in parts whose moments are pooled, so that their number is not bounded by memory. A
    network without stored statistics gives an empty list.

    Args:
        network: P as `quant.capture` captures it.
        images: normalised, `(N, C, H, W)`, on P's device.

    Raises:
        InputError: there are no images.
    """
    names = {
        str(node.target): layer_name(node)
        for node in network.graph.nodes
        if node.op == "call_module"
    }
    norms = {name: module for name, module in network.named_modules() if is_batchnorm(module)}
    calls: list[tuple[str, Tensor, Tensor]] = []
    batches: list[list[tuple[str, Tensor, Tensor]]] = []
    sizes: list[int] = []
    with _watching(norms.items(), lambda name, x: calls.append((name, *channel_moments(x)))):
        for part in _parts(images):
            network(part)
            sizes.append(len(part))
            batches.append(list(calls))
            calls.clear()
    found = []
    for same_call in zip(*batches, strict=True):
        target = same_call[0][0]
        mean, variance = _pooled(
            torch.stack([mean for _, mean, _ in same_call]),
            torch.stack([variance for _, _, variance in same_call]),
            sizes,
        )
        parts = statistics_mismatch(norms[target], mean, variance)
        found.append((names.get(target, target), *(part.item() for part in parts)))
    unique = unique_names(name for name, _, _ in found)
    return [
        BatchNormMismatch(name, mean_part, variance_part)
        for name, (_, mean_part, variance_part) in zip(unique, found, strict=True)
    ]


@torch.inference_mode()
def activation_ranges(
    q: QuantizedNetwork, synthetic: Images, real: Images | None = None
) -> list[SiteRanges]:
    """What Q's activation sites see of generated and of real images, in graph order.

    Values are those that a site's quantizer reads: behind all that Q quantizes before it.

    Args:
        q: its ranges are left as they are.
        synthetic: normalised generated images `(N, C, H, W)`, on Q's device.
        real: normalised real images `(M, C, H, W)`; `None` where there are none.

    Raises:
        InputError: there are no images in a set.
    """
    sites = q.activation_quantizers()
    generated = _values(q, synthetic)
    originals = None if real is None else _values(q, real)
    return [
        SiteRanges(
            name, _in_force(site), generated[name], None if originals is None else originals[name]
        )
        for name, site in sites
    ]


def clipped(x: Tensor, site: ActivationQuantizer) -> tuple[Tensor, Tensor]:
    """Which values of `x` are clipped below and above Q's range: two masks of its shape.

    Those whose code has to be clamped, half a step outside the range or more: nearer ones are
    rounded to the range's end as their neighbours inside are.
    """
    scale, zero_point = scale_and_zero_point(*site.range(), site.bits)
    codes = torch.round(x * scale) - zero_point
    return codes < 0, codes > levels(site.bits)


def _values(q: QuantizedNetwork, images: Images) -> dict[str, ValueRange]:
    sites = q.activation_quantizers()
    random = torch.Generator().manual_seed(0)
    seen = {name: _SeenValues(site, random) for name, site in sites}
    size = 0

    def keep(name: str, x: Tensor) -> None:
        seen[name].add(x, max(1, _SAMPLED * size // len(images)))

    with _watching(sites, keep):
        for part in _parts(images):
            size = len(part)
            q(part)
    return {name: values.result() for name, values in seen.items()}


def _in_force(site: ActivationQuantizer) -> tuple[float, float] | None:
    if not site.batches > 0:
        return None
    low, high = site.range()
    return low.item(), high.item()


class _SeenValues:
    """Gathers what one site's values span, batch by batch, within bounded memory."""

    def __init__(self, site: ActivationQuantizer, random: torch.Generator) -> None:
        self._site = site
        self._random = random
        self._bounds: list[Tensor] = []
        self._sample: list[Tensor] = []
        self._count = 0
        self._clipped = 0

    def add(self, x: Tensor, sampled: int) -> None:
        """Take `x` of any shape into account, with at most `sampled` values for the quantiles."""
        values = x.flatten()
        self._bounds += values.aminmax()
        self._count += len(values)
        if self._site.batches > 0:
            below, above = clipped(values, self._site)
            self._clipped += int((below | above).sum())
        if len(values) > sampled:
            chosen = torch.randint(len(values), (sampled,), generator=self._random)
            values = values[chosen.to(values.device)]
        self._sample.append(values.float().cpu())

    def result(self) -> ValueRange:
        bounds = torch.stack(self._bounds)
        bulk = torch.cat(self._sample).quantile(torch.tensor(BULK))
        return ValueRange(
            low=bounds.min().item(),
            high=bounds.max().item(),
            bulk_low=bulk[0].item(),
            bulk_high=bulk[1].item(),
            clipped=self._clipped / self._count if self._site.batches > 0 else None,
        )


def _parts(images: Images) -> Iterator[Tensor]:
    if not len(images):
        raise InputError("There are no images to look at; give at least one.")
    for start in range(0, len(images), EVALUATION_BATCH):
        yield images[start : start + EVALUATION_BATCH]


@contextmanager
def _watching(
    modules: Iterable[tuple[str, nn.Module]], keep: Callable[[str, Tensor], None]
) -> Iterator[None]:
    """Within it, `keep` gets the name and the input of every one of `modules` that is called."""

    def hook(name: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        return lambda _module, inputs: keep(name, inputs[0])

    handles = [module.register_forward_pre_hook(hook(name)) for name, module in modules]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _pooled(means: Tensor, variances: Tensor, sizes: list[int]) -> tuple[Tensor, Tensor]:
    """Mean and biased variance `(C,)` of all batches from each batch's own `(batches, C)`."""
    weights = means.new_tensor(sizes).unsqueeze(1) / sum(sizes)
    mean = (weights * means).sum(0)
    return mean, (weights * (variances + (means - mean).square())).sum(0)
