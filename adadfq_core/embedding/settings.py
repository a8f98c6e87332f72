"""Settings of the projection of features to the plane or to space."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Method = Literal["umap", "pca"]
Metric = Literal["euclidean", "cosine", "manhattan"]


class ProjectionSettings(BaseModel):
    """How features become positions; the defaults are those of umap-learn."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    method: Method = Field(
        default="umap",
        description="UMAP keeps neighbours together; PCA is linear and keeps distances.",
    )
    n_components: int = Field(default=2, ge=1, le=3, description="Coordinates of each position.")
    n_neighbors: int = Field(
        default=15, ge=2, le=200, description="UMAP: neighbours of a point, itself included."
    )
    min_dist: float = Field(
        default=0.1, ge=0, le=0.99, description="UMAP: how closely similar points may be packed."
    )
    metric: Metric = Field(
        default="euclidean",
        description="UMAP: distance between features. Under cosine, a row of zeros has no "
        "direction and counts as half as far from everything as an orthogonal one.",
    )
    seed: int = Field(
        default=0, ge=0, le=2**31 - 1, description="UMAP: seed of its random numbers."
    )
