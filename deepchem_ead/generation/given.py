"""Molecules, or parts of them, that generation starts from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from deepchem_ead.chem.bond_columns import bond_columns
from deepchem_ead.chem.centres import possible_centres
from deepchem_ead.chem.graph_stereo import GraphStereo
from deepchem_ead.chem.kinds import format_kind
from deepchem_ead.chem.molecules import MoleculeBatch
from deepchem_ead.diffusion import (
    AtomLayout,
    Bonds,
    Stereo,
    among,
    bonds_of_pairs,
    pair_rows,
    stereo_of,
)
from deepchem_ead.errors import MoleculeError
from deepchem_ead.generator.encoding import AtomEncoding
from deepchem_ead.generator.pretrained import larger_model
from deepchem_ead.sampling import Start
from deepchem_ead.tasks import Known, Task, resolve_task


@dataclass(frozen=True)
class Given:
    """Atoms that are given: the first of every generated molecule, in their order.

    Attributes
    ----------
    molecules : MoleculeBatch
        One molecule or part of a molecule for all, or one for each that is generated (see
        ``which``).
    task : str or Task
        What is given of them (`deepchem_ead.tasks.TASKS`): "edit", position and kind, which come
        back to the last bit and in their frame; "conformer", the kind; or "variation:level=300",
        what noise of that level leaves of both. A model that knows bonds is given them, too, where
        the task says so: those of the molecules, or else those that their coordinates show; and
        with them their configuration, if it is one that is told.
    bond_kinds : ndarray, optional
        Kinds (`deepchem_ead.chem.bond_kinds`) of the bonds of the molecules, where these parts do
        not show them: a part of an aromatic ring. Its Kekule orders come back as they are.
    stereo : sequence of GraphStereo, optional
        The configuration of each of the molecules, for a model that is told with the bonds; by
        default that of the coordinates.
    grows : int
        Atoms that join the given ones at least.
    total_charges : sequence of int or None, optional
        Of each molecule that is generated, None where it is not known: formal charges are then
        found with the bonds, and those of the molecules are a first guess.
    which : ndarray, optional
        Number among the molecules of that which each generated one starts from.

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
    bond_kinds: np.ndarray | None = None
    grows: int = 0
    stereo: Sequence[GraphStereo] | None = None
    total_charges: Sequence[int | None] | None = None
    which: np.ndarray | None = None

    def __post_init__(self) -> None:
        if not len(self.molecules):
            raise ValueError("there is no molecule to start from")
        object.__setattr__(self, "task", resolve_task(self.task))

    def check(self, nodes: np.ndarray, encoding: AtomEncoding, name: str | None = None) -> None:
        """Refuse what does not fit the molecules (n,) that are to be generated.

        Errors call a molecule by its name, if there is one, or else by its number.

        Raises
        ------
        ValueError
            If there are other numbers of molecules, or too few nodes for the given atoms.
        MoleculeError
            If a given atom is of a kind that the model does not know, or nowhere.
        """
        given = len(self.molecules) if self.which is None else len(self.which)
        if given != len(nodes) and (given != 1 or self.which is not None):
            raise ValueError(
                f"{given} molecules are given to start from and {len(nodes)} are to be "
                "generated; give one for all or one for each"
            )
        counts = self._counts(len(nodes))
        few = np.flatnonzero(nodes < counts + self.grows)
        if len(few):
            k = int(few[0])
            raise ValueError(
                f"molecule {k} is to have {nodes[k]} atoms, but {counts[k]} are given; pass a "
                "larger n_atoms"
            )
        for k, (kinds, x) in enumerate(zip(self._kinds, self.molecules.positions, strict=True)):
            which = name or f"given molecule {k}"
            unknown = kinds[encoding.types_of(*kinds.T) < 0]
            if len(unknown):
                example = larger_model(map(tuple, kinds.tolist()), len(kinds))
                raise MoleculeError(
                    f"{which} holds an atom of the kind {format_kind(unknown[0])}; the "
                    f"model knows only {','.join(map(format_kind, encoding.kinds))}; take weights "
                    f"that were trained with it{example}"
                )
            if not np.isfinite(x).all():
                raise MoleculeError(f"{which} has coordinates that are not finite")

    def least(self, n: int) -> np.ndarray:
        """The smallest sizes (n,) of molecules that hold what is given."""
        return self._counts(n) + self.grows

    def start(self, rows: np.ndarray, layout: AtomLayout, encoding: AtomEncoding) -> Start:
        """Where the molecules ``rows`` (b,) of the job start, which are laid out in this order."""
        clean, given = encoding.first_rows(
            [self._of(row, self._kinds) for row in rows],
            [self._of(row, self.molecules.positions) for row in rows],
            layout.counts.tolist(),
        )
        device = layout.index.device
        assert not isinstance(self.task, str)
        known = Known(clean.to(device), given.to(device))
        start = self.task.start(known, layout)
        if self._gives_bonds(encoding):
            kinds = self._of_pairs(rows, layout, self._kind_columns)
            bonds = Bonds(kinds, among(known.atoms, layout) & (kinds >= 0))
            start = start._replace(bonds=bonds)
            if encoding.has_stereo:
                start = start._replace(stereo=self._stereo(rows, layout, known.atoms))
        return start

    def _stereo(self, rows: np.ndarray, layout: AtomLayout, known: Tensor) -> Stereo:
        """What is told of the stereo of the molecules ``rows``."""
        device = layout.index.device
        if self.stereo is not None:
            told = [self.stereo[self._number(row)] for row in rows]
            return _told_of_each(told, layout).to(device)
        columns = self._of_atoms(rows, layout, self._kind_columns).to(torch.int64)
        centres = self._of_atoms(rows, layout, self._centres).to(torch.bool)
        positions = self._of_atoms(rows, layout, self.molecules.positions)
        return stereo_of(positions.to(torch.float64), columns, centres, layout, known)

    def orders(self, rows: np.ndarray, layout: AtomLayout, encoding: AtomEncoding) -> Tensor | None:
        """Orders of the given bonds of the molecules ``rows``, -1 between others, (E,) int64.

        They are kekulised as they were given. None where no bonds are.
        """
        if not self._gives_bonds(encoding):
            return None
        place = torch.arange(layout.n_nodes, device=layout.index.device)
        place = place - layout.expand(layout.starts)
        own = torch.tensor([len(self._of(row, self._kinds)) for row in rows], device=place.device)
        within = among(place < layout.expand(own), layout)
        return torch.where(within, self._of_pairs(rows, layout, self._order_columns), -1)

    def totals(self, rows: np.ndarray) -> list[int | None] | None:
        """Total charges of the molecules ``rows``, if formal charges are found with the bonds."""
        return None if self.total_charges is None else [self.total_charges[row] for row in rows]

    def _gives_bonds(self, encoding: AtomEncoding) -> bool:
        return encoding.has_bonds and getattr(self.task, "gives_bonds", False)

    def _of_pairs(self, rows: np.ndarray, layout: AtomLayout, columns: list[np.ndarray]) -> Tensor:
        """Number of the bond of each pair, (E,), from columns of each given molecule."""
        return bonds_of_pairs(self._of_atoms(rows, layout, columns).to(torch.int64), layout)

    def _of_atoms(
        self, rows: np.ndarray, layout: AtomLayout, values: Sequence[np.ndarray]
    ) -> Tensor:
        """Values (A, ...) of the atoms of each given molecule, 0 beyond them."""
        like = np.asarray(values[0])
        flat = np.zeros((layout.n_nodes, *like.shape[1:]), like.dtype)
        for first, row in zip(layout.starts.tolist(), rows, strict=True):
            own = self._of(row, values)
            flat[first : first + len(own)] = own
        return torch.from_numpy(flat).to(layout.index.device)

    @cached_property
    def _bonded(self) -> MoleculeBatch:
        return self.molecules.with_bonds()

    @cached_property
    def _kinds(self) -> list[np.ndarray]:
        """Atomic number and formal charge of the atoms of each molecule, (n, 2) each."""
        batch = self.molecules
        kinds = np.stack([batch.atomic_numbers, batch.formal_charges()], 1).astype(np.int64)
        return np.split(kinds, batch.offsets[1:-1])

    @cached_property
    def _kind_columns(self) -> list[np.ndarray]:
        """Kinds of the bonds of the atoms of each molecule, (n, S) each."""
        return self._columns(self.bond_kinds)

    @cached_property
    def _centres(self) -> list[np.ndarray]:
        """Atoms of each molecule that may be stereocentres, (n,) bool each."""
        pairs = zip(self._kinds, self._kind_columns, strict=True)
        return [possible_centres(kinds[:, 0], columns) for kinds, columns in pairs]

    @cached_property
    def _order_columns(self) -> list[np.ndarray]:
        graphs = self._bonded.graphs
        return self._columns(None if graphs is None else graphs.bonds[:, 2])

    def _columns(self, kinds: np.ndarray | None) -> list[np.ndarray]:
        columns = bond_columns(self._bonded, kinds=kinds)
        return [own[:n] for own, n in zip(columns, self.molecules.counts, strict=True)]

    def describe(self) -> dict[str, Any]:
        """What was given as plain values."""
        counts = self.molecules.counts.tolist()
        return {"task": repr(self.task), "given": counts[0] if len(counts) == 1 else counts}

    def _number(self, row: int) -> int:
        """Number of the molecule that a generated one starts from."""
        if self.which is not None:
            return int(self.which[row])
        return 0 if len(self.molecules) == 1 else row

    def _of(self, row: int, values: Sequence[np.ndarray]) -> np.ndarray:
        return values[self._number(row)]

    def _counts(self, n: int) -> np.ndarray:
        """Given atoms of each of n generated molecules."""
        counts = self.molecules.counts
        return np.resize(counts, n) if self.which is None else counts[self.which]


def _told_of_each(stereo: Sequence[GraphStereo], layout: AtomLayout) -> Stereo:
    """The configuration of each molecule as that of its first atoms."""
    told = Stereo.nothing(layout.to("cpu"))
    neighbours, tags, sides = told.neighbours.clone(), told.tags, told.sides
    starts, counts, rows = (t.cpu() for t in (layout.starts, layout.counts, pair_rows(layout)))
    for own, first, count in zip(stereo, starts.tolist(), counts.tolist(), strict=True):
        n = len(own.tags)
        neighbours[first : first + n] = torch.from_numpy(own.neighbours)
        tags[first : first + n] = torch.from_numpy(own.tags)
        a, b, side = torch.from_numpy(np.concatenate([own.sides, own.sides[:, [1, 0, 2]]])).T
        sides[rows[first + a] + (b - a - 1) % count] = side
    return Stereo(neighbours, tags, sides)
