"""Bonds and formal charges of QM9's molecules, from the data set's own SMILES.

Each geometry gets the bonds of its SMILES (:mod:`deepchem_ead.chem.smiles_graphs`); where that does
not fit the distances, those of the best closed-shell structure
(:mod:`deepchem_ead.chem.perception`) with at most one pair of charges; where there is none, its
bonds are not known.
``python -m deepchem_ead.molnet.qm9_graphs`` counts them.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import NamedTuple

import numpy as np

from deepchem_ead import cache
from deepchem_ead.chem.graphs import MolecularGraph, MolecularGraphs
from deepchem_ead.chem.molecules import MoleculeBatch
from deepchem_ead.chem.rdkit_io import arrays_from_mol, molecule_of
from deepchem_ead.chem.smiles_graphs import graph_of_smiles
from deepchem_ead.molnet.qm9pack import cache_file, load_qm9pack
from deepchem_ead.molnet.table import MoleculeTable

#: Where the bonds of a molecule come from.
ORIGINS = ("smiles", "perceived", "unknown")
#: Of the rule by which molecules get their bonds: part of the names of caches.
VERSION = "2"


class TableGraphs(NamedTuple):
    """Graphs of N molecules.

    Attributes
    ----------
    graphs : MolecularGraphs
    origin : numpy.ndarray
        Where each comes from, number in :data:`ORIGINS`: int8, shape (N,).
    """

    graphs: MolecularGraphs
    origin: np.ndarray


def find_graphs(table: MoleculeTable, progress: bool = True) -> TableGraphs:
    """Graphs of the molecules of a table whose SMILES are those of neutral molecules."""
    from tqdm import tqdm

    found = [
        _graph(str(table.smiles[i]), *table.numbers_and_positions(i))
        for i in tqdm(range(len(table)), desc="bonds", unit="mol", disable=not progress)
    ]
    nothing = [MolecularGraph(np.zeros(n, np.int8)) for n in table.n_atoms.tolist()]
    given = [own or bare for (own, _), bare in zip(found, nothing, strict=True)]
    graphs = MolecularGraphs.join(given, table.n_atoms.tolist())
    assert graphs is not None
    return TableGraphs(graphs, np.array([origin for _, origin in found], np.int8))


def _graph(
    smiles: str, numbers: np.ndarray, positions: np.ndarray
) -> tuple[MolecularGraph | None, int]:
    graph = graph_of_smiles(smiles, numbers, positions)
    if graph is not None:
        return graph, ORIGINS.index("smiles")
    mol = molecule_of(numbers, positions)
    graph = None if mol is None else arrays_from_mol(mol).graph
    if graph is None or np.abs(graph.formal_charges).sum() > 2:
        return None, ORIGINS.index("unknown")
    return graph, ORIGINS.index("perceived")


def load_graphs(
    table: MoleculeTable,
    data_dir: str | Path | None = None,
    reload: bool = True,
    progress: bool = True,
) -> TableGraphs:
    """Graphs of the full table: found on the first call, read from the cache afterwards.

    Parameters
    ----------
    table : MoleculeTable
        As `load_qm9pack` gives it.
    data_dir, reload, progress
        As of `load_qm9pack`.
    """
    if not reload:
        return find_graphs(table, progress)
    path = cache_file(data_dir, f"bonds{VERSION}")
    contents = cache.built(path, lambda file: _save(file, find_graphs(table, progress)))
    return _read(contents, table)


def _save(path: Path, found: TableGraphs) -> None:
    graphs = found.graphs
    with open(path, "wb") as stream:
        np.savez(
            stream,
            formal_charges=graphs.formal_charges,
            bonds=graphs.bonds.astype(np.int8),
            bond_offsets=graphs.bond_offsets,
            origin=found.origin,
        )


def _read(contents: bytes, table: MoleculeTable) -> TableGraphs:
    with np.load(io.BytesIO(contents), allow_pickle=False) as data:
        arrays = {name: data[name] for name in data.files}
    origin = arrays.pop("origin")
    n_atoms = len(table.atomic_numbers)
    graphs = MolecularGraphs(
        formal_charges=arrays["formal_charges"],
        isotopes=np.zeros(n_atoms, np.int16),
        radicals=np.zeros(n_atoms, np.int8),
        bonds=arrays["bonds"].astype(np.int32),
        unspecified=np.zeros(len(arrays["bonds"]), bool),
        bond_offsets=arrays["bond_offsets"],
        bonds_given=origin != ORIGINS.index("unknown"),
    )
    return TableGraphs(graphs, origin)


def to_batch(table: MoleculeTable, graphs: MolecularGraphs) -> MoleculeBatch:
    """The molecules of a table with their bonds; ids are their SMILES."""
    return MoleculeBatch(
        table.atomic_numbers.astype(np.int16),
        table.coordinates,
        table.offsets,
        np.zeros(len(table), np.int64),
        ids=table.smiles.tolist(),
        graphs=graphs,
    )


def main() -> None:
    """Count the molecules of QM9 by where their bonds come from, and list those without SMILES."""
    table = load_qm9pack()
    found = load_graphs(table)
    for number, origin in enumerate(ORIGINS):
        print(f"{origin:10} {int((found.origin == number).sum()):7}")
    for i in np.flatnonzero(found.origin).tolist():
        print(f"{table.index[i]:7} {table.smiles[i]:30} {ORIGINS[found.origin[i]]}")


if __name__ == "__main__":
    main()
