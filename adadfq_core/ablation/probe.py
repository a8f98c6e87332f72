"""How long runs take where no earlier one tells: some iterations of the game, played now.

Each run's part is a process of its own, `python -m adadfq_core.ablation.probe PID BEGAN`, PID
being the one that asks and BEGAN when it was started, in seconds since 1970. It takes the run's
settings as JSON from its standard input and answers with one line of JSON. No run is stored.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import statistics
import subprocess
import sys
import time
import traceback
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, BinaryIO

from adadfq_core.ablation.estimate import Pace
from adadfq_core.embedding import child
from adadfq_core.errors import InputError, RunFailed
from adadfq_core.home import cache_folder
from adadfq_core.settings import RunSettings

if TYPE_CHECKING:
    from adadfq_core.training.trainer import Trainer
    from adadfq_core.zoo.evaluation_data import EvaluationData

MEASURED = 10
"""Iterations that are measured, of the warm-up and of the game each."""

_MODULE = "adadfq_core.ablation.probe"
# The first ones allocate what the later ones use again.
_DISCARDED = 2
_MOST_SECONDS = 10.0
_MOST_IMAGES = 500


def probe(settings: RunSettings, workers: int) -> Pace:
    """The pace of `workers` runs of `settings` at once, measured in less than a minute.

    Only the game and the evaluation are played: what a run writes is left out (some 2 % of its
    time), and so is its map, which is made beside the first iterations.

    Raises:
        RunFailed: the settings cannot be played, or a process cannot be started or ends.
    """
    content = settings.model_dump_json().encode()
    processes: list[subprocess.Popen[bytes]] = []
    try:
        for _ in range(workers):
            process = child.start(
                _MODULE, (str(time.time()),), cache_folder(), threads=settings.threads
            )
            processes.append(process)
            assert process.stdin is not None
            # One that has ended takes nothing; its answer, or the lack of one, says why.
            with contextlib.suppress(OSError):
                process.stdin.write(content)
                process.stdin.close()
        answers = [_answer(process) for process in processes]
    except OSError as error:
        raise RunFailed(
            f"A process to measure the pace could not be started ({error.strerror or error}); "
            "close other programs, then try again."
        ) from error
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            child.stop(process)
            child.close_pipes(process)
    means = {name: statistics.fmean(answer[name] for answer in answers) for name in answers[0]}
    beside = f", {workers} runs at once" if workers > 1 else ""
    return Pace(**means, measured=f"{MEASURED} iterations played just now{beside}")


def _answer(process: subprocess.Popen[bytes]) -> dict[str, float]:
    """The numbers of `Pace` that a process has measured; waits for them."""
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise RunFailed(
            f"A process that measured the pace ended with {child.how_it_ended(process)}; close "
            "other programs or take fewer runs at once, then try again."
        )
    answer = json.loads(line)
    if "error" in answer:
        raise RunFailed(answer["error"])
    numbers: dict[str, float] = answer
    return numbers


def _measure(settings: RunSettings, began: float) -> tuple[Trainer, dict[str, float]]:
    """A trainer of `settings` that has played a little, and the numbers of `Pace`."""
    # As all of its kind, these import torch, which the asking process need not do.
    import torch

    from adadfq_core.runs.loading import load_real_images, make_trainer
    from adadfq_core.zoo.loading import load_float_network

    torch.set_num_threads(settings.threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    loaded = load_float_network(settings)
    data, lessons = (
        None if part is None else part.to(device)
        for part in load_real_images(settings, loaded.images, loaded.data)
    )
    trainer = make_trainer(settings, loaded, device, lessons)
    startup_s = time.time() - began
    in_warmup = _ms_per_iteration(trainer)
    trainer.iteration = settings.warmup_iterations
    in_game = _ms_per_iteration(trainer)
    warmup = settings.warmup_iterations / settings.iterations
    return trainer, {
        "ms_per_iteration": warmup * in_warmup + (1 - warmup) * in_game,
        "ms_per_evaluation": 0.0 if data is None else _ms_per_evaluation(trainer, data),
        "startup_s": startup_s,
        "checkpoint_bytes": _checkpoint_bytes(trainer),
        "sheet_bytes": _sheet_bytes(trainer),
    }


def _ms_per_iteration(trainer: Trainer) -> float:
    for _ in range(_DISCARDED):
        outcome = trainer.play()
    outcome.scalars.tolist()  # waits for the device, here and below
    began = time.perf_counter()
    played = 0
    while played < MEASURED and (not played or time.perf_counter() - began < _MOST_SECONDS):
        outcome = trainer.play()
        played += 1
    outcome.scalars.tolist()
    return 1e3 * (time.perf_counter() - began) / played


def _checkpoint_bytes(trainer: Trainer) -> int:
    """Size of a checkpoint once both optimizers have memories."""
    import torch

    content = io.BytesIO()
    torch.save(trainer.state_dict(), content)
    return content.tell()


def _sheet_bytes(trainer: Trainer) -> int:
    """Size of a sheet: an image, its class, H' and both logits of every sample that it keeps."""
    from adadfq_core.runs.recorder import sheet_samples

    outcome = trainer.play()
    kept = len(sheet_samples(outcome.labels, outcome.images.shape[1:]))
    label, h_prime, logits = 8, 4, 2 * 4 * trainer.num_classes
    return kept * (outcome.images[0].numel() + label + h_prime + logits)


def _ms_per_evaluation(trainer: Trainer, data: EvaluationData) -> float:
    from adadfq_core.training.evaluation import top1

    few = replace(data.images, pixels=data.images.pixels[:_MOST_IMAGES])
    began = time.perf_counter()
    top1(trainer.quantized_network(), few, data.labels[:_MOST_IMAGES])
    return 1e3 * (time.perf_counter() - began) * len(data.images) / len(few)


def main(parent: int, began: float) -> None:
    """Answer the settings on standard input, then play on until process `parent` ends this one."""
    # All that a run's process imports, so that its start is measured as well.
    from adadfq_core.runs.worker import NICENESS

    replies = child.settle_in(parent, NICENESS)
    try:
        settings = RunSettings.model_validate_json(sys.stdin.buffer.read())
        trainer, numbers = _measure(settings, began)
    except (InputError, RunFailed) as error:
        _tell({"error": str(error)}, replies)
        return
    except Exception as error:
        traceback.print_exc()
        reason = f"{type(error).__name__}: {error}"
        _tell({"error": f"A run of these settings cannot be played ({reason})."}, replies)
        return
    _tell(numbers, replies)
    # The others may still be measured, with as many neighbours as in the sweep.
    while True:
        trainer.play()


def _tell(answer: Mapping[str, float | str], replies: BinaryIO) -> None:
    replies.write(json.dumps(answer).encode() + b"\n")
    replies.flush()


if __name__ == "__main__":
    with contextlib.suppress(SystemExit):
        main(int(sys.argv[1]), float(sys.argv[2]))
    # As the other helper processes: tearing down would keep the asking one waiting.
    os._exit(0)
