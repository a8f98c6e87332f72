"""Terms of a loss, one for each layer that takes part."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def mean_of_terms(terms: list[Tensor], network: nn.Module) -> Tensor:
    """Mean of scalars, or 0 beside `network`'s parameters where none of its layers has one."""
    if terms:
        return torch.stack(terms).mean()
    device = next((p.device for p in network.parameters()), torch.device("cpu"))
    return torch.zeros((), device=device)
