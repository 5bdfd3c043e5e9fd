"""Molecules, or parts of them, that generation starts from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from deepchem_ead.chem.molecules import MoleculeBatch
from deepchem_ead.diffusion import AtomLayout
from deepchem_ead.errors import MoleculeError
from deepchem_ead.generator.encoding import AtomEncoding
from deepchem_ead.sampling import Start
from deepchem_ead.tasks import Known, Task, resolve_task


@dataclass(frozen=True)
class Given:
    """Atoms that are given: the first of every generated molecule, in their order.

    Attributes
    ----------
    molecules : MoleculeBatch
        One molecule or part of a molecule for all, or one for each that is generated.
    task : str or Task
        What is given of them (`deepchem_ead.tasks.TASKS`): "edit", position and kind, which come
        back to the last bit and in their frame; "conformer", the kind; or "variation:level=300",
        what noise of that level leaves of both.

    Examples
    --------
    >>> import numpy as np
    >>> from deepchem_ead import MoleculeBatch
    >>> water = MoleculeBatch.from_arrays([[8, 1, 1]], [np.eye(3)])
    >>> Given(water).task
    Edit(scattered=0.25)
    """

    molecules: MoleculeBatch
    task: str | Task = "edit"

    def __post_init__(self) -> None:
        if not len(self.molecules):
            raise ValueError("there is no molecule to start from")
        object.__setattr__(self, "task", resolve_task(self.task))

    def check(self, nodes: np.ndarray, elements: np.ndarray) -> None:
        """Refuse what does not fit the molecules (n,) that are to be generated.

        Raises
        ------
        ValueError
            If there are other numbers of molecules, or too few nodes for the given atoms.
        MoleculeError
            If a given atom is of an element that the model does not know, or nowhere.
        """
        counts = self.molecules.counts
        if len(counts) not in (1, len(nodes)):
            raise ValueError(
                f"{len(counts)} molecules are given to start from and {len(nodes)} are to be "
                "generated; give one for all or one for each"
            )
        few = np.flatnonzero(nodes < counts)
        if len(few):
            k = int(few[0])
            raise ValueError(
                f"molecule {k} is to have {nodes[k]} atoms, but {np.resize(counts, len(nodes))[k]} "
                "are given; pass a larger n_atoms"
            )
        for k, (numbers, x) in enumerate(
            zip(self.molecules.numbers, self.molecules.positions, strict=True)
        ):
            unknown = np.setdiff1d(numbers, elements)
            if len(unknown):
                raise MoleculeError(
                    f"given molecule {k} holds the atomic number {unknown[0]}, which the model "
                    f"does not know"
                )
            if not np.isfinite(x).all():
                raise MoleculeError(f"given molecule {k} has coordinates that are not finite")

    def start(self, rows: np.ndarray, layout: AtomLayout, encoding: AtomEncoding) -> Start:
        """Where the molecules ``rows`` (b,) of the job start, which are laid out in this order."""
        clean, given = encoding.first_rows(
            [self._of(row, self.molecules.numbers) for row in rows],
            [self._of(row, self.molecules.positions) for row in rows],
            layout.counts.tolist(),
        )
        device = layout.index.device
        assert not isinstance(self.task, str)
        return self.task.start(Known(clean.to(device), given.to(device)), layout)

    def describe(self) -> dict[str, Any]:
        """What was given as plain values."""
        counts = self.molecules.counts.tolist()
        return {"task": repr(self.task), "given": counts[0] if len(counts) == 1 else counts}

    @staticmethod
    def _of(row: int, values: list[np.ndarray]) -> np.ndarray:
        return values[0] if len(values) == 1 else values[row]
