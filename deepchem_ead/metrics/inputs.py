"""What users may hand to a metric, as one MoleculeBatch."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from rdkit import Chem

from deepchem_ead.chem.graphs import MolecularGraphs
from deepchem_ead.chem.molecules import MoleculeBatch


def as_batch(molecules: Any) -> MoleculeBatch:
    """Turn molecules into a MoleculeBatch.

    Parameters
    ----------
    molecules : MoleculeBatch, DeepChem dataset or sequence of rdkit.Chem.Mol
        A dataset has X of shape (N, max_atoms, 4): x, y, z in Angstrom and the atomic number; a
        fifth column holds formal charges, whose sums are the molecules' charges, six more bonds.
        RDKit molecules need explicit hydrogens and a conformer. A None among them (a molecule that
        could not be built) becomes an empty, hence invalid, molecule.

    Returns
    -------
    MoleculeBatch

    Raises
    ------
    TypeError
        Anything else; says what is accepted.
    MoleculeError
        A molecule that cannot be read; names it.
    """
    if isinstance(molecules, MoleculeBatch):
        return molecules
    if hasattr(molecules, "X"):
        return MoleculeBatch.from_padded(np.asarray(molecules.X))
    if isinstance(molecules, Chem.Mol):
        return MoleculeBatch.from_rdkit([molecules])
    try:
        items = list(molecules)
    except TypeError:
        items = [molecules]
    wrong = [m for m in items if m is not None and not isinstance(m, Chem.Mol)]
    if wrong or molecules is None:
        raise TypeError(
            f"cannot judge {type(wrong[0] if wrong else None).__name__} objects; give a "
            "MoleculeBatch, a dataset with X of shape (N, max_atoms, 4), or RDKit molecules with "
            "conformers"
        )
    return _from_rdkit_with_gaps(items)


def _from_rdkit_with_gaps(items: list[Chem.Mol | None]) -> MoleculeBatch:
    if None not in items:
        return MoleculeBatch.from_rdkit(items)
    batch = MoleculeBatch.from_rdkit([mol for mol in items if mol is not None])
    own = map(batch.graph, range(len(batch)))
    known = iter(zip(batch.numbers, batch.positions, batch.charges.tolist(), own, strict=True))
    empty = (np.zeros(0, np.int16), np.zeros((0, 3), np.float32), 0, None)
    rows = [empty if mol is None else next(known) for mol in items]
    numbers, positions, charges, graphs = zip(*rows, strict=True)
    gaps = MoleculeBatch.from_arrays(numbers, positions, charges=charges)
    return replace(gaps, graphs=MolecularGraphs.join(graphs, gaps.counts.tolist()))
