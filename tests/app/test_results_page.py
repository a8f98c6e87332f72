"""The Results page over tables with known numbers, without a browser."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest
from streamlit.testing.v1 import AppTest
from table_rows import row

from adadfq_core.inspection.contact_sheet import contact_sheet
from adadfq_core.results.files import to_csv
from app.charts.results import loss_figure
from app.panels import results

MAIN = str(Path(__file__).resolve().parents[2] / "app" / "main.py")
ROWS = [
    row("AdaDFQ", [80.0, 80.2, 80.4]),
    row("GDFQ", [70.0, 70.3, 70.2]),
    row("AdaDFQ", [88.0, 88.5], bits=4),
    row("GDFQ", [], bits=4),
]


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    """The page over tables in `tmp_path`."""
    monkeypatch.setenv("ADADFQ_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(results, "FOLDER", tmp_path)
    return AppTest.from_file(MAIN, default_timeout=60)


def opened(page: AppTest) -> AppTest:
    page.switch_page("views/results.py").run()
    assert not page.exception
    return page


def test_without_a_table_the_page_says_how_to_make_one(page: AppTest) -> None:
    assert "results --table main" in opened(page).info[0].value


def test_a_table_is_shown_with_what_of_the_paper_holds(page: AppTest, tmp_path: Path) -> None:
    (tmp_path / "main.csv").write_text(to_csv(ROWS), encoding="utf-8")
    opened(page)
    frame = page.table[0].value
    assert frame["method"].tolist() == ["AdaDFQ", "GDFQ", "AdaDFQ", "GDFQ"]
    assert frame["seeds"].tolist() == ["3 of 3", "3 of 3", "2 of 3", "0 of 3"]
    np.testing.assert_allclose(frame["loss"].astype(float), [9.8, 19.83, 1.75, np.nan], atol=0.01)
    np.testing.assert_allclose(frame["paper's loss"], [9.0, 18.78, 1.58, 3.78], atol=0.01)
    told = " ".join(each.value for each in page.markdown).replace("\\", "")
    assert "3w3a: AdaDFQ ahead of GDFQ by 9.78 points in the paper (ResNet-20, CIFAR-10)" in told
    assert "over 3 seeds: agrees." in told
    assert "4w4a" not in told, "one of both has no run"


def test_a_second_table_can_be_chosen(page: AppTest, tmp_path: Path) -> None:
    (tmp_path / "main.csv").write_text(to_csv(ROWS), encoding="utf-8")
    ablation = [row("without L_ds", [60.0], table="ablation")]
    (tmp_path / "ablation.csv").write_text(to_csv(ablation), encoding="utf-8")
    opened(page)
    assert len(page.table[0].value) == len(ROWS)
    page.session_state["results_table"] = "ablation"
    page.run()
    assert page.table[0].value["method"].tolist() == [r"without L\_ds"], "no word is Markdown"


def test_a_damaged_table_is_told_in_a_sentence(page: AppTest, tmp_path: Path) -> None:
    (tmp_path / "main.csv").write_text(to_csv(ROWS)[:-30], encoding="utf-8")
    assert "no table of results" in opened(page).error[0].value.replace("\\", "")


def points_of(figure: go.Figure, name: str) -> list[tuple[str, float, float]]:
    """Axis, value and deviation of each point of one name; no deviation is 0."""
    return [
        (trace.yaxis, trace.y[0], (trace.error_y.array or [0])[0])
        for trace in figure.data
        if trace.name == name
    ]


def test_the_figure_has_a_panel_for_each_width_and_the_paper_s_number_beside() -> None:
    figure = loss_figure(ROWS)
    names = list(dict.fromkeys(trace.name for trace in figure.data))
    assert names == ["AdaDFQ", "AdaDFQ, the paper's", "GDFQ", "GDFQ, the paper's"]
    assert [trace.name for trace in figure.data if trace.showlegend] == names
    first, second = points_of(figure, "AdaDFQ")
    assert first == ("y", pytest.approx(9.8), pytest.approx(0.2))
    assert second == ("y2", pytest.approx(1.75), pytest.approx(0.3536, abs=1e-4))
    stated = points_of(figure, "AdaDFQ, the paper's")
    assert stated == [("y", pytest.approx(9.0), 0), ("y2", pytest.approx(1.58), 0)]
    assert len(points_of(figure, "GDFQ")) == 1, "bits without a run have no point"
    assert [each.text for each in figure.layout.annotations[:2]] == ["3 bits", "4 bits"]
    assert len({trace.x[0] for trace in figure.data}) == 2, "a place for each method"


def test_a_number_of_the_paper_beside_two_rows_is_drawn_once() -> None:
    figure = loss_figure([row("AdaDFQ", [80.0]), row("best recipe", [85.0])])
    names = [trace.name for trace in figure.data]
    assert names == ["AdaDFQ", "AdaDFQ, the paper's", "best recipe"]


def test_without_numbers_the_figure_says_so() -> None:
    figure = loss_figure([row("GDFQ", [])])
    assert not figure.data
    assert "no run" in figure.layout.annotations[0].text


def store_figures(folder: Path) -> None:
    """Small files such as `benchmarks/paper_figures.py` writes."""
    folder.mkdir()
    losses = [
        (method, bits, epoch, 1.0, 5.0 - epoch)
        for method in ("AdaDFQ", "GDFQ")
        for bits in (3, 5)
        for epoch in (2, 3, 4)
    ]
    columns = ["method", "bits", "epoch", "training", "test"]
    pd.DataFrame(losses, columns=columns).to_csv(folder / "losses.csv", index=False)
    bands = pd.DataFrame({"epoch": [1, 2], "q10": 0.1, "q25": 0.2, "q50": 0.3, "q75": 0.5})
    bands = bands.assign(q90=0.7, mean=0.35, group="the paper's margin", lambda_l=0.1, lambda_u=0.8)
    bands.to_csv(folder / "h-prime.csv", index=False)
    samples = {"group": ["AdaDFQ", "AdaDFQ", "GDFQ"], "h_prime": [0.3, 0.9, 0.95]}
    pd.DataFrame(samples).to_csv(folder / "histograms.csv", index=False)
    grid = [(0.1, 0.8, 92.0), (0.1, 0.9, 91.0), (0.2, 0.8, 91.5), (0.2, 0.9, 90.0)]
    grid_table = pd.DataFrame(grid, columns=["lambda_l", "lambda_u", "top1_q_last"])
    told = {"cell": range(4), "status": "finished", "run_id": list("abcd"), "seed": 0}
    grid_table.assign(**told).to_csv(folder / "surface.csv", index=False)
    shares = pd.DataFrame({"bits": [3, 4], "share": [0.9, 0.95], "count": 50})
    shares.to_csv(folder / "samples.csv", index=False)
    for bits in (3, 4):
        pixels = np.full((4, 1, 8, 8), 40 * bits, np.uint8)
        (folder / f"samples-{bits}.png").write_bytes(contact_sheet(pixels))


def test_the_paper_s_figures_are_drawn_each_with_a_sentence(page: AppTest, tmp_path: Path) -> None:
    (tmp_path / "main.csv").write_text(to_csv(ROWS), encoding="utf-8")
    store_figures(tmp_path / "figures")
    opened(page)
    assert not page.error
    told = [each.value.replace("\\", "") for each in page.markdown]
    sentences = [text for text in told if text.endswith((": agrees.", ": does not agree."))]
    figures = [text for text in sentences if "ahead of" not in text]
    assert len(figures) == 5
    assert any("0% with AdaDFQ and 0% with GDFQ" in text for text in figures)
    assert any("They give 92.00 %, 0 of the other 3 places" in text for text in figures)


def test_the_ablation_page_draws_the_paper_s_figures_as_well(page: AppTest, tmp_path: Path) -> None:
    page.switch_page("views/ablation.py").run()
    page.button_group(key="ablation_view").set_value("The paper's figures").run()
    assert not page.exception and "paper_figures.py" in page.info[0].value
    store_figures(tmp_path / "figures")
    page.run()
    assert not page.exception and not page.error and not page.info
    told = " ".join(each.value for each in page.markdown).replace("\\", "")
    assert "They give 92.00 %, 0 of the other 3 places" in told


def test_a_damaged_figure_is_told_and_the_others_are_drawn(page: AppTest, tmp_path: Path) -> None:
    (tmp_path / "main.csv").write_text(to_csv(ROWS), encoding="utf-8")
    folder = tmp_path / "figures"
    store_figures(folder)
    (folder / "losses.csv").write_text("a,b\n1", encoding="utf-8")
    (folder / "histograms.csv").write_bytes(b"")
    opened(page)
    assert [error.value.split(" cannot")[0] for error in page.error] == [
        "losses.csv",
        "histograms.csv",
    ]
    assert any("median H" in each.value for each in page.markdown)
