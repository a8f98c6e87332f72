"""An exported model in Netron, the viewer that most people open an ONNX file with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from adadfq_core.export.description import describe
from adadfq_core.export.frozen import freeze
from adadfq_core.export.onnx_file import save_onnx
from adadfq_core.quant import quantize
from adadfq_core.settings import make_settings
from adadfq_core.zoo.registry import find

pytestmark = pytest.mark.browser


@pytest.mark.slow
def test_netron_draws_the_exported_network(browser: Any, tmp_path: Path) -> None:
    netron = pytest.importorskip("netron", reason="Netron is not installed")
    entry = find("fashion-resnet20")
    x = torch.randn(8, *entry.images.shape, generator=torch.Generator().manual_seed(0))
    quantized = quantize(entry.load(), 4, 4, x[:2])
    with quantized.observing_ranges(), torch.no_grad():
        quantized(x)
    settings = make_settings({"weight_bits": 4, "activation_bits": 4})
    path = tmp_path / "q.onnx"
    save_onnx(freeze(quantized), describe(settings, entry.images, None, "a-run", 1), path)
    host, port = netron.start(str(path), ("localhost", 0), browse=False)
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    try:
        page = context.new_page()
        page.goto(f"http://{host}:{port}")
        page.get_by_role("button", name="Accept").click()
        # Netron forbids eval, so only locators look into its page.
        page.locator("#canvas .node").nth(100).wait_for(state="attached")
        drawn = page.locator("#canvas").text_content()
    finally:
        context.close()
        netron.stop((host, port))
    assert drawn is not None
    # 22 layers' weights, and 19 activations.
    assert drawn.count("DequantizeLinear") >= 22 + 19
    assert drawn.count("uint4[") >= 22 and drawn.count("Conv") >= 21
