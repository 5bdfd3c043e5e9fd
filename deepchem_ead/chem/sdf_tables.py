"""The arrays of an ordinary V2000 block, read from its text: RDKit tells atom by atom, slowly."""

from __future__ import annotations

import numpy as np
from rdkit import Chem

from deepchem_ead.chem.elements import SYMBOL_NUMBERS
from deepchem_ead.chem.graphs import MolecularGraph
from deepchem_ead.chem.rdkit_io import AtomArrays

_FIRST_ATOM = 4
# Columns of atom lines that hold isotope and charge, and of bond lines with order and stereo:
# single bonds may be wedges, which follow from the coordinates.
_NEUTRAL = frozenset([" 0  0"])
_ORDERS = frozenset(["  1  0", "  2  0", "  3  0", "  1  1", "  1  6"])


def ordinary_arrays(table: list[str], mol: Chem.Mol) -> AtomArrays | None:
    """What :func:`deepchem_ead.chem.rdkit_io.arrays_from_mol` gives, if the block is ordinary.

    Parameters
    ----------
    table : list of str
        Lines up to ``M  END``.
    mol : rdkit.Chem.Mol
        What RDKit made of them; its property cache is updated.

    Returns
    -------
    AtomArrays or None
        None unless all atoms are neutral elements without isotopes or missing hydrogens, the bonds
        are single, double or triple, and nothing else is said about them.
    """
    n, b = mol.GetNumAtoms(), mol.GetNumBonds()
    if not b or len(table) != _FIRST_ATOM + n + b + 1 or "V2000" not in table[3]:
        return None
    atoms, bonds = table[_FIRST_ATOM : _FIRST_ATOM + n], table[_FIRST_ATOM + n : -1]
    if not (
        _NEUTRAL.issuperset([line[34:39] for line in atoms])
        and _ORDERS.issuperset([line[6:12] for line in bonds])
    ):
        return None
    numbers = [SYMBOL_NUMBERS.get(line[31:34].strip(), 0) for line in atoms]
    conformer = mol.GetConformer()
    mol.UpdatePropertyCache(strict=False)
    if 0 in numbers or mol.GetNumAtoms(onlyExplicit=False) > n or not (n <= 3 or conformer.Is3D()):
        return None
    fields = np.frombuffer("".join([line[:9] for line in bonds]).encode(), "S3")
    ends = fields.astype(np.int32).reshape(-1, 3)
    ends[:, :2] -= 1
    return AtomArrays(
        np.array(numbers, dtype=np.int16),
        np.asarray(conformer.GetPositions(), dtype=np.float64),
        0,
        MolecularGraph(np.zeros(n, np.int8), ends),
    )
