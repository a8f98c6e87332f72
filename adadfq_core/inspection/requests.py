"""What the inspection process can be asked. Requests are values: equal ones have one answer.

Each names a run by its store's folder `root` and by `run_id`. `q_iteration` is the moment whose
checkpoint gives Q (see `networks.checkpoint_at`); where it may be `None`, that looks through P,
which needs no checkpoint.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from adadfq_core.embedding.settings import ProjectionSettings
from adadfq_core.errors import InputError

MOST_REAL = 5000
"""Real images that are looked at in one answer, at most."""

MOST_SAMPLES = 5000
"""Samples that are looked at in one answer, at most."""

NEAREST = 8


@dataclass(frozen=True)
class SampleRange:
    """The samples of a run's sheets from iteration `first` to `last`, both included.

    Of more than `most` there are `most`, evenly spread over the range.

    Raises:
        InputError: `most` is not within 1..`MOST_SAMPLES`.
    """

    first: int
    last: int
    most: int = 1000

    def __post_init__(self) -> None:
        if not 1 <= self.most <= MOST_SAMPLES:
            raise InputError(
                f"{self.most} samples are not allowed; choose 1 to {MOST_SAMPLES} of them."
            )


SampleKeys = tuple[tuple[int, int], ...]
"""Samples by (iteration, place in its sheet)."""


def _check_real_points(count: int) -> None:
    if not 1 <= count <= MOST_REAL:
        raise InputError(f"{count} real images are not allowed; choose 1 to {MOST_REAL} of them.")


@dataclass(frozen=True)
class MapRequest:
    """Samples among real images on a map of the features of P or Q.

    Raises:
        InputError: more than `MOST_SAMPLES`, or real points not within 1..`MOST_REAL`.
    """

    root: Path
    run_id: str
    samples: SampleKeys | SampleRange
    q_iteration: int | None = None
    projection: ProjectionSettings = field(default_factory=ProjectionSettings)
    real_points: int = MOST_REAL

    def __post_init__(self) -> None:
        _check_real_points(self.real_points)
        if isinstance(self.samples, tuple) and len(self.samples) > MOST_SAMPLES:
            raise InputError(
                f"{len(self.samples)} samples are too many for a map; choose at most "
                f"{MOST_SAMPLES} of them."
            )


@dataclass(frozen=True)
class CloseUpRequest:
    """One sample's nearest real images by P's features, and what Q's ranges clip of it."""

    root: Path
    run_id: str
    iteration: int
    place: int
    nearest: int = NEAREST


@dataclass(frozen=True)
class FidelityRequest:
    """Numbers on how like the real images the samples are, by the features of P or Q.

    Raises:
        InputError: real points not within 1..`MOST_REAL`.
    """

    root: Path
    run_id: str
    samples: SampleRange
    q_iteration: int | None = None
    real_points: int = MOST_REAL

    def __post_init__(self) -> None:
        _check_real_points(self.real_points)


@dataclass(frozen=True)
class LayersRequest:
    """Layer by layer: P's BatchNorm statistics and Q's activation ranges against samples."""

    root: Path
    run_id: str
    samples: SampleRange
    q_iteration: int


@dataclass(frozen=True)
class WalkRequest:
    """Images that G makes on the way from one noise and class to another.

    `seed_from` and `seed_to` stand for `walk.latent_points`; `q_iteration` is the moment whose
    checkpoint gives G.
    """

    root: Path
    run_id: str
    q_iteration: int
    seed_from: int
    seed_to: int
    class_from: int
    class_to: int
    steps: int


@dataclass(frozen=True)
class RealImagesRequest:
    """Real images by the indices that other answers name."""

    root: Path
    run_id: str
    indices: tuple[int, ...]


Request = (
    MapRequest | CloseUpRequest | FidelityRequest | LayersRequest | WalkRequest | RealImagesRequest
)

TITLES: dict[type[Request], str] = {
    MapRequest: "The map",
    CloseUpRequest: "The close-up",
    FidelityRequest: "The comparison with real images",
    LayersRequest: "The look at the layers",
    WalkRequest: "The walk",
    RealImagesRequest: "Reading real images",
}
"""What is asked for, as the beginning of a sentence on why it failed."""
