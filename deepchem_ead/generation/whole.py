"""The molecule that somebody gives to start from, with its bonds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from rdkit import Chem

from deepchem_ead.chem.graphs import NO_BONDS, MolecularGraph
from deepchem_ead.chem.molecules import MoleculeBatch
from deepchem_ead.errors import MoleculeError

#: What a molecule is given as.
Molecule = Chem.Mol | MoleculeBatch


def one_molecule(mol: Molecule, name: str = "the molecule") -> MoleculeBatch:
    """A batch of one molecule, with bonds and formal charges: its own, or those perceived.

    Parameters
    ----------
    mol : rdkit.Chem.Mol or MoleculeBatch
        With all hydrogens and 3D coordinates.
    name : str
        What errors call it.

    Raises
    ------
    MoleculeError
        If it has no 3D coordinates or no hydrogens, or no bonds that fit its coordinates.
    ValueError
        If it is something else than one molecule.
    """
    if isinstance(mol, Chem.Mol):
        try:
            mol = MoleculeBatch.from_rdkit([mol])
        except MoleculeError as error:
            reason = str(error).removeprefix("molecule 0")
            raise MoleculeError(f"{name}{reason}") from None
    if isinstance(mol, str):
        raise ValueError(
            f"{name} is the text {mol!r}, which has no coordinates; give an RDKit molecule with "
            "hydrogens and a conformer, or MoleculeBatch.read(FILE)[0]"
        )
    if not isinstance(mol, MoleculeBatch):
        raise ValueError(
            f"{name} is a {type(mol).__name__}; give an RDKit molecule with a conformer, or a "
            "MoleculeBatch of one molecule"
        )
    if len(mol) != 1:
        raise ValueError(
            f"{name} is a batch of {len(mol)} molecules; give one of them (batch[0]), or "
            "fragments as a list (list(batch))"
        )
    if not mol.counts[0]:
        raise MoleculeError(f"{name} has no atoms")
    if not np.isfinite(mol.coordinates).all():
        raise MoleculeError(f"{name} has coordinates that are not finite numbers")
    bonded = mol.with_bonds()
    if bonded.graphs is None or not bonded.graphs.bonds_given[0]:
        why = mol.reasons[0] or "they fit no bonds"
        raise MoleculeError(
            f"{name} has no bonds of its own and shows none ({why}); are hydrogens missing? Give "
            "it with all hydrogens, its total charge, or its bonds (SDF, RDKit)"
        )
    return bonded


def union(mols: Sequence[Molecule]) -> MoleculeBatch:
    """Several molecules, where they stand, as one batch of one."""
    if not len(mols):
        raise ValueError("there is no fragment to start from")
    parts = [one_molecule(mol, f"fragment {k}") for k, mol in enumerate(mols)]
    graphs = [graph_of(part) for part in parts]
    bonds, start = [], 0
    for part, graph in zip(parts, graphs, strict=True):
        bonds.append(graph.bonds + np.array([start, start, 0]))
        start += int(part.counts[0])
    return MoleculeBatch.from_arrays(
        [np.concatenate([part.atomic_numbers for part in parts])],
        [np.concatenate([part.coordinates for part in parts])],
        bonds=[np.concatenate(bonds)],
        formal_charges=[np.concatenate([graph.formal_charges for graph in graphs])],
    )


def graph_of(molecule: MoleculeBatch) -> MolecularGraph:
    """The graph of a molecule that `one_molecule` has checked."""
    graph = molecule.graph(0)
    if graph is None:  # an atom alone
        return MolecularGraph(np.zeros(molecule.counts[0], np.int8), NO_BONDS)
    return graph
