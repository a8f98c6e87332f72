from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from played_runs import begin, small, store_checkpoint, trainer_of
from stored_sheets import sheet

from adadfq_core.embedding import ProjectionSettings, fit_projection
from adadfq_core.embedding.features import real_features
from adadfq_core.errors import InputError
from adadfq_core.inspection import map_features
from adadfq_core.inspection.answers import Answers
from adadfq_core.inspection.clipping import activation_clipping
from adadfq_core.inspection.fidelity import fidelity
from adadfq_core.inspection.layers import activation_ranges, batchnorm_mismatch
from adadfq_core.inspection.networks import load_networks
from adadfq_core.inspection.progress import Overtaken, Progress
from adadfq_core.inspection.requests import (
    CloseUpRequest,
    FidelityRequest,
    LayersRequest,
    MapRequest,
    RealImagesRequest,
    SampleRange,
    WalkRequest,
)
from adadfq_core.inspection.service import InspectionService
from adadfq_core.inspection.states import Answered, Waiting, Working
from adadfq_core.inspection.walk import latent_points, latent_walk
from adadfq_core.runs.records import RecordKind
from adadfq_core.runs.writer import RunWriter
from adadfq_core.zoo.evaluation_data import EvaluationData, NormalisedPixels, load_evaluation_data
from adadfq_core.zoo.loading import load_float_network

SHEETS = (2, 4, 6)
PCA = ProjectionSettings(method="pca")
ALL = SampleRange(0, 100)


def quiet() -> Progress:
    return Progress(lambda _working: True)


def pixels_of(iteration: int) -> np.ndarray:
    random = np.random.default_rng(iteration)
    return random.integers(0, 256, (6, 1, 28, 28), np.uint8)


def store_sheets(writer: RunWriter) -> None:
    writer.append(RecordKind.NETWORK, 0, {"classes": [f"class {index}" for index in range(10)]})
    for iteration in SHEETS:
        arrays = sheet(iteration, 6, 10, pixels=pixels_of(iteration))
        writer.append(RecordKind.IMAGES, iteration, {}, arrays)
    writer.flush()


def new_run(root: Path, *, sheets: bool = True, checkpoint: bool = True, **changes: Any) -> str:
    """A run that is going, of 40 real images unless `changes` say otherwise."""
    settings = small(**changes)
    with begin(root, settings) as writer:
        if sheets:
            store_sheets(writer)
        if checkpoint:
            trainer = trainer_of(settings)
            for _ in range(2):
                trainer.play()
            store_checkpoint(writer, trainer)
        return writer.run_id


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    root = tmp_path_factory.mktemp("going") / "runs"
    return root, new_run(root)


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Answers:
    return Answers(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def data() -> EvaluationData:
    loaded = load_float_network(small())
    assert loaded.data is not None
    return load_evaluation_data(loaded.data, loaded.images, 40)


def shown(iterations: tuple[int, ...] = SHEETS) -> NormalisedPixels:
    pixels = np.concatenate([pixels_of(iteration) for iteration in iterations])
    return NormalisedPixels(torch.from_numpy(pixels), load_float_network(small()).images)


@pytest.mark.parametrize("q_iteration", [None, 5])
@pytest.mark.parametrize("n_components", [2, 3])
def test_a_map_of_the_features_of_p_or_q(
    run: tuple[Path, str],
    answers: Answers,
    data: EvaluationData,
    q_iteration: int | None,
    n_components: int,
) -> None:
    settings = ProjectionSettings(method="pca", n_components=n_components)
    request = MapRequest(*run, ALL, q_iteration, settings)
    reply = answers.answer(request, quiet())
    networks = load_networks(*run, 5)
    graph = networks.p if q_iteration is None else networks.q.graph_module
    expected = fit_projection(real_features(graph, data.images, torch.arange(40)), settings)
    synthetic = real_features(graph, shown(), torch.arange(18))
    close = {"rtol": 1e-3, "atol": 1e-3 * float(np.abs(expected.positions).max())}
    np.testing.assert_allclose(reply.real_positions, expected.positions, **close)
    np.testing.assert_allclose(reply.positions, expected.transform(synthetic), **close)
    assert reply.keys.tolist() == [[i, place] for i in SHEETS for place in range(6)]
    assert reply.real_indices.tolist() == list(range(40))
    assert reply.real_labels.tolist() == data.labels.tolist()
    assert reply.method == "pca" and reply.notices == ()
    assert reply.checkpoint == (None if q_iteration is None else 2)


def test_samples_by_their_keys_keep_their_order(run: tuple[Path, str], answers: Answers) -> None:
    whole = answers.answer(MapRequest(*run, ALL, None, PCA), quiet())
    keys = ((6, 3), (2, 0), (6, 1))
    some = answers.answer(MapRequest(*run, keys, None, PCA), quiet())
    assert some.keys.tolist() == [list(key) for key in keys]
    np.testing.assert_allclose(some.positions, whole.positions[[15, 0, 13]], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("wanted", "rows"),
    [
        (SampleRange(3, 6, 100), range(6, 18)),
        (SampleRange(0, 9, 3), [0, 8, 17]),
        (SampleRange(4, 4, 1), [6]),
        (SampleRange(4, 4, 6), range(6, 12)),
    ],
)
def test_a_range_of_samples_is_evenly_spread(
    run: tuple[Path, str], answers: Answers, wanted: SampleRange, rows: Any
) -> None:
    keys = [[iteration, place] for iteration in SHEETS for place in range(6)]
    reply = answers.answer(MapRequest(*run, wanted, None, PCA), quiet())
    assert reply.keys.tolist() == [keys[row] for row in rows]


def test_a_map_by_umap_whose_neighbours_are_too_many(
    run: tuple[Path, str], answers: Answers
) -> None:
    stages: list[str] = []

    def report(working: Working) -> bool:
        stages.append(working.stage)
        return True

    settings = ProjectionSettings(n_neighbors=60)
    reply = answers.answer(MapRequest(*run, ALL, None, settings, 30), Progress(report))
    assert reply.method == "umap" and reply.positions.shape == (18, 2)
    assert np.isfinite(reply.positions).all() and len(reply.real_positions) == 30
    assert reply.real_indices.tolist() == [row * 40 // 30 for row in range(30)]
    assert "n_neighbors is lowered from 60 to 29" in " ".join(reply.notices)
    told = [stage for stage in dict.fromkeys(stages) if not stage.startswith("loading")]
    assert told[-4:] == [
        "fitting the map",
        "looking for neighbours",
        "laying out the map",
        "placing the samples",
    ]


def test_few_real_images_are_shown_by_pca(run: tuple[Path, str], answers: Answers) -> None:
    request = MapRequest(*run, ALL, None, ProjectionSettings(), 5)
    reply = answers.answer(request, quiet())
    assert reply.method == "pca" and len(reply.real_positions) == 5
    assert "too few for UMAP" in " ".join(reply.notices)


def test_without_real_images_samples_alone_are_shown(tmp_path: Path, answers: Answers) -> None:
    run = (tmp_path, new_run(tmp_path, data="none"))
    reply = answers.answer(MapRequest(*run, ALL, None, PCA), quiet())
    assert reply.positions.shape == (18, 2) and np.ptp(reply.positions) > 0
    assert reply.real_positions.shape == (0, 2) and len(reply.real_labels) == 0
    assert "has no real images to compare with" in reply.notices[0]
    assert "fitted on the samples alone" in reply.notices[1]
    close_up = answers.answer(CloseUpRequest(*run, 4, 1), quiet())
    assert close_up.nearest is None and close_up.pixels is None
    assert close_up.clipping and "no real images" in close_up.notices[0]
    numbers = answers.answer(FidelityRequest(*run, ALL), quiet())
    assert (numbers.fidelity.real, numbers.fidelity.synthetic) == (0, 18)
    layers = answers.answer(LayersRequest(*run, ALL, 5), quiet())
    assert layers.real is None and layers.synthetic and layers.sites
    assert all(site.real is None for site in layers.sites)


def test_without_samples_real_images_alone_are_shown(tmp_path: Path, answers: Answers) -> None:
    run = (tmp_path, new_run(tmp_path, sheets=False))
    for samples in (ALL, ()):
        reply = answers.answer(MapRequest(*run, samples, None, PCA), quiet())
        assert reply.positions.shape == (0, 2) and reply.keys.shape == (0, 2)
        assert len(reply.real_positions) == 40
        assert "has no stored images" in " ".join(reply.notices)
    numbers = answers.answer(FidelityRequest(*run, ALL, 2), quiet())
    assert (numbers.fidelity.real, numbers.fidelity.synthetic) == (40, 0)
    layers = answers.answer(LayersRequest(*run, ALL, 5), quiet())
    assert layers.synthetic is None and layers.real and layers.sites is None
    with pytest.raises(InputError, match="No images of iteration 2 are stored"):
        answers.answer(CloseUpRequest(*run, 2, 0), quiet())


def test_with_neither_it_says_what_both_lack(tmp_path: Path, answers: Answers) -> None:
    run = (tmp_path, new_run(tmp_path, sheets=False, data="none"))
    with pytest.raises(InputError, match=r"no real images.*no stored images"):
        answers.answer(MapRequest(*run, ALL, None, PCA), quiet())


def test_before_the_first_checkpoint_p_alone_is_looked_at(tmp_path: Path, answers: Answers) -> None:
    run = (tmp_path, new_run(tmp_path, checkpoint=False))
    assert len(answers.answer(MapRequest(*run, ALL, None, PCA), quiet()).positions) == 18
    close_up = answers.answer(CloseUpRequest(*run, 4, 1), quiet())
    assert close_up.nearest is not None and close_up.clipping is None
    assert "has no checkpoint yet" in close_up.notices[0] and close_up.checkpoint is None
    layers = answers.answer(LayersRequest(*run, ALL, 4), quiet())
    assert layers.synthetic and layers.real and layers.sites is None
    assert "has no checkpoint yet" in layers.notices[0]
    for request in (
        MapRequest(*run, ALL, 4, PCA),
        FidelityRequest(*run, ALL, 4),
        WalkRequest(*run, 4, 0, 1, 2, 3, 4),
    ):
        with pytest.raises(InputError, match="has no checkpoint yet"):
            answers.answer(request, quiet())


def test_code_of_a_users_own_is_never_imported(tmp_path: Path, answers: Answers) -> None:
    code = tmp_path / "own_code.py"
    code.write_text(f"open({str(tmp_path / 'imported')!r}, 'w')")
    settings = small(network=f"{code}:build", code_folder=str(tmp_path), image_shape=(1, 28, 28))
    with begin(tmp_path / "runs", settings) as writer:
        store_sheets(writer)
    run = (tmp_path / "runs", writer.run_id)
    for request in (
        MapRequest(*run, ALL),
        CloseUpRequest(*run, 2, 0),
        FidelityRequest(*run, ALL),
        LayersRequest(*run, ALL, 2),
        WalkRequest(*run, 2, 0, 1, 0, 1, 4),
        RealImagesRequest(*run, (0,)),
    ):
        with pytest.raises(InputError, match=r"own_code\.py:build of run .* shell may"):
            answers.answer(request, quiet())
    assert not (tmp_path / "imported").exists()


@pytest.mark.parametrize("weight", [0.0, float("nan")])
def test_constant_features_and_features_that_are_not_finite(
    tmp_path: Path, answers: Answers, weight: float
) -> None:
    settings = small(q_average=0)
    trainer = trainer_of(settings)
    trainer.play()
    with torch.no_grad():
        for parameter in trainer.players.q.parameters():
            parameter.fill_(weight)
    with begin(tmp_path, settings) as writer:
        store_sheets(writer)
        store_checkpoint(writer, trainer)
    run = (tmp_path, writer.run_id)
    request = MapRequest(*run, ALL, 1)
    if weight == 0:
        reply = answers.answer(request, quiet())
        assert reply.method == "pca" and (reply.positions == 0).all()
        assert len(reply.positions) == 18 and "Only 1 distinct point" in " ".join(reply.notices)
        numbers = answers.answer(FidelityRequest(*run, ALL, 1), quiet())
        assert numbers.fidelity.neighbourhoods.density is None
    else:
        with pytest.raises(InputError, match="None of the 40 real feature rows is finite"):
            answers.answer(request, quiet())
        numbers = answers.answer(FidelityRequest(*run, ALL, 1), quiet())
        assert "40 of 40 real samples have NaN" in numbers.fidelity.notes[0]
    assert len(answers.answer(replace(request, q_iteration=None, projection=PCA), quiet()).keys)


def test_a_close_up(run: tuple[Path, str], answers: Answers, data: EvaluationData) -> None:
    reply = answers.answer(CloseUpRequest(*run, 4, 2, nearest=5), quiet())
    networks = load_networks(*run, 4)
    real = real_features(networks.p, data.images, torch.arange(40))
    own = real_features(networks.p, shown((4,)), torch.arange(6))[2]
    distances = (real - own).norm(dim=1)
    nearest = distances.argsort()[:5]
    np.testing.assert_allclose(reply.features, own, rtol=1e-3, atol=1e-4)
    assert reply.nearest is not None and reply.pixels is not None and reply.clipping is not None
    np.testing.assert_allclose(reply.nearest.distances[0], distances[nearest], rtol=1e-3)
    assert reply.nearest.indices[0].tolist() == nearest.tolist()
    assert reply.nearest.labels[0].tolist() == data.labels[nearest].tolist()
    assert np.array_equal(reply.pixels, data.images.pixels[nearest].numpy())
    expected = activation_clipping(networks.q, shown((4,))[2:3])
    assert [site.name for site in reply.clipping] == [site.name for site in expected]
    assert [site.above[0] for site in reply.clipping] == [site.above[0] for site in expected]
    assert reply.checkpoint == 2 and reply.notices == ()


@pytest.mark.parametrize("q_iteration", [None, 2])
def test_fidelity_of_a_range(
    run: tuple[Path, str], answers: Answers, data: EvaluationData, q_iteration: int | None
) -> None:
    wanted = SampleRange(3, 9)
    reply = answers.answer(FidelityRequest(*run, wanted, q_iteration), quiet())
    networks = load_networks(*run, 4)
    graph = networks.p if q_iteration is None else networks.q.graph_module
    labels = np.concatenate([sheet(iteration, 6, 10)["labels"] for iteration in (4, 6)])
    expected = fidelity(
        real_features(graph, data.images, torch.arange(40)).numpy(),
        data.labels.numpy(),
        real_features(graph, shown((4, 6)), torch.arange(12)).numpy(),
        labels,
    )
    assert reply.fidelity.frechet == pytest.approx(expected.frechet, rel=1e-2)
    assert [row.synthetic for row in reply.fidelity.classes] == [
        row.synthetic for row in expected.classes
    ]
    assert reply.fidelity.notes == expected.notes


def test_real_images_that_are_refused_leave_the_samples(tmp_path: Path, answers: Answers) -> None:
    folder = tmp_path / "pictures"
    (folder / "Coat").mkdir(parents=True)
    for index in range(3):
        Image.new("L", (28, 28), index).save(folder / "Coat" / f"{index}.png")
    run = (tmp_path / "runs", new_run(tmp_path / "runs", data=str(folder), checkpoint=False))
    reply = answers.answer(MapRequest(*run, ALL, None, PCA), quiet())
    assert "All 3 pictures" in reply.notices[0] and "at least 2 classes" in reply.notices[0]
    assert np.isfinite(reply.positions).all() and len(reply.positions) == 18


def test_samples_of_one_class(tmp_path: Path, answers: Answers) -> None:
    run = (tmp_path, new_run(tmp_path, sheets=False, checkpoint=False))
    with RunWriter(*run) as writer:
        writer.append(RecordKind.NETWORK, 0, {"classes": list("0123456789")})
        labels = np.full(6, 7)
        writer.append(RecordKind.IMAGES, 2, {}, sheet(2, 6, 10, pixels=pixels_of(2), labels=labels))
        writer.flush()
        assert len(answers.answer(MapRequest(*run, ALL, None, PCA), quiet()).positions) == 6
        found = answers.answer(FidelityRequest(*run, ALL), quiet()).fidelity
    by_label = {row.label: row for row in found.classes}
    assert by_label[7].synthetic == 6 and by_label[7].shift is not None
    others = [row for label, row in by_label.items() if label != 7]
    assert {row.reason for row in others} == {"there is no synthetic sample"}


def test_layers(run: tuple[Path, str], answers: Answers, data: EvaluationData) -> None:
    reply = answers.answer(LayersRequest(*run, SampleRange(4, 6), 9), quiet())
    networks = load_networks(*run, 9)
    for found, images in ((reply.synthetic, shown((4, 6))), (reply.real, data.images)):
        assert found is not None
        expected = batchnorm_mismatch(networks.p, images)
        assert [layer.name for layer in found] == [layer.name for layer in expected]
        np.testing.assert_allclose(
            [layer.total for layer in found], [layer.total for layer in expected], rtol=1e-2
        )
    assert reply.sites is not None and reply.checkpoint == 2
    sites = activation_ranges(networks.q, shown((4, 6)), data.images)
    assert list(reply.sites) == sites


def test_a_walk(run: tuple[Path, str], answers: Answers) -> None:
    reply = answers.answer(WalkRequest(*run, 3, 7, 8, 0, 9, 5), quiet())
    networks = load_networks(*run, 3)
    assert networks.generator is not None
    ends = (latent_points(seed, 1, 5)[0] for seed in (7, 8))
    expected = latent_walk(networks.generator, networks.images, *ends, 0, 9, 5)
    assert np.array_equal(reply.pixels, expected) and reply.checkpoint == 2


def test_a_run_on_real_images_has_nothing_to_walk_through(tmp_path: Path, answers: Answers) -> None:
    run = (tmp_path, new_run(tmp_path, method="real", sheets=False))
    with pytest.raises(InputError, match="no generator to walk through, as its method is 'real'"):
        answers.answer(WalkRequest(*run, 1, 0, 1, 0, 1, 3), quiet())


def test_real_images_by_their_indices(
    run: tuple[Path, str], answers: Answers, data: EvaluationData
) -> None:
    reply = answers.answer(RealImagesRequest(*run, (39, 0, 39)), quiet())
    assert np.array_equal(reply.pixels, data.images.pixels[[39, 0, 39]].numpy())
    assert reply.labels.tolist() == data.labels[[39, 0, 39]].tolist()
    for index in (-1, 40):
        with pytest.raises(InputError, match=f"no real image {index}; their indices are 0 to 39"):
            answers.answer(RealImagesRequest(*run, (0, index)), quiet())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SampleRange(0, 1, 0), "0 samples are not allowed"),
        (lambda: SampleRange(0, 1, 5001), "5001 samples are not allowed"),
        (lambda: MapRequest(Path(), "r", ((1, 0),) * 5001), "5001 samples are too many"),
        (lambda: MapRequest(Path(), "r", (), real_points=0), "0 real images are not allowed"),
        (lambda: FidelityRequest(Path(), "r", ALL, real_points=5001), "5001 real images are not"),
    ],
)
def test_requests_out_of_bounds(make: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()


def test_an_unknown_run_is_named(tmp_path: Path, answers: Answers) -> None:
    with pytest.raises(InputError, match="There is no run 'nope'"):
        answers.answer(MapRequest(tmp_path, "nope", ALL), quiet())


def test_new_sheets_are_seen(tmp_path: Path, answers: Answers) -> None:
    run = (tmp_path, new_run(tmp_path, checkpoint=False))
    answers.answer(MapRequest(*run, ALL, None, PCA), quiet())
    with RunWriter(*run) as writer:
        arrays = sheet(8, 6, 10, pixels=pixels_of(8))
        writer.append(RecordKind.IMAGES, 8, {}, arrays)
        writer.flush()
        reply = answers.answer(MapRequest(*run, ((8, 5),), None, PCA), quiet())
    assert reply.keys.tolist() == [[8, 5]]


def test_features_of_real_images_are_made_once_for_all_processes(
    run: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []
    make = map_features.real_features

    def counted(graph: Any, images: Any, chosen: torch.Tensor, *rest: Any) -> torch.Tensor:
        made.append(len(chosen))
        return make(graph, images, chosen, *rest)

    monkeypatch.setattr(map_features, "real_features", counted)
    request = MapRequest(*run, ALL, 5, PCA)
    first = Answers(tmp_path)
    replies = [first.answer(request, quiet()) for _ in range(2)]
    assert sorted(made) == [18, 40]
    made.clear()
    replies.append(Answers(tmp_path).answer(request, quiet()))
    assert made == [18]
    for reply in replies[1:]:
        assert np.array_equal(reply.real_positions, replies[0].real_positions)
    made.clear()
    first.answer(replace(request, q_iteration=None), quiet())
    assert sorted(made) == [18, 40], "those of another network"
    made.clear()
    first.answer(replace(request, real_points=39), quiet())
    assert made == [39], "those of other images"


def test_features_used_longest_ago_are_deleted(tmp_path: Path) -> None:
    for age, name in enumerate("cab"):
        path = tmp_path / f"{name}.features"
        path.write_bytes(bytes(100))
        os.utime(path, (1000 + age, 1000 + age))
    map_features.prune(tmp_path, 250)
    assert sorted(path.stem for path in tmp_path.iterdir()) == ["a", "b"]
    map_features.prune(tmp_path / "missing", 0)


def test_work_that_nobody_waits_for_ends(run: tuple[Path, str], tmp_path: Path) -> None:
    told: list[Working] = []

    def report(working: Working) -> bool:
        told.append(working)
        return len(told) < 2

    with pytest.raises(Overtaken):
        Answers(tmp_path).answer(MapRequest(*run, ALL, None, PCA), Progress(report))
    assert len(told) == 2


def test_the_run_is_not_disturbed(run: tuple[Path, str], tmp_path: Path) -> None:
    folder = run[0] / run[1]
    files = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    answers = Answers(tmp_path)
    answers.answer(MapRequest(*run, ALL, 5, PCA), quiet())
    answers.answer(CloseUpRequest(*run, 4, 2), quiet())
    answers.answer(WalkRequest(*run, 4, 0, 1, 0, 1, 3), quiet())
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == files


@pytest.fixture
def service(tmp_path: Path) -> Iterator[InspectionService]:
    with contextlib.closing(InspectionService(tmp_path / "cache")) as made:
        yield made


def test_the_process_answers_as_this_one(
    run: tuple[Path, str], answers: Answers, service: InspectionService
) -> None:
    requests = (
        MapRequest(*run, ALL, 5, PCA),
        CloseUpRequest(*run, 4, 2),
        FidelityRequest(*run, ALL),
        LayersRequest(*run, ALL, 5),
    )
    for request in requests:
        service.submit(request, type(request).__name__)
    deadline = time.monotonic() + 120
    for request in requests:
        while isinstance(state := service.state(request), Waiting | Working):
            assert time.monotonic() < deadline, state
            time.sleep(0.02)
        assert isinstance(state, Answered), state
    found = service.state(requests[0])
    assert isinstance(found, Answered)
    expected = answers.answer(requests[0], quiet())
    np.testing.assert_allclose(found.reply.positions, expected.positions, rtol=1e-3, atol=1e-3)
