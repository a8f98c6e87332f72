"""The Take away page in a real browser, over a real run and the process that prepares its Q."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from browser_support import App, keep_picture, opened, text_of, wait_for_chart
from stored_runs import stored_run

from adadfq_core import load_quantized, runs
from adadfq_core.export.jobs import preparation
from adadfq_core.export.preparation import folder_of, write_preparation
from adadfq_core.export.torch_file import read_description
from tests.app.preparations import prepared, write_files

pytestmark = pytest.mark.browser

MAIN = "[data-testid=stMain]"
ITERATION = 40
FILES = 5


def saved(page: Any, key: str, folder: Path) -> Path:
    """What the download button within the element `key` saves, under its own name."""
    with page.expect_download() as waiting:
        page.locator(f"{key} button").first.click()
    path = folder / waiting.value.suggested_filename
    waiting.value.save_as(path)
    return path


@pytest.fixture
def prepared_run(app: App) -> Iterator[str]:
    """A run with a preparation written by hand; gone afterwards, as pages show the newest."""
    run_id = stored_run(app.root)
    folder = folder_of(app.root / run_id, 6)
    write_files(folder, prepared(6), run_id)
    write_preparation(folder, prepared(6))
    yield run_id
    runs.delete_runs(app.root, [run_id])


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (1920, "dark")])
def test_what_is_prepared_fits_and_is_saved(
    browser: Any, app: App, prepared_run: str, tmp_path: Path, width: int, scheme: str
) -> None:
    address = f"{app.url}/take_away?run={prepared_run}"
    with opened(browser, address, width=width, scheme=scheme) as page:
        page.get_by_role("button", name="Download the report").wait_for()
        assert len(wait_for_chart(page, "take_latency")["traces"]) == 6
        wait_for_chart(page, "take_size")
        file = saved(page, ".st-key-take_file_runtime-onnx-onnx", tmp_path)
        assert (file.name, file.read_bytes()) == ("runtime-onnx.onnx", b"runtime-onnx.onnx")
        assert page.evaluate("() => document.scrollingElement.scrollWidth - innerWidth") <= 0
        keep_picture(page, f"take-away-{width}")


@pytest.mark.slow
def test_q_is_prepared_and_taken_away(
    browser: Any, app: App, finished: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(browser, app.at(finished)) as page:
        page.get_by_role("link", name="Take Q away").click()
        page.get_by_role("button", name="Prepare").click()
        page.get_by_role("progressbar", name="Steps done").wait_for()
        page.get_by_role("button", name="Download the report").wait_for()
        assert page.url == f"{app.url}/take_away?run={finished}"
        found = preparation(app.root, finished, ITERATION)
        assert found is not None and len(found.files) == FILES
        assert f"ready · Q of iteration {ITERATION}" in text_of(page, MAIN)
        wait_for_chart(page, "take_size")
        wait_for_chart(page, "take_latency")

        buttons = [f".st-key-take_file_{file.name.replace('.', '-')}" for file in found.files]
        files = [saved(page, button, tmp_path) for button in buttons]
        folder = folder_of(app.root / finished, ITERATION)
        assert [path.read_bytes() for path in files] == [
            (folder / file.name).read_bytes() for file in found.files
        ]
        report = saved(page, ".stDownloadButton:has-text('report')", tmp_path)
        text = report.read_text(encoding="utf-8")
        assert report.name == f"{finished}-{ITERATION}.html" and "Files and checks" in text

        # What the page tells to write classifies as its files do.
        codes = page.locator("[data-testid=stCode] code").all_text_contents()
        packed = next(path for path in files if "packed" in path.name)
        images = read_description(packed).images
        pixels = np.random.default_rng(0).integers(0, 256, (4, *images.shape), np.uint8)
        normalised = images.format().normalise(torch.from_numpy(pixels))
        with torch.no_grad():
            expected = load_quantized(packed)(normalised).argmax(1)
        monkeypatch.chdir(tmp_path)
        in_torch = [code for code in codes if "import torch" in code]
        assert len(in_torch) == 2
        for code in in_torch:
            names: dict[str, Any] = {"pixels": torch.from_numpy(pixels)}
            exec(code, names)
            assert torch.equal(names["classes"], expected)
        runtime = next(path for path in files if "runtime" in path.name)
        session = onnxruntime.InferenceSession(os.fspath(runtime))
        (logits,) = session.run(None, {session.get_inputs()[0].name: normalised.numpy()})
        names = {"pixels": pixels}
        exec(next(code for code in codes if "onnxruntime" in code), names)
        np.testing.assert_array_equal(names["classes"], logits.argmax(1))
