"""The Learn page's lessons: one module each, with a model to touch and a question to answer."""

from __future__ import annotations

import importlib
from types import ModuleType

# In their order; a module is imported when its lesson is looked at, as some need PyTorch.
MODULES = (
    "lesson_1_quantization",
    "lesson_2_memory",
    "lesson_3_adaptability",
    "lesson_4_game",
    "lesson_5_fitting",
    "lesson_6_results",
)


def module_of(number: int) -> ModuleType:
    """The module of a lesson, from 1."""
    return importlib.import_module(f"app.lessons.{MODULES[number - 1]}")
