"""DeepChem splitters and transformers by name, with an error that lists the names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from deepchem.molnet.load_function.molnet_loader import (
    TransformerGenerator,
    splitters,
    transformers,
)
from deepchem.splits import Splitter


def find_splitter(splitter: Splitter | str | None, **more: Splitter) -> Splitter | None:
    """The splitter of a name (DeepChem's or one of `more`); objects and None pass through.

    Raises
    ------
    ValueError
        If the name is unknown.
    """
    if not isinstance(splitter, str):
        return splitter
    known = {**more, **splitters}
    if splitter.lower() not in known:
        raise ValueError(f"splitter={splitter!r}: must be one of {', '.join(known)}, or None")
    return known[splitter.lower()]


def find_transformers(
    names: Sequence[TransformerGenerator | str],
) -> list[TransformerGenerator]:
    """Transformer generators of names (DeepChem's); objects pass through.

    Raises
    ------
    ValueError
        If a name is unknown.
    """
    names = [names] if isinstance(names, str) else list(names)
    for name in names:
        if isinstance(name, str) and name.lower() not in transformers:
            raise ValueError(f"transformer {name!r}: must be one of {', '.join(transformers)}")
    return [transformers[n.lower()] if isinstance(n, str) else n for n in names]


def check_tasks(tasks: Sequence[str] | str, units: Mapping[str, str]) -> list[str]:
    """The tasks as a list.

    Parameters
    ----------
    tasks : sequence of str
    units : mapping of str to str
        All tasks that there are.

    Raises
    ------
    ValueError
        If there is none, one twice or an unknown one; lists the valid ones.
    """
    tasks = [tasks] if isinstance(tasks, str) else list(tasks)
    unknown = [task for task in tasks if task not in units]
    if unknown or not tasks or len(set(tasks)) < len(tasks):
        raise ValueError(
            f"tasks={tasks}: need at least one, each once, of {', '.join(units)}"
            + (f"; unknown: {', '.join(map(str, unknown))}" if unknown else "")
        )
    return tasks
