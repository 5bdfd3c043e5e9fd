"""Tasks by name; a text may hold options, ``"variation:level=200"``."""

from __future__ import annotations

from collections.abc import Callable

from deepchem_ead.parts import make_part
from deepchem_ead.registry import Registry
from deepchem_ead.tasks.base import Task
from deepchem_ead.tasks.conformer import Conformer
from deepchem_ead.tasks.edit import Edit
from deepchem_ead.tasks.free import Free
from deepchem_ead.tasks.perceive import Perceive
from deepchem_ead.tasks.shape import Shape
from deepchem_ead.tasks.variation import Variation

TASKS: Registry[Callable[..., Task]] = Registry(
    "task",
    {
        "free": Free,
        "edit": Edit,
        "shape": Shape,
        "variation": Variation,
        "conformer": Conformer,
        "perceive": Perceive,
    },
)


def resolve_task(task: str | Task) -> Task:
    """The task of this name, or the object itself."""
    found: Task = make_part(TASKS, task) if isinstance(task, str) else task
    return found
