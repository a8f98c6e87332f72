"""Trained weights, and a folder that guards its files, that the tests of the zoo share."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from functional_resnet import ResNet
from weight_samples import State, small

NOBODY = 65534


@pytest.fixture
def trained() -> ResNet:
    return small()


@pytest.fixture
def state(trained: ResNet) -> State:
    return trained.state_dict()


@pytest.fixture
def guarded_folder() -> Iterator[Path]:
    """An empty folder in which files without read permission cannot be read, not even by root."""
    if not hasattr(os, "geteuid"):
        pytest.skip("POSIX permissions")
    user = os.geteuid()
    # Not in tmp_path, which only its owner may enter; root itself may read anything.
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o777)
        if user == 0:
            os.seteuid(NOBODY)
        try:
            yield Path(name)
        finally:
            if user == 0:
                os.seteuid(user)
