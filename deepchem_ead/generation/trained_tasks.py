"""Whether weights were trained for what they are asked."""

from __future__ import annotations

from deepchem_ead.choices import DEFAULT_MODEL, JOINT_PRESET
from deepchem_ead.generator.config import EADConfig
from deepchem_ead.tasks import TaskMixture, resolve_task

#: What tasks are for, in messages.
_FOR = {
    "edit": "to build around kept atoms",
    "shape": "to find elements for kept positions",
    "conformer": "to find conformers of a graph",
    "perceive": "to find the bonds of a geometry",
}


def check_task(config: EADConfig, name: str, bonds: bool = False) -> None:
    """Refuse a task that a model has not been trained for.

    Parameters
    ----------
    config : EADConfig
    name : str
        In `deepchem_ead.tasks.TASKS`.
    bonds : bool
        It takes a model that knows bonds.

    Raises
    ------
    ValueError
        Says what the weights know, and how weights that know more are trained.
    """
    asked = type(resolve_task(name))
    known = any(type(task) is asked for task in TaskMixture.read(config.tasks).tasks)
    missing = [f"the task {name!r}"] if not known else []
    missing += ["bonds"] if bonds and not config.bonds else []
    if missing:
        raise ValueError(
            f"these weights have not learned {_FOR[name]}: they do not know "
            f"{' or '.join(missing)} (their tasks: {config.tasks}); take {DEFAULT_MODEL!r}, or "
            f"train a model: 'deepchem-ead train qm9 --preset {JOINT_PRESET}'"
        )
