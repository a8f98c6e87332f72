from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from embedding_samples import clusters
from torch import nn

from adadfq_core.embedding import ProjectionSettings
from adadfq_core.embedding.features import PenultimateFeatures, real_features
from adadfq_core.embedding.umap_map import fit_layout
from adadfq_core.errors import InputError
from adadfq_core.quant.capture import capture
from adadfq_core.quant.convert import quantize
from adadfq_core.quant.layers import QuantizedLayer

IMAGES = torch.randn(7, 1, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("quantized", [False, True])
def test_features_are_what_the_head_reads(
    tiny_network: Callable[..., nn.Module], quantized: bool
) -> None:
    if quantized:
        graph = quantize(tiny_network(), 8, 8, IMAGES).graph_module
        *_, head = (module for module in graph.modules() if isinstance(module, QuantizedLayer))
    else:
        graph = capture(tiny_network(), IMAGES)
        *_, head = (module for module in graph.modules() if isinstance(module, nn.Linear))
    features = real_features(graph, IMAGES, torch.arange(7))
    assert features.shape == (7, 96)
    with torch.no_grad():
        torch.testing.assert_close(head(features), graph(IMAGES))
    assert not any(module._forward_pre_hooks for module in graph.modules())


@pytest.mark.parametrize("batch", [2, 3, 7])
def test_batches_do_not_matter_and_are_told(
    tiny_network: Callable[..., nn.Module], batch: int
) -> None:
    graph = capture(tiny_network(), IMAGES)
    told: list[int] = []
    chosen = torch.tensor([6, 0, 1, 2, 3, 4, 5])
    features = real_features(graph, IMAGES, chosen, batch, told.append)
    torch.testing.assert_close(features, real_features(graph, IMAGES, torch.arange(7))[chosen])
    assert told == [min(7, end) for end in range(batch, 7 + batch, batch)]


def test_a_network_without_layers_has_no_features() -> None:
    graph = capture(nn.Sequential(nn.Flatten(), nn.ReLU()), IMAGES)
    with pytest.raises(InputError, match="no convolution or linear layer"):
        PenultimateFeatures(graph)


def test_a_fit_tells_its_stages_and_stays_the_same_to_the_last_bit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from umap import layouts

    rows = clusters(300).astype(np.float64)
    told: list[tuple[str, float | None]] = []
    layout = fit_layout(rows, ProjectionSettings(), lambda *stage: told.append(stage))
    stages = list(dict.fromkeys(stage for stage, _ in told))
    assert stages == ["looking for neighbours", "laying out the map"]
    shares = [share for _, share in told if share is not None]
    assert shares == sorted(shares) and shares[0] >= 0 and shares[-1] == 1
    kernel = layouts.optimize_layout_euclidean

    def without_progress(*args: object, tqdm_kwds: object, **kwargs: object) -> object:
        return kernel(*args, **kwargs)

    monkeypatch.setattr(layouts, "optimize_layout_euclidean", without_progress)
    assert np.array_equal(layout, fit_layout(rows, ProjectionSettings()))
