"""Which numbers do the Learn page's recorded runs show?

Run `python benchmarks/record_lessons.py` on a machine that does nothing else. It plays the quick
preset, 3w3a, once for each of three margins and each of `--seeds` seeds, one thread a run, and
writes the numbers of each run, and an image sheet of each margin's first seed, to `assets/lessons`,
with the small network of the toy game.
What stands there already with the same settings is not played again, so an interrupted call goes on
where it was.
"""

from __future__ import annotations

import argparse
import platform
import shlex
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
import torch.nn.functional as F
from rich.console import Console
from safetensors.torch import save_file

from adadfq_core import runs
from adadfq_core.errors import RunFailed
from adadfq_core.files import replace_atomically
from adadfq_core.inspection.contact_sheet import contact_sheet
from adadfq_core.lessons.recorded import (
    FOLDER,
    MARGINS,
    PRESET,
    read_run,
    recorded_run,
    run_file,
    sheet_file,
    write_run,
)
from adadfq_core.lessons.toy_game import WEIGHTS, plane, unlearned_p
from adadfq_core.presets import PRESETS, preset_settings
from adadfq_core.runs import RecordKind, RunStatus
from adadfq_core.settings import RunSettings

SEEDS = 5
EVALUATE_EVERY = 100
POLL_SECONDS = 0.5
SHEET_COLUMNS = 8


def settings_of(margin: str, seed: int, iterations: int | None) -> RunSettings:
    """The settings of one recorded run.

    Args:
        margin: its name in `MARGINS`.
        iterations: of the run, a multiple of the preset's epochs; `None` for the preset's.
    """
    lower, upper = MARGINS[margin]
    changes = {"lambda_l": lower, "lambda_u": upper, "seed": seed, "threads": 1}
    changes |= {"evaluate_every": EVALUATE_EVERY}
    if iterations is not None:
        epochs = PRESETS[PRESET].values["epochs"]
        changes |= {"iterations_per_epoch": max(1, iterations // epochs)}
    return preset_settings(PRESET, changes)


def is_recorded(folder: Path, margin: str, settings: RunSettings) -> bool:
    """Whether the run of `settings` stands in `folder` already."""
    path = run_file(folder, margin, settings.seed)
    return path.is_file() and read_run(path).about["settings"] == settings.model_dump(mode="json")


def play(root: Path, settings: RunSettings) -> str:
    """Play a run of `settings` in `root` to its end.

    Raises:
        RunFailed: it did not come to its end.
    """
    run_id = runs.start(root, settings, PRESET)
    try:
        while runs.info(root, run_id).active:
            time.sleep(POLL_SECONDS)
    except KeyboardInterrupt:
        runs.stop(root, run_id)
        while runs.info(root, run_id).active:
            time.sleep(POLL_SECONDS)
        raise
    info = runs.info(root, run_id)
    if info.status is not RunStatus.FINISHED:
        raise RunFailed(f"Run {run_id} {info.status}: {info.reason}")
    return run_id


def record(root: Path, run_id: str, folder: Path, margin: str, *, with_sheet: bool) -> float:
    """Write what `folder` keeps of run `run_id` in `root`; returns Q's top-1 in percent."""
    update = runs.read(root, run_id)
    settings = update.info.settings
    about = {
        "preset": PRESET,
        "settings": settings.model_dump(mode="json"),
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
        "command": shlex.join(["python", "benchmarks/record_lessons.py", *sys.argv[1:]]),
    }
    iterations, warmup = settings.iterations, settings.warmup_iterations
    run = recorded_run(update.records, margin, settings.seed, iterations, warmup, about)
    if with_sheet:
        newest = runs.latest(root, run_id, RecordKind.IMAGES)
        assert newest is not None
        sheet = contact_sheet(runs.arrays(root, newest)["pixels"], columns=SHEET_COLUMNS)
        with replace_atomically(sheet_file(folder, margin)) as path:
            path.write_bytes(sheet)
    # Last: what has its numbers counts as recorded.
    write_run(folder, run)
    return run.final


def train_toy(path: Path) -> None:
    """Let the toy game's P learn on which side of a wavy line a place is; write it to `path`."""
    torch.manual_seed(0)
    p, places = unlearned_p(), plane()
    labels = (places[:, 1] > 1.5 * torch.sin(1.4 * places[:, 0])).long()
    optimizer = torch.optim.Adam(p.parameters(), lr=0.02, weight_decay=3e-3)
    for _ in range(400):
        optimizer.zero_grad()
        F.cross_entropy(p(places), labels).backward()
        optimizer.step()
    with replace_atomically(path) as temporary:
        save_file(p.state_dict(), temporary)


def main() -> None:
    """Play what is missing and write it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=SEEDS, help="seeds 0 to this, less one")
    parser.add_argument("--iterations", type=int, help="of each run, for a quick look")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the files go")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    console = Console()
    if not (arguments.folder / WEIGHTS).is_file():
        train_toy(arguments.folder / WEIGHTS)
    for seed in range(arguments.seeds):
        for margin in MARGINS:
            settings = settings_of(margin, seed, arguments.iterations)
            if is_recorded(arguments.folder, margin, settings):
                continue
            began = time.monotonic()
            with tempfile.TemporaryDirectory() as work:
                run_id = play(Path(work), settings)
                final = record(Path(work), run_id, arguments.folder, margin, with_sheet=seed == 0)
            seconds = time.monotonic() - began
            console.print(f"{margin}\tseed {seed}\t{final:.2f} %\t{seconds:.0f} s")


if __name__ == "__main__":
    main()
