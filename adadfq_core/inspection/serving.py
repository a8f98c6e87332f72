"""The inspection process' side of its conversation with `service.InspectionService`.

It answers one request at a time. Requests come as pickles. To each it writes any number of
`Working`, after each of which it reads whether anybody still waits, and then one `Answered` or
`Refused`, or `NotAsked` if nobody did. What it writes is a pickle of a pickle: the reader learns
the size as well.
"""

from __future__ import annotations

import pickle
import traceback
from pathlib import Path
from typing import BinaryIO, cast

from adadfq_core.embedding import child
from adadfq_core.errors import InputError, RunFailed
from adadfq_core.inspection.answers import Answers
from adadfq_core.inspection.progress import Overtaken, Progress
from adadfq_core.inspection.requests import TITLES, Request
from adadfq_core.inspection.states import Answered, NotAsked, Refused, State, Working


def serve(cache_folder: Path, requests: BinaryIO, replies: BinaryIO) -> None:
    """Answer `requests` until their stream ends."""
    answers = Answers(cache_folder)

    def write(state: State) -> None:
        child.send(pickle.dumps(state, protocol=pickle.HIGHEST_PROTOCOL), replies)

    def report(working: Working) -> bool:
        write(working)
        try:
            return cast(bool, pickle.load(requests))
        except EOFError:
            # Not to be taken for the end of a file that is read for the answer.
            raise SystemExit from None

    while True:
        try:
            request: Request = pickle.load(requests)
        except EOFError:
            return
        write(end_state(answers, request, Progress(report)))


def end_state(answers: Answers, request: Request, progress: Progress) -> State:
    """What `request` comes to; a traceback of what should not happen goes to standard error."""
    try:
        return Answered(answers.answer(request, progress))
    except Overtaken:
        return NotAsked()
    except (InputError, RunFailed) as error:
        return Refused(str(error))
    except Exception as error:
        traceback.print_exc()
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        return Refused(f"{TITLES[type(request)]} failed: {reason}")
