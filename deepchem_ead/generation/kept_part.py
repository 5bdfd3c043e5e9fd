"""The part of a molecule that is kept, and where others may join it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from rdkit import Chem, rdBase

from deepchem_ead.chem.bond_kinds import bond_kinds
from deepchem_ead.chem.bonds import single_bond_length
from deepchem_ead.chem.elements import symbol_of
from deepchem_ead.chem.graphs import MolecularGraph
from deepchem_ead.chem.molecules import MoleculeBatch
from deepchem_ead.chem.rdkit_io import mol_from_graph, skeleton
from deepchem_ead.generation.whole import graph_of


@dataclass(frozen=True)
class KeptPart:
    """Atoms of a molecule that are kept, and hydrogens that close what is not to grow.

    Attributes
    ----------
    molecule : MoleculeBatch
        One: the kept atoms in their order, then the new hydrogens.
    bond_kinds : ndarray, (b,)
        Kinds of its bonds, as they were in the whole molecule.
    atoms : ndarray, (k,)
        Indices of the kept atoms in the whole molecule.
    """

    molecule: MoleculeBatch
    bond_kinds: np.ndarray
    atoms: np.ndarray


class Whole:
    """A molecule as arrays, and what its bonds say.

    Parameters
    ----------
    molecule : MoleculeBatch
        One, with bonds.
    """

    def __init__(self, molecule: MoleculeBatch) -> None:
        graph = graph_of(molecule)
        assert graph.bonds is not None
        self.molecule, self.graph, self.bonds = molecule, graph, graph.bonds
        self.numbers, self.positions = molecule.atoms(0)
        self.neighbours: list[dict[int, int]] = [{} for _ in self.numbers]
        for i, j, order in self.bonds.tolist():
            self.neighbours[i][j] = self.neighbours[j][i] = order

    def hydrogens(self, atom: int) -> list[int]:
        """The hydrogens bonded to an atom."""
        return [k for k in sorted(self.neighbours[atom]) if self.numbers[k] == 1]

    def open_valences(self) -> np.ndarray:
        """Bonds (n,) that each atom lacks, by RDKit's valences and the formal charges."""
        mol = skeleton(self.numbers, self.graph._replace(radicals=None))
        with rdBase.BlockLogs():
            mol.UpdatePropertyCache(strict=False)
            Chem.AssignRadicals(mol)
        return np.array([atom.GetNumRadicalElectrons() for atom in mol.GetAtoms()])

    def label(self, atom: int) -> str:
        """An atom for messages."""
        return f"{atom} ({symbol_of(int(self.numbers[atom]))})"


def keep_part(
    whole: Whole, wanted: np.ndarray, attach: Sequence[int] | None, freed: Sequence[int] = ()
) -> KeptPart:
    """Cut a part out of a molecule.

    Hydrogens on kept heavy atoms are kept. Where a removed atom was bonded to a kept one, the
    valence stays open; with ``attach`` only at these atoms, and others are closed by hydrogens
    along the old bonds. An atom of ``attach`` without a removed neighbour loses a hydrogen.

    Parameters
    ----------
    whole : Whole
    wanted : ndarray
        Indices of atoms to keep.
    attach : sequence of int, optional
        Kept atoms at which others may join; each as often as it is named.
    freed : sequence of int
        Hydrogens that give way.

    Raises
    ------
    ValueError
        If nothing is kept, nothing is to change, or an atom of ``attach`` cannot grow.
    """
    kept = np.zeros(len(whole.numbers), bool)
    kept[wanted] = True
    if not kept.any():
        raise ValueError("keep names no atom; generate() makes molecules from nothing")
    for atom in np.flatnonzero(kept & (whole.numbers > 1)).tolist():
        kept[whole.hydrogens(atom)] = True
    kept[list(freed)] = False
    cut = [
        (a, r, order)
        for i, j, order in whole.bonds.tolist()
        for a, r in ((i, j), (j, i))
        if kept[a] and not kept[r]
    ]
    caps: list[tuple[int, int, int]] = []
    if attach is not None:
        kept[_giving_way(whole, kept, attach, Counter(a for a, _, _ in cut))] = False
        caps = [bond for bond in cut if bond[0] not in set(attach)]
    elif not cut and not whole.open_valences()[kept].any():
        what = "all atoms are kept" if kept.all() else "no kept atom is bonded to one that is not,"
        raise ValueError(
            f"{what} and none of them can bind another: nothing would change; keep "
            "fewer atoms, or name with attach= those at which others are to join"
        )
    return _cut_out(whole, kept, caps)


def _giving_way(
    whole: Whole, kept: np.ndarray, attach: Sequence[int], cut: Counter[int]
) -> list[int]:
    """Hydrogens that make room at the atoms of ``attach``."""
    found: list[int] = []
    lacking = whole.open_valences()
    for atom, times in Counter(attach).items():
        if not kept[atom]:
            raise ValueError(f"attach names atom {whole.label(atom)}, which is not kept")
        if whole.numbers[atom] == 1:
            raise ValueError(
                f"attach names atom {whole.label(atom)}, a hydrogen; name the atom that it is "
                "bonded to, whose hydrogen gives way"
            )
        wanted = times - cut[atom] - int(lacking[atom])
        if wanted <= 0:
            continue
        others = [k for k in attach if k != atom]
        hydrogens = [k for k in whole.hydrogens(atom) if kept[k]]
        if len(hydrogens) < wanted:
            raise ValueError(
                f"attach asks for {times} to join at atom {whole.label(atom)}, where "
                f"{times - wanted + len(hydrogens)} can, in place of hydrogens and of removed "
                "neighbours; choose another atom, or keep fewer"
            )
        if others:  # what faces the other places gives way
            centre = whole.positions[others].mean(0)
            hydrogens.sort(key=lambda k: float(np.linalg.norm(whole.positions[k] - centre)))
        found += hydrogens[:wanted]
    return found


def _cut_out(whole: Whole, kept: np.ndarray, caps: list[tuple[int, int, int]]) -> KeptPart:
    atoms = np.flatnonzero(kept)
    place = np.full(len(kept), -1)
    place[atoms] = np.arange(len(atoms))
    within = kept[whole.bonds[:, :2]].all(1)
    bonds = np.array(whole.bonds[within])
    bonds[:, :2] = place[bonds[:, :2]]
    hydrogens, parents = _hydrogens(whole, atoms, place, bonds, caps)
    n_caps = len(hydrogens)
    ends = np.stack([parents, len(atoms) + np.arange(n_caps), np.ones(n_caps, int)], 1)
    molecule = MoleculeBatch.from_arrays(
        [np.append(whole.numbers[atoms], np.ones(n_caps, int))],
        [np.concatenate([whole.positions[atoms], hydrogens])],
        bonds=[np.concatenate([bonds, ends])],
        formal_charges=[np.append(whole.graph.formal_charges[atoms], np.zeros(n_caps, int))],
    )
    # Where hydrogens close an aromatic ring that was cut it is aromatic no more.
    kinds = _kinds(molecule) if n_caps else _kinds(whole.molecule)[within]
    return KeptPart(molecule, kinds, atoms)


def _kinds(molecule: MoleculeBatch) -> np.ndarray:
    if molecule.graphs is None:
        return np.zeros(0, np.int8)
    return bond_kinds(molecule.atomic_numbers, molecule.offsets, molecule.graphs)


def _hydrogens(
    whole: Whole,
    atoms: np.ndarray,
    place: np.ndarray,
    bonds: np.ndarray,
    caps: list[tuple[int, int, int]],
) -> tuple[np.ndarray, np.ndarray]:
    """Places (h, 3) of hydrogens that close cut bonds, and the kept atoms that they are on."""
    found, parents = np.zeros((0, 3)), np.zeros(0, np.int64)
    for atom, removed, order in caps:
        if order == 1:
            along = whole.positions[removed].astype(float) - whole.positions[atom]
            length = single_bond_length(int(whole.numbers[atom]), 1)
            spot = whole.positions[atom] + length * along / np.linalg.norm(along)
            found = np.concatenate([found, spot[None]])
            parents = np.append(parents, place[atom])
    for atom, _, order in caps:
        if order > 1:  # RDKit knows where several hydrogens go
            n, h = len(atoms), len(found)
            ends = np.stack([parents, n + np.arange(h), np.ones(h, int)], 1)
            charges = np.append(whole.graph.formal_charges[atoms], np.zeros(h, int))
            mol = mol_from_graph(
                np.append(whole.numbers[atoms], np.ones(h, int)),
                np.concatenate([whole.positions[atoms], found]),
                MolecularGraph(charges, np.concatenate([bonds, ends]).astype(np.int32)),
            )
            own = mol.GetAtomWithIdx(int(place[atom]))
            own.SetNumExplicitHs(order)
            with rdBase.BlockLogs():
                mol.UpdatePropertyCache(strict=False)
                Chem.SetHybridization(mol)
                closed = Chem.AddHs(mol, explicitOnly=True, addCoords=True,
                                    onlyOnAtoms=[int(place[atom])])  # fmt: skip
            found = np.concatenate([found, closed.GetConformer().GetPositions()[n + h :]])
            parents = np.append(parents, np.full(order, place[atom]))
    return found, parents
