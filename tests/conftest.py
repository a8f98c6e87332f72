"""Builders of tiny networks, settings and trainers that several test folders share."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from adadfq_core.runs import queue_watch
from adadfq_core.server_options import DATA_ROOTS
from adadfq_core.settings import RunSettings, make_settings
from adadfq_core.training.trainer import Trainer

TINY_IMAGE = (1, 8, 8)
TINY_CLASSES = 3


# Two test processes of as many threads as there are cores wait for each other most of the time.
if "PYTEST_XDIST_WORKER" in os.environ:
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def main_module() -> Iterator[None]:
    """Streamlit's AppTest leaves its page as `__main__`, which later tests' processes would run."""
    before = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = before


@pytest.fixture(autouse=True)
def data_roots() -> Iterator[None]:
    """A page that is drawn for others limits what its process reads, and with it later tests."""
    before = os.environ.get(DATA_ROOTS)
    yield
    if before is None:
        os.environ.pop(DATA_ROOTS, None)
    else:
        os.environ[DATA_ROOTS] = before


@pytest.fixture(autouse=True)
def no_look_at_the_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    """What watches a test's queue would start its runs in the middle of a later test."""
    monkeypatch.setattr(queue_watch, "LOOK_EVERY_S", 3600.0)


@pytest.fixture(scope="session")
def shared_folder() -> Path:
    """The folder with the reference numbers: `ADADFQ_SHARED`, or `shared` beside the repository."""
    default = Path(__file__).resolve().parents[2] / "shared"
    folder = Path(os.environ.get("ADADFQ_SHARED", default))
    if not folder.is_dir():
        pytest.skip(f"no shared folder at {folder}; set ADADFQ_SHARED to test against its numbers")
    return folder


@pytest.fixture(scope="session")
def reference(shared_folder: Path) -> dict[str, Any]:
    """The reference numbers of the losses and of fake quantization."""
    path = shared_folder / "golden" / "adadfq_reference.json"
    if not path.is_file():
        pytest.skip(f"no reference numbers at {path}")
    loaded: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return loaded


@pytest.fixture
def random_norms() -> Callable[[nn.Module], nn.Module]:
    """Give every BatchNorm of a network statistics and weights that are not the defaults."""

    def fill(network: nn.Module) -> nn.Module:
        for module in network.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                assert module.running_mean is not None and module.running_var is not None
                module.running_mean.normal_(0, 0.3)
                module.running_var.uniform_(0.3, 2)
                if module.affine:
                    with torch.no_grad():
                        module.weight.normal_(0, 1)
                        module.weight[0] = -0.7
                        module.bias.normal_(0, 0.3)
        return network

    return fill


@pytest.fixture
def tiny_network(random_norms: Callable[[nn.Module], nn.Module]) -> Callable[..., nn.Module]:
    """Build a small convolutional network for `TINY_IMAGE` in evaluation mode."""

    def build(num_classes: int = TINY_CLASSES, seed: int = 0) -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = nn.Sequential(
                nn.Conv2d(1, 4, 3, padding=1, bias=False),
                nn.BatchNorm2d(4),
                nn.ReLU(inplace=True),
                nn.Conv2d(4, 6, 3, stride=2, padding=1),
                nn.BatchNorm2d(6),
                nn.ReLU(),
                nn.Flatten(),
                nn.Linear(6 * 16, num_classes),
            )
            return random_norms(network).eval()

    return build


@pytest.fixture
def tiny_settings() -> Callable[..., RunSettings]:
    """Build settings of a run of 3 epochs of 4 iterations, one epoch of which is warm-up."""

    def build(**changes: Any) -> RunSettings:
        values: dict[str, Any] = {
            "epochs": 3,
            "iterations_per_epoch": 4,
            "warmup_epochs": 1,
            "batch": 4,
            "latent_dim": 5,
            "generator_width": 4,
            "lr_q": 1e-2,
        }
        return make_settings({**values, **changes})

    return build


@pytest.fixture
def tiny_trainer(
    tiny_network: Callable[..., nn.Module], tiny_settings: Callable[..., RunSettings]
) -> Callable[..., Trainer]:
    """Build a trainer of `tiny_network` with `tiny_settings`."""

    def build(**changes: Any) -> Trainer:
        return Trainer(
            tiny_settings(**changes),
            tiny_network(),
            TINY_IMAGE,
            TINY_CLASSES,
            torch.device("cpu"),
        )

    return build


@pytest.fixture
def weights_of() -> Callable[[nn.Module], dict[str, Tensor]]:
    """Copy everything that a module's `state_dict` holds."""

    def copy(module: nn.Module) -> dict[str, Tensor]:
        return {name: value.detach().clone() for name, value in module.state_dict().items()}

    return copy
