"""Train a bundled network and write its weights, model card and checksums into `assets/`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import torch
from safetensors.torch import save_file

from adadfq_core.files import replace_atomically
from adadfq_core.training.pretraining import EpochReport, Recipe, pretrain
from adadfq_core.zoo.assets import ASSETS, record_checksums
from adadfq_core.zoo.fashion_mnist import find_training_images
from adadfq_core.zoo.networks import SmallResNet
from adadfq_core.zoo.registry import EvaluationData, ZooEntry, load_evaluation_data


def train_bundled(
    entry: ZooEntry,
    recipe: Recipe,
    work_folder: Path,
    report: Callable[[EpochReport], None],
    assets: Path = ASSETS,
) -> float:
    """Train `entry`'s network and bundle it; resumes from a checkpoint in `work_folder`.

    Returns:
        top-1 in percent on the test images after the last epoch.

    Raises:
        InputError: training or test images are not to be had.
    """
    network = entry.build()
    assert isinstance(network, SmallResNet)
    pixels, labels = find_training_images(work_folder)
    train = EvaluationData(entry.images.normalise(pixels), labels)
    test = load_evaluation_data(entry)
    work_folder.mkdir(parents=True, exist_ok=True)
    accuracy = pretrain(
        network,
        (train.images, train.labels),
        (test.images, test.labels),
        recipe,
        work_folder / f"{entry.name}.pt",
        report,
    )
    card = str(Path(entry.weights).with_suffix(".md"))
    (assets / entry.weights).parent.mkdir(parents=True, exist_ok=True)
    state = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    with replace_atomically(assets / entry.weights) as temporary:
        save_file(state, temporary)
    with replace_atomically(assets / card) as temporary:
        temporary.write_text(model_card(entry, recipe, network, accuracy), encoding="utf-8")
    record_checksums([entry.weights, card], assets)
    return accuracy


def model_card(entry: ZooEntry, recipe: Recipe, network: SmallResNet, accuracy: float) -> str:
    """The model card as Markdown: what the network is, how it was trained, what it reached."""
    parameters = sum(parameter.numel() for parameter in network.parameters())
    channels, height, width = entry.images.shape
    rows = "".join(f"| {f.name} | {getattr(recipe, f.name)} |\n" for f in fields(recipe))
    return f"""# {entry.name}

The full-precision network P that this project bundles for {entry.dataset}.

| | |
|---|---|
| network | ResNet-20, widths 16-32-64, {parameters:,} parameters |
| input | {channels} x {height} x {width}, mean {entry.images.mean}, std {entry.images.std} |
| classes | {", ".join(entry.images.classes)} |
| top-1 on the 10,000 test images | **{accuracy:.2f} %** (last epoch, no choice by test accuracy) |
| trained with | `python -m adadfq_core zoo train {entry.name}`, torch {torch.__version__} |

## Recipe

Cross-entropy; SGD with Nesterov momentum, linear warm-up and a half cosine to zero; no weight decay
on BatchNorm and biases; random crops and horizontal flips; bfloat16 autocast in training, float32
in evaluation.

| setting | value |
|---|---|
{rows}
The training images serve this network alone: the quantization that the project is about never
sees them.
"""
