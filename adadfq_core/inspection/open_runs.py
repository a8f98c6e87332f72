"""What looking into runs needs, kept for the next request: networks, real images, samples."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, fx

from adadfq_core.errors import InputError
from adadfq_core.inspection.networks import (
    InspectedNetworks,
    checkpoint_at,
    inspectable_settings,
    load_networks,
)
from adadfq_core.inspection.progress import Progress
from adadfq_core.inspection.recent import Recent
from adadfq_core.inspection.requests import MOST_REAL, SampleKeys, SampleRange
from adadfq_core.inspection.samples import Samples, SheetPixels, read_samples
from adadfq_core.quant.capture import capture
from adadfq_core.zoo.evaluation_data import EvaluationData, load_evaluation_data
from adadfq_core.zoo.formats import ImageFormat
from adadfq_core.zoo.loading import load_float_network

# Those of large networks and images take hundreds of MB each.
_KEPT_NETWORKS = 3
_KEPT_DATA = 2
_KEPT_RUNS = 4

RunKey = tuple[Path, str]


@dataclass(frozen=True, eq=False)
class Look:
    """A network to look through, P or Q, on the CPU and without gradients.

    Attributes:
        graph: P as `quant.capture` captures it, or Q's graph.
        images: what it takes.
        key: stands for what it computes.
        checkpoint: the iteration of the one that gave Q; `None` for P.
    """

    graph: fx.GraphModule
    images: ImageFormat
    key: str
    checkpoint: int | None


@dataclass(frozen=True, eq=False)
class RealImages:
    """The real images of a run, at most `MOST_REAL`; `key` stands for their pixels."""

    data: EvaluationData
    key: str


@dataclass(frozen=True, eq=False)
class Asked:
    """The n samples of a request.

    Attributes:
        keys: `(n, 2)`, (iteration, place).
        labels: `(n,)`, classes that G was asked for.
        pixels: `(n, C, H, W)`; `(0, 1, 1, 1)` for none.
        notice: on sheets that could not be read; empty if there are none.
    """

    keys: NDArray[np.int64]
    labels: NDArray[np.int64]
    pixels: Tensor
    notice: str


@dataclass
class _Sheets:
    pixels: SheetPixels
    samples: Samples = field(default_factory=Samples)


class OpenRuns:
    """Opens runs and keeps what was used last. For one thread at a time."""

    def __init__(self) -> None:
        self._p: Recent[Hashable, tuple[Look, str | None]] = Recent(_KEPT_NETWORKS)
        self._networks: Recent[Hashable, tuple[InspectedNetworks, str]] = Recent(_KEPT_NETWORKS)
        self._real: Recent[Hashable, RealImages] = Recent(_KEPT_DATA)
        self._sheets: Recent[RunKey, _Sheets] = Recent(_KEPT_RUNS)

    def p(self, run: RunKey, progress: Progress) -> Look:
        """P alone, for which the run needs no checkpoint.

        Raises:
            InputError: there is no such run, its network is code of the user's own, or its weights
                are not to be had any more.
        """
        return self._p_and_data(run, progress)[0]

    def networks(self, run: RunKey, iteration: int, progress: Progress) -> InspectedNetworks:
        """P, Q and G of a checkpoint (see `load_networks`).

        Raises:
            InputError: as `load_networks`.
            RunFailed: as `load_networks`.
        """
        return self._networks_and_key(run, iteration, progress)[0]

    def q(self, run: RunKey, iteration: int, progress: Progress) -> Look:
        """Q of a checkpoint.

        Raises:
            InputError: as `load_networks`.
            RunFailed: as `load_networks`.
        """
        networks, key = self._networks_and_key(run, iteration, progress)
        return Look(networks.q.graph_module, networks.images, key, networks.iteration)

    def real(self, run: RunKey, progress: Progress) -> RealImages:
        """The real images of a run, for both halves of a run that learns from them.

        Raises:
            InputError: the run has none, they are not to be had any more, or as `p`.
        """
        look, data = self._p_and_data(run, progress)
        if data is None:
            raise InputError(
                f"Run {run[1]} has no real images to compare with; name a data set when you start "
                "a run."
            )
        limit = min(inspectable_settings(*run).evaluation_images, MOST_REAL)

        def load() -> RealImages:
            progress("reading the real images")
            found = load_evaluation_data(data, look.images, limit)
            return RealImages(found, pixels_key(found.images.pixels))

        return self._real.get((data, look.images, limit), load)

    def samples(self, run: RunKey, wanted: SampleKeys | SampleRange, progress: Progress) -> Asked:
        """The stored samples that are `wanted`.

        Raises:
            InputError: there is no such run, or a sample that is named by its key is not stored.
            RunFailed: as `read_samples` and `SheetPixels.of`.
        """
        progress("reading the samples")
        sheets = self._sheets.get(run, lambda: _Sheets(SheetPixels(run[0])))
        sheets.samples = read_samples(*run, sheets.samples)
        table = sheets.samples.table
        if isinstance(wanted, SampleRange):
            rows = table[table["iteration"].between(wanted.first, wanted.last)]
            spread = np.linspace(0, len(rows) - 1, min(wanted.most, len(rows)))
            rows = rows.iloc[spread.round().astype(int)]
            keys = rows[["iteration", "place"]].to_numpy(np.int64)
            labels = rows["class_index"].to_numpy(np.int64)
        else:
            keys = np.array(wanted, dtype=np.int64).reshape(-1, 2)
            stored = table.set_index(["iteration", "place"])["class_index"]
            # One that is not stored is refused with its pixels.
            asked = pd.MultiIndex.from_arrays(list(keys.T))
            labels = stored.reindex(asked, fill_value=-1).to_numpy(np.int64)
        pixels = sheets.pixels.of(sheets.samples, [(int(i), int(place)) for i, place in keys])
        return Asked(keys, labels, torch.from_numpy(pixels), sheets.samples.notice)

    def _p_and_data(self, run: RunKey, progress: Progress) -> tuple[Look, str | None]:
        settings = inspectable_settings(*run)

        def load() -> tuple[Look, str | None]:
            progress("loading P")
            loaded = load_float_network(settings)
            noise = torch.randn(2, *loaded.images.shape, generator=torch.Generator().manual_seed(0))
            graph = capture(loaded.network, noise).requires_grad_(False)
            return Look(graph, loaded.images, network_key(graph), None), loaded.data

        named = settings.network, settings.weights, settings.data
        shown = settings.image_shape, settings.image_mean, settings.image_std
        return self._p.get((*named, *shown), load)

    def _networks_and_key(
        self, run: RunKey, iteration: int, progress: Progress
    ) -> tuple[InspectedNetworks, str]:
        def load() -> tuple[InspectedNetworks, str]:
            progress("loading the networks of the checkpoint")
            networks = load_networks(*run, iteration)
            return networks, network_key(networks.q.graph_module)

        inspectable_settings(*run)
        # Its checksum, since a run that was resumed stores others of the same iterations.
        checkpoint = checkpoint_at(*run, iteration)
        return self._networks.get((*run, checkpoint.data["sha256"]), load)


def network_key(graph: fx.GraphModule) -> str:
    """SHA-256 of what `graph` computes: its code, its modules and what they hold."""
    digest = hashlib.sha256(f"{torch.__version__}\0{graph}\0".encode())
    for name, value in graph.state_dict().items():
        digest.update(name.encode())
        digest.update(value.contiguous().numpy().data)
    return digest.hexdigest()


def pixels_key(pixels: Tensor) -> str:
    """SHA-256 of uint8 `pixels` of any shape."""
    digest = hashlib.sha256(str(tuple(pixels.shape)).encode())
    digest.update(pixels.contiguous().numpy().data)
    return digest.hexdigest()
