"""Networks as torchvision writes them: quantized, played with, saved and reloaded."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from adadfq_core.settings import make_settings
from adadfq_core.training import checkpoints
from adadfq_core.training.trainer import Trainer

IMAGE = (3, 64, 64)
CLASSES = 7
NETWORKS = [
    "resnet18",
    "mobilenet_v3_small",
    "shufflenet_v2_x1_0",
    "efficientnet_b0",
    # Half a minute for its 133 million parameters.
    pytest.param("vgg11_bn", marks=pytest.mark.slow),
    pytest.param("densenet121", marks=pytest.mark.slow),
    "regnet_y_400mf",
]


def build(name: str) -> nn.Module:
    from torchvision import models

    torch.manual_seed(0)
    network: nn.Module = models.get_model(name, weights=None, num_classes=CLASSES)
    return network


def make_trainer(name: str) -> Trainer:
    settings = make_settings(
        {
            "epochs": 2,
            "iterations_per_epoch": 1,
            "warmup_epochs": 1,
            "batch": 2,
            "generator_width": 4,
            "latent_dim": 8,
        }
    )
    return Trainer(settings, build(name), IMAGE, CLASSES, torch.device("cpu"))


@pytest.mark.parametrize("name", NETWORKS)
def test_quantize_play_save_and_reload(name: str, tmp_path: Path) -> None:
    trainer = make_trainer(name)
    coverage = trainer.players.q.coverage
    layers = sum(isinstance(m, nn.Conv2d | nn.Linear) for m in build(name).modules())
    assert len(coverage.layers) == coverage.weighted_layers == layers
    assert trainer.notices == []
    for _ in range(2):
        assert torch.isfinite(trainer.play().scalars).all()
    path = tmp_path / "checkpoint.pt"
    digest = checkpoints.save(trainer.state_dict(), path)

    restored = make_trainer(name)
    images = torch.randn(3, *IMAGE)
    with torch.no_grad():
        expected = trainer.players.q(images)
        assert not torch.equal(restored.players.q(images), expected)
        restored.load_state_dict(checkpoints.load(path, digest))
        assert torch.equal(restored.players.q(images), expected)
