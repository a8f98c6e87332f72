"""From requests to replies, in the process that has the networks."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from adadfq_core.errors import InputError, RunFailed
from adadfq_core.inspection.clipping import activation_clipping
from adadfq_core.inspection.fidelity import fidelity
from adadfq_core.inspection.layers import activation_ranges, batchnorm_mismatch
from adadfq_core.inspection.map_features import FeatureMaps, FeatureSet
from adadfq_core.inspection.neighbours import REAL_IMAGES, RealNeighbours
from adadfq_core.inspection.open_runs import Asked, Look, OpenRuns, RealImages, RunKey
from adadfq_core.inspection.progress import Progress
from adadfq_core.inspection.replies import (
    CloseUpReply,
    FidelityReply,
    LayersReply,
    MapReply,
    RealImagesReply,
    Reply,
    WalkReply,
)
from adadfq_core.inspection.requests import (
    CloseUpRequest,
    FidelityRequest,
    LayersRequest,
    MapRequest,
    RealImagesRequest,
    Request,
    WalkRequest,
)
from adadfq_core.inspection.walk import latent_points, latent_walk
from adadfq_core.zoo.evaluation_data import NormalisedPixels


class Answers:
    """Answers one request after another; what is missing is told and the rest is answered.

    Args:
        folder: where features and layouts are kept.
    """

    def __init__(self, folder: Path) -> None:
        self._runs = OpenRuns()
        self._features = FeatureMaps(folder)

    def answer(self, request: Request, progress: Progress) -> Reply:
        """The reply to `request`.

        Raises:
            InputError: nothing of it can be answered, for a reason that the user can change.
            RunFailed: files of the run are missing or damaged.
            Overtaken: from `progress`.
        """
        run = request.root, request.run_id
        match request:
            case MapRequest():
                return self._map(run, request, progress)
            case CloseUpRequest():
                return self._close_up(run, request, progress)
            case FidelityRequest():
                return self._fidelity(run, request, progress)
            case LayersRequest():
                return self._layers(run, request, progress)
            case WalkRequest():
                return self._walk(run, request, progress)
            case RealImagesRequest():
                return self._real_images(run, request, progress)

    def _map(self, run: RunKey, request: MapRequest, progress: Progress) -> MapReply:
        look = self._look(run, request.q_iteration, progress)
        asked = self._runs.samples(run, request.samples, progress)
        real, synthetic, notices = self._both(run, look, asked, request.real_points, progress)
        if len(real.indices):
            projection = self._features.fitted(real.features, request.projection, progress)
            real_positions = projection.positions
            progress("placing the samples")
            positions = projection.transform(synthetic.rows)
            notices += [projection.notice, projection.transform_notice(synthetic.rows)]
        else:
            projection = self._features.fitted(synthetic, request.projection, progress)
            real_positions = np.empty((0, request.projection.n_components), np.float32)
            positions = projection.positions
            notices += ["The map is fitted on the samples alone.", projection.notice]
        finite = np.flatnonzero(np.isfinite(real_positions).all(axis=1))
        return MapReply(
            keys=asked.keys,
            positions=positions,
            real_positions=real_positions[finite],
            real_labels=real.labels[finite],
            real_indices=real.indices[finite],
            method=projection.method,
            checkpoint=look.checkpoint,
            notices=_told(notices),
        )

    def _close_up(self, run: RunKey, request: CloseUpRequest, progress: Progress) -> CloseUpReply:
        p = self._runs.p(run, progress)
        key = (request.iteration, request.place)
        asked = self._runs.samples(run, (key,), progress)
        features = self._features.of_samples(p, asked.pixels, progress)
        notices = [asked.notice]
        nearest = pixels = clipping = checkpoint = None
        try:
            real = self._runs.real(run, progress)
            chosen = real.data.spread(REAL_IMAGES)
            among = self._features.of_real(p, real, chosen, progress)
            neighbours = RealNeighbours(
                torch.from_numpy(among.rows), chosen, real.data.labels[chosen]
            )
            notices.append(neighbours.notice)
            nearest = neighbours.nearest(torch.from_numpy(features.rows), request.nearest)
            pixels = _pixels(real, nearest.indices[0])
        except InputError as error:
            notices.append(str(error))
        try:
            networks = self._runs.networks(run, request.iteration, progress)
            progress("running Q")
            clipping = activation_clipping(networks.q, p.images.normalise(asked.pixels))
            checkpoint = networks.iteration
        except (InputError, RunFailed) as error:
            notices.append(str(error))
        return CloseUpReply(features.rows[0], nearest, pixels, clipping, checkpoint, _told(notices))

    def _fidelity(self, run: RunKey, request: FidelityRequest, progress: Progress) -> FidelityReply:
        look = self._look(run, request.q_iteration, progress)
        asked = self._runs.samples(run, request.samples, progress)
        real, synthetic, notices = self._both(run, look, asked, request.real_points, progress)
        progress("comparing the features")
        found = fidelity(real.features.rows, real.labels, synthetic.rows, asked.labels)
        return FidelityReply(found, look.checkpoint, _told(notices))

    def _layers(self, run: RunKey, request: LayersRequest, progress: Progress) -> LayersReply:
        p = self._runs.p(run, progress)
        asked = self._runs.samples(run, request.samples, progress)
        notices = [asked.notice]
        samples = NormalisedPixels(asked.pixels, p.images) if len(asked.keys) else None
        if samples is None:
            notices.append(_no_samples(run))
        real = None
        try:
            images = self._runs.real(run, progress).data
            chosen = images.spread(REAL_IMAGES)
            real = NormalisedPixels(images.images.pixels[chosen], p.images)
        except InputError as error:
            notices.append(str(error))
        progress("running P")
        synthetic_layers, real_layers = (
            None if shown is None else tuple(batchnorm_mismatch(p.graph, shown))
            for shown in (samples, real)
        )
        sites = checkpoint = None
        try:
            networks = self._runs.networks(run, request.q_iteration, progress)
            checkpoint = networks.iteration
            if samples is not None:
                progress("running Q")
                sites = tuple(activation_ranges(networks.q, samples, real))
        except (InputError, RunFailed) as error:
            notices.append(str(error))
        return LayersReply(synthetic_layers, real_layers, sites, checkpoint, _told(notices))

    def _walk(self, run: RunKey, request: WalkRequest, progress: Progress) -> WalkReply:
        networks = self._runs.networks(run, request.q_iteration, progress)
        if networks.generator is None:
            raise InputError(
                f"Run {run[1]} has no generator to walk through, as its method is "
                f"'{networks.settings.method}'; choose a run whose images are generated."
            )
        progress("generating images")
        z_from, z_to = (
            latent_points(seed, 1, networks.settings.latent_dim)[0]
            for seed in (request.seed_from, request.seed_to)
        )
        pixels = latent_walk(
            networks.generator,
            networks.images,
            z_from,
            z_to,
            request.class_from,
            request.class_to,
            request.steps,
        )
        return WalkReply(pixels, networks.iteration)

    def _real_images(
        self, run: RunKey, request: RealImagesRequest, progress: Progress
    ) -> RealImagesReply:
        real = self._runs.real(run, progress)
        indices = np.array(request.indices, dtype=np.int64)
        outside = indices[(indices < 0) | (indices >= len(real.data.labels))]
        if len(outside):
            raise InputError(
                f"There is no real image {outside[0]}; their indices are 0 to "
                f"{len(real.data.labels) - 1}."
            )
        return RealImagesReply(_pixels(real, indices), real.data.labels.numpy()[indices])

    def _look(self, run: RunKey, q_iteration: int | None, progress: Progress) -> Look:
        if q_iteration is None:
            return self._runs.p(run, progress)
        return self._runs.q(run, q_iteration, progress)

    def _both(
        self, run: RunKey, look: Look, asked: Asked, real_points: int, progress: Progress
    ) -> tuple[_RealFeatures, FeatureSet, list[str]]:
        """Features of at most `real_points` real images and of the samples; notices on what lacks.

        Either may have no rows.

        Raises:
            InputError: both would.
        """
        notices = [asked.notice]
        real = synthetic = None
        chosen = labels = torch.empty(0, dtype=torch.int64)
        try:
            images = self._runs.real(run, progress)
            chosen = images.data.spread(real_points)
            labels = images.data.labels[chosen]
            real = self._features.of_real(look, images, chosen, progress)
        except InputError as error:
            notices.append(str(error))
        if len(asked.keys):
            synthetic = self._features.of_samples(look, asked.pixels, progress)
        else:
            notices.append(_no_samples(run))
        found = real or synthetic
        if found is None:
            raise InputError(" ".join(_told(notices)))
        nothing = FeatureSet(found.rows[:0], "")
        of_real = _RealFeatures(real or nothing, chosen.numpy(), labels.numpy())
        return of_real, synthetic or nothing, notices


class _RealFeatures(NamedTuple):
    """Features of N real images, their classes `(N,)` and indices `(N,)`."""

    features: FeatureSet
    indices: NDArray[np.int64]
    labels: NDArray[np.int64]


def _no_samples(run: RunKey) -> str:
    return (
        f"Run {run[1]} has no stored images in the chosen iterations; choose others, or wait until "
        "it stores some."
    )


def _pixels(real: RealImages, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
    pixels: NDArray[np.uint8] = real.data.images.pixels[torch.from_numpy(indices)].numpy()
    return pixels


def _told(notices: list[str]) -> tuple[str, ...]:
    """The `notices` that say something, each once."""
    return tuple(dict.fromkeys(notice for notice in notices if notice))
