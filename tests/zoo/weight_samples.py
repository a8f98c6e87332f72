"""Small trained networks, their files, and checks of refusals that the tests of weights share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from functional_resnet import ResNet
from torch import Tensor

from adadfq_core.errors import InputError

State = dict[str, Tensor]


def small(classes: int = 10, width: int = 2, blocks: int = 1, seed: int = 1) -> ResNet:
    torch.manual_seed(seed)
    return ResNet(blocks, classes, width)


def save(content: object, path: Path, zipped: bool = True) -> Path:
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    return path


def same(found: State, expected: State) -> bool:
    return found.keys() == expected.keys() and all(
        torch.equal(found[name], expected[name]) for name in expected
    )


def message(action: Callable[[], object]) -> str:
    with pytest.raises(InputError) as caught:
        action()
    text = str(caught.value)
    assert text.endswith(".") and "\n" not in text and "\033" not in text and len(text) < 900
    return text
