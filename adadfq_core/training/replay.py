"""Earlier images, from which Q learns again."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from adadfq_core.game.step import Outcome, Replayed

ROOM = 16
"""So many times the images of one draw are remembered."""


class ReplayMemory:
    """The latest images of the game with P's answers to them, the oldest giving way.

    P does not change, so its logits stay those that it gave; the images are kept in half
    precision, which halves what a checkpoint of them takes.

    Args:
        draws: images per draw; the memory holds `ROOM` times as many.
        device: where they lie.
    """

    def __init__(self, draws: int, device: torch.device) -> None:
        self.draws = draws
        self._device = device
        self._images: Tensor | None = None
        self._logits = torch.empty(0)
        self._seen = 0

    def add(self, outcome: Outcome) -> None:
        """Remember what the players of an iteration saw."""
        room = ROOM * self.draws
        images, logits = outcome.images, outcome.p_logits
        if self._images is None:
            self._images = images.new_zeros(room, *images.shape[1:], dtype=torch.float16)
            self._logits = logits.new_zeros(room, *logits.shape[1:])
        places = torch.arange(self._seen, self._seen + len(images)) % room
        # Of a batch that is larger than the memory, the last images stay.
        places = places[-room:].to(self._device)
        self._images[places] = images[-room:].to(torch.float16)
        self._logits[places] = logits[-room:]
        self._seen += len(images)

    def draw(self, random: torch.Generator) -> Replayed | None:
        """Some of the images, drawn with replacement; `None` before there are any."""
        if self._images is None:
            return None
        held = min(self._seen, len(self._images))
        chosen = torch.randint(held, (self.draws,), generator=random).to(self._device)
        images = self._images[chosen].to(self._logits.dtype)
        return Replayed(images.contiguous(memory_format=torch.channels_last), self._logits[chosen])

    def state_dict(self) -> dict[str, Any]:
        """What is remembered, for `torch.save`; empty where nothing is."""
        if self._images is None:
            return {}
        return {"images": self._images, "logits": self._logits, "seen": self._seen}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Remember what another memory did."""
        self._images, self._logits, self._seen = None, torch.empty(0), 0
        if state:
            self._images = state["images"].to(self._device, copy=True)
            self._logits = state["logits"].to(self._device, copy=True)
            self._seen = state["seen"]
