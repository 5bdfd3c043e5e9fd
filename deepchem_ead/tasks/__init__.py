"""What a generator is asked for: which parts of a molecule are given, in training and sampling."""

from deepchem_ead.tasks.base import NOT_KNOWN, Known, Task, TrainingBatch
from deepchem_ead.tasks.conformer import Conformer
from deepchem_ead.tasks.edit import Edit
from deepchem_ead.tasks.free import Free
from deepchem_ead.tasks.mixture import TaskMixture
from deepchem_ead.tasks.perceive import Perceive
from deepchem_ead.tasks.registry import TASKS, resolve_task
from deepchem_ead.tasks.shape import Shape
from deepchem_ead.tasks.variation import Variation

__all__ = [
    "NOT_KNOWN",
    "TASKS",
    "Conformer",
    "Edit",
    "Free",
    "Known",
    "Perceive",
    "Shape",
    "Task",
    "TaskMixture",
    "TrainingBatch",
    "Variation",
    "resolve_task",
]
