"""UMAP of synthetic against real features: fitted once on real ones, in a process of its own."""

from adadfq_core.embedding.events import Dropped, EmbeddingEvent, Failed, Fitted, Transformed
from adadfq_core.embedding.projection import Projection, fit_projection
from adadfq_core.embedding.service import EmbeddingService
from adadfq_core.embedding.settings import ProjectionSettings

__all__ = [
    "Dropped",
    "EmbeddingEvent",
    "EmbeddingService",
    "Failed",
    "Fitted",
    "Projection",
    "ProjectionSettings",
    "Transformed",
    "fit_projection",
]
