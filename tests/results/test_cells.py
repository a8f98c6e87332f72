"""Which runs a table is made of, and what the paper states beside them."""

from __future__ import annotations

import math

import pytest

from adadfq_core.errors import InputError
from adadfq_core.presets import ABLATION, METHODS, preset_settings
from adadfq_core.results.cells import NETWORKS, SEEDS, plan
from adadfq_core.results.paper import paper_result
from adadfq_core.results.rows import mean_and_deviation


def test_the_main_table_compares_every_method_at_three_widths() -> None:
    cells = plan("main", "quick", {})
    assert len(cells) == len(set(cells)) == 2 * 3 * len(METHODS) * 3
    assert [cell.seed for cell in cells[:4]] == [*SEEDS, 0]
    assert cells[0].row == ("fashion-resnet20", 3, "AdaDFQ")
    last = cells[-1].settings
    assert (last.network, last.weight_bits, last.activation_bits) == (NETWORKS[1], 5, 5)
    assert (last.method, last.seed) == ("real", 2)
    assert cells[0].settings == preset_settings(
        "quick", {"weight_bits": 3, "activation_bits": 3, "embed_every": 0}
    )


def test_the_ablation_is_made_at_three_bits() -> None:
    cells = plan("ablation", "quick", {}, networks=["fashion-resnet20"], seeds=[4])
    assert [cell.method for cell in cells] == list(ABLATION)
    assert {cell.bits for cell in cells} == {3}
    by_method = {cell.method: cell.settings for cell in cells}
    assert by_method["without L_ds"].alpha_ds == 0
    assert by_method["AdaDFQ + adaptive BatchNorm"].adaptive_batchnorm


def test_a_preset_with_better_ranges_plays_the_papers_method_with_the_papers() -> None:
    def ranges(changes: dict[str, str]) -> list[str]:
        chosen = ["AdaDFQ", "AdaDFQ + searched ranges", "AdaDFQ + learned ranges"]
        cells = plan("ablation", "interactive", changes, networks=["n"], methods=chosen, seeds=[0])
        return [cell.settings.ranges for cell in cells]

    assert ranges({}) == ["minmax", "searched", "learned"]
    assert ranges({"ranges": "learned"}) == ["learned", "searched", "learned"]


def test_a_table_can_be_restricted_and_its_settings_changed() -> None:
    cells = plan(
        "main",
        "quick",
        {"lr_q": 0.5, "epochs": "5"},
        networks=["pytorchcv/resnet20_cifar100"],
        data={"pytorchcv/resnet20_cifar100": "there.parquet"},
        bits=[4],
        methods=["calibration only", "AdaDFQ"],
        seeds=[7],
    )
    assert [(cell.method, cell.settings.lr_q) for cell in cells] == [
        ("calibration only", 0.5),
        ("AdaDFQ", 0.5),
    ]
    assert cells[0].settings == cells[1].settings, "one run tells both"
    assert {(c.settings.data, c.settings.epochs, c.seed) for c in cells} == {
        ("there.parquet", 5, 7)
    }


@pytest.mark.parametrize(
    ("table", "changes", "options", "message"),
    [
        ("other", {}, {}, "no table 'other'; choose one of main, ablation, margins"),
        ("main", {}, {"methods": ["AdaDFG"]}, "no method 'AdaDFG'; choose from AdaDFQ, GDFQ"),
        ("main", {"seed": 4}, {}, "seed is what the table varies; restrict it with --seeds"),
        ("main", {"network": "x"}, {}, "restrict it with --network"),
        ("main", {"data": "x"}, {}, "data would hold for 2 networks"),
        ("main", {"weights": "x"}, {}, "weights would hold for 2 networks"),
        ("main", {"lambda_l": 0.9}, {}, "must be below lambda_u"),
        ("main", {}, {"bits": [9]}, "weight_bits = 9 is not allowed"),
    ],
)
def test_what_is_refused(
    table: str, changes: dict[str, object], options: dict[str, list[str]], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        plan(table, "quick", changes, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("table", "network", "method", "bits", "loss", "named"),
    [
        ("main", "cifar10-resnet20", "AdaDFQ", 3, 9.00, "ResNet-20, CIFAR-10"),
        ("main", "cifar10-resnet20", "GDFQ", 5, 0.51, "ResNet-20, CIFAR-10"),
        ("main", "fashion-resnet20", "AdaDFQ", 4, 1.58, "ResNet-20, CIFAR-10"),
        ("main", "pytorchcv/resnet20_cifar100", "AdaDFQ", 3, 17.59, "ResNet-20, CIFAR-100"),
        ("main", "torchvision/resnet50", "AdaDFQ", 4, 9.35, "ResNet-50, ImageNet"),
        ("ablation", "fashion-resnet20", "without L_ds", 3, 55.24, "MobileNetV2, ImageNet"),
        ("ablation", "fashion-resnet20", "AdaDFQ", 3, 44.04, "MobileNetV2, ImageNet"),
    ],
)
def test_the_papers_losses(
    table: str, network: str, method: str, bits: int, loss: float, named: str
) -> None:
    found = paper_result(table, network, method, bits)
    assert found is not None
    assert (found.loss, found.network) == (pytest.approx(loss), named)


def test_where_the_paper_has_no_number() -> None:
    assert paper_result("main", "cifar10-resnet20", "AdaSG", 3) is None
    assert paper_result("main", "cifar10-resnet20", "AdaDFQ", 2) is None
    assert paper_result("main", "mine.py:build", "AdaDFQ", 3) is None
    assert paper_result("ablation", "fashion-resnet20", "without the margin", 3) is None


@pytest.mark.parametrize("network", [n for n in NETWORKS])
@pytest.mark.parametrize("method", METHODS)
def test_the_paper_is_beside_the_methods_that_it_states(network: str, method: str) -> None:
    stated = [paper_result("main", network, method, bits) for bits in (3, 4, 5)]
    has_some = method in ("AdaDFQ", "GDFQ", "best recipe")
    assert all(stated) == has_some and any(stated) == all(stated)


def test_the_papers_method_is_beside_the_best_recipe() -> None:
    found = [paper_result("main", "cifar10-resnet20", m, 4) for m in ("AdaDFQ", "best recipe")]
    assert found[0] == found[1] is not None


def test_mean_and_deviation_by_hand() -> None:
    assert mean_and_deviation([1.0, 2.0, 6.0]) == (3.0, pytest.approx(math.sqrt(7)))


@pytest.mark.parametrize(
    ("values", "mean", "deviation"),
    [
        ([], math.nan, math.nan),
        ([5.0], 5.0, math.nan),
        ([math.nan, 1.0], math.nan, math.nan),
        ([math.inf, 1.0], math.inf, math.nan),
        ([1e308, 1e308], math.inf, math.nan),
    ],
)
@pytest.mark.filterwarnings("error")
def test_numbers_that_have_no_mean(values: list[float], mean: float, deviation: float) -> None:
    found = mean_and_deviation(values)
    assert found[0] == pytest.approx(mean, nan_ok=True)
    assert math.isnan(found[1]) or math.isinf(found[1]) or found[1] == deviation
