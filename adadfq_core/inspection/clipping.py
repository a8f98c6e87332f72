"""Where Q's frozen activation ranges cut off what an image gives rise to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, fx

from adadfq_core.inspection.layers import clipped
from adadfq_core.quant.network import QuantizedNetwork
from adadfq_core.quant.ranges import ActivationQuantizer


@dataclass(frozen=True, eq=False)
class SiteClipping:
    """What `B` images give rise to at one activation call site, in units of the activation.

    What is clipped is said by `layers.clipped`.

    Attributes:
        name: the call site's name, as in the coverage table.
        bits: of each code.
        range_min, range_max: the range in force; it holds 0.
        smallest, largest: of each image's values, `(B,)`.
        below, above: the share of each image's values that is clipped at either end, `(B,)`
            within [0, 1].
    """

    name: str
    bits: int
    range_min: float
    range_max: float
    smallest: NDArray[np.float64]
    largest: NDArray[np.float64]
    below: NDArray[np.float64]
    above: NDArray[np.float64]


@torch.inference_mode()
def activation_clipping(q: QuantizedNetwork, images: Tensor) -> tuple[SiteClipping, ...]:
    """What each of normalised `images` `(B, ...)` meets at Q's activations, in graph order.

    Sites without a range yet are left out: nothing is clipped there. Q is left as it is. Images
    made of a stored sheet's pixels are not quite those of the game (see
    `map_features.FeatureMaps.of_samples`).
    """
    sites = {
        quantizer: name
        for name, quantizer in q.activation_quantizers()
        if int(quantizer.batches) > 0
    }
    watcher = _Watcher(q.graph_module, sites)
    for image in images:
        # Alone, since a graph may move the batch to any axis; twice, since one that was exported
        # may take a batch of one for something else. Extremes and shares stay the same.
        watcher.run(torch.stack([image, image]))
    found = []
    for quantizer, name in sites.items():
        low, high = quantizer.range()
        columns = np.array(watcher.seen[quantizer]).reshape(len(images), 4).T
        found.append(SiteClipping(name, quantizer.bits, float(low), float(high), *columns))
    return tuple(found)


class _Watcher(fx.Interpreter):
    """Runs a graph and notes what comes to each of `sites`; unlike hooks it leaves no trace.

    Attributes:
        seen: for each site and run: smallest, largest, share clipped below, share clipped above.
    """

    def __init__(self, graph: fx.GraphModule, sites: dict[ActivationQuantizer, str]) -> None:
        super().__init__(graph)
        self.seen: dict[ActivationQuantizer, list[tuple[float, ...]]] = {site: [] for site in sites}

    def call_module(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        module = self.fetch_attr(target)
        if module in self.seen:
            self.seen[module].append(_extremes_and_clipped(args[0], module))
        return super().call_module(target, args, kwargs)


def _extremes_and_clipped(x: Tensor, quantizer: ActivationQuantizer) -> tuple[float, ...]:
    smallest, largest = x.aminmax()
    below, above = clipped(x, quantizer)
    return (
        float(smallest),
        float(largest),
        *(float(part.double().mean()) for part in (below, above)),
    )
