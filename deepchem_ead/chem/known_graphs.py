"""Graphs of molecules from what is known of them: columns of X, or structures perceived."""

from __future__ import annotations

import numpy as np

from deepchem_ead.chem.batch import Molecules
from deepchem_ead.chem.bond_columns import from_bond_columns
from deepchem_ead.chem.graphs import MolecularGraph, MolecularGraphs
from deepchem_ead.chem.rdkit_io import atoms_of, kekulised_bonds
from deepchem_ead.errors import MoleculeError


def graphs_of_columns(
    numbers: np.ndarray,
    offsets: np.ndarray,
    formal_charges: np.ndarray | None,
    columns: np.ndarray | None,
) -> MolecularGraphs | None:
    """Graphs that columns of X say, (A,) formal charges and (A, 6) bonds; None: they say nothing.

    Raises
    ------
    MoleculeError
        If a number is no bond or aromatic bonds have no Kekule structure; names the molecule.
    """
    if formal_charges is not None and columns is not None:
        graphs, failures = from_bond_columns(columns, numbers, offsets, formal_charges)
        for i, reason in failures.items():
            raise MoleculeError(f"molecule {i} {reason}")
        return graphs
    if formal_charges is None or not formal_charges.any():
        return None
    own = map(MolecularGraph, np.split(formal_charges, offsets[1:-1]))
    return MolecularGraphs.join(list(own), np.diff(offsets).tolist())


def perceived_where_missing(batch: Molecules) -> list[MolecularGraph | None] | None:
    """A batch's graphs, those without bonds as its ``to_rdkit`` says; None: no bonds are missing.

    Formal charges come with perceived bonds.
    """
    graphs = [batch.graph(i) for i in range(len(batch))]
    missing = [i for i, graph in enumerate(graphs) if graph is None or graph.bonds is None]
    if not missing:
        return None
    for i, mol in zip(missing, batch[missing].to_rdkit(), strict=True):
        if mol is not None:
            charges = np.array([atom.GetFormalCharge() for atom in atoms_of(mol)], np.int8)
            own = graphs[i] or MolecularGraph(charges)
            graphs[i] = own._replace(formal_charges=charges, bonds=kekulised_bonds(mol))
    return graphs
