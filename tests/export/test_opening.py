"""Files of torchvision's networks in PyTorch's formats, opened again by their network's name."""

from __future__ import annotations

import pytest
import torch
import torchvision

from adadfq_core.errors import InputError
from adadfq_core.export.opening import open_exported
from adadfq_core.export.program_file import save_program
from adadfq_core.export.torch_file import save_torch


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small", "shufflenet_v2_x1_0"])
@pytest.mark.parametrize(
    "bits", [3, *(pytest.param(bits, marks=pytest.mark.slow) for bits in (2, 4, 5, 6, 7, 8))]
)
def test_round_trip_of_torchvisions(calibrated, random_norms, tmp_path, name, bits):
    torch.manual_seed(0)
    network = random_norms(getattr(torchvision.models, name)())
    _, frozen, description, x = calibrated(
        network, bits, (3, 64, 64), name=f"torchvision/{name}", classes=1000
    )
    with torch.no_grad():
        plain = frozen(x)
    files = {packed: tmp_path / f"{packed}.safetensors" for packed in (False, True)}
    for packed, path in files.items():
        save_torch(frozen, description.model_copy(update={"packed": packed}), path)
        opened = open_exported(path)
        torch.testing.assert_close(opened.predict(x), plain, rtol=0, atol=0)
        assert opened.description.packed == packed
    coded = [weight.codes.numel() for _, weight in frozen.weights()]
    saved = files[False].stat().st_size - files[True].stat().st_size
    assert saved == pytest.approx(sum(coded) * (8 - bits) / 8, rel=0.01, abs=2000)


@pytest.mark.slow
@pytest.mark.parametrize("bits", [3, pytest.param(8, marks=pytest.mark.slow)])
def test_a_program_needs_no_architecture(calibrated, random_norms, tmp_path, bits):
    torch.manual_seed(0)
    network = random_norms(torchvision.models.shufflenet_v2_x1_0(num_classes=4))
    _, frozen, description, x = calibrated(network, bits, (3, 32, 32), classes=4)
    path = tmp_path / "q.pt2"
    save_program(frozen, description, path)
    opened = open_exported(path)
    with torch.no_grad():
        torch.testing.assert_close(opened.predict(x), frozen(x), rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(opened.predict(x[:1]), frozen(x[:1]), rtol=1e-4, atol=1e-4)
    assert opened.description == description
    foreign = torch.export.export(torch.nn.Linear(2, 2), (torch.zeros(1, 2),))
    torch.export.save(foreign, path)
    with pytest.raises(InputError, match="was not exported by this program"):
        open_exported(path)
