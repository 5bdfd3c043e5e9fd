"""Bonds of GEOM's molecules, and which of them the corrected splits leave out."""

from __future__ import annotations

import numpy as np
from rdkit import Chem, rdBase
from rdkit.Chem import rdDetermineBonds

from deepchem_ead.chem.overlap import covalent_radii
from deepchem_ead.errors import MoleculeError
from deepchem_ead.molnet.geom_files import GeomMolecule

#: A bond is as long as the sum of the covalent radii, give or take this share of it.
TOLERANCE = 0.4
#: Radii of the corrected splits, Angstrom, and that of other elements there.
_RADII = {
    1: 0.31, 6: 0.76, 7: 0.71, 8: 0.66, 9: 0.57, 15: 1.07, 16: 1.05, 17: 1.02, 35: 1.20, 53: 1.39,
}  # fmt: skip
_OTHER_RADIUS = 1.5


def with_bonds(molecule: GeomMolecule) -> Chem.Mol:
    """A molecule sanitised and with all its conformers; bonds of the file, or of its SMILES.

    Atoms keep their numbers. Those of a SMILES are found by their order, as GEOM's are, or else by
    the bonds that the distances show.

    Raises
    ------
    MoleculeError
        If RDKit refuses the molecule, or the SMILES does not fit the geometry.
    """
    if molecule.mol is None and not molecule.smiles:
        raise MoleculeError("it has neither bonds nor SMILES")
    with rdBase.BlockLogs():
        graph = _of_smiles(molecule) if molecule.mol is None else Chem.Mol(molecule.mol)
        try:
            Chem.SanitizeMol(graph)
            Chem.Kekulize(Chem.Mol(graph), clearAromaticFlags=True)
        except ValueError as error:
            raise MoleculeError(f"it is no molecule for RDKit: {_kind(error)}") from None
        _place(graph, molecule.positions)
        Chem.AssignStereochemistryFrom3D(graph)
    return graph


def _place(mol: Chem.Mol, conformers: np.ndarray) -> None:
    mol.RemoveAllConformers()
    for positions in conformers:
        conformer = Chem.Conformer(len(positions))
        conformer.SetPositions(np.ascontiguousarray(positions))
        conformer.Set3D(True)
        mol.AddConformer(conformer, assignId=True)


def check_corrected(mol: Chem.Mol) -> None:
    """Refuse what the corrected splits of GEOM-Drugs leave out.

    These are molecules that RDKit does not sanitise or kekulise (see `with_bonds`), that are in
    several parts, or one of whose conformers has a bond 40 % longer or shorter than the sum of the
    covalent radii [1]_ (its ``scripts/geom_drugs_processing.py``; here the conformers that are read
    are looked at).

    References
    ----------
    .. [1] Nikitin, Dunn, Koes and Isayev, "GEOM-Drugs Revisited: Toward More Chemically Accurate
       Benchmarks for 3D Molecule Generation", arXiv:2505.00169;
       github.com/isayevlab/geom-drugs-3dgen-evaluation.

    Raises
    ------
    MoleculeError
        With the reason.
    """
    parts = len(Chem.GetMolFrags(mol))
    if parts > 1:
        raise MoleculeError("it consists of several parts")
    ends = _ends(mol)
    radii = np.array([_RADII.get(a.GetAtomicNum(), _OTHER_RADIUS) for a in mol.GetAtoms()])
    positions = np.array([c.GetPositions() for c in mol.GetConformers()])
    if not _fits(positions, ends, radii).all():
        raise MoleculeError("a bond is too long or too short in one of its conformers")


def _of_smiles(molecule: GeomMolecule) -> Chem.Mol:
    graph = Chem.MolFromSmiles(molecule.smiles)
    if graph is None:
        raise MoleculeError("RDKit cannot read its SMILES")
    graph = Chem.AddHs(graph)
    numbers = [atom.GetAtomicNum() for atom in graph.GetAtoms()]
    if sorted(numbers) != sorted(molecule.numbers.tolist()):
        raise MoleculeError("its SMILES has other atoms than its geometry")
    first = molecule.positions[:1]
    radii = covalent_radii()
    if numbers == molecule.numbers.tolist():
        if _fits(first, _ends(graph), radii[numbers], TOLERANCE).all():
            return graph
    # Not in the SMILES' order: whatever atoms are bonded as it says.
    shown = Chem.RWMol()
    for number in molecule.numbers.tolist():
        shown.AddAtom(Chem.Atom(int(number)))
    _place(shown, first)
    rdDetermineBonds.DetermineConnectivity(shown)
    plain = Chem.RWMol(graph)
    for atom in plain.GetAtoms():
        atom.SetFormalCharge(0)
        atom.SetIsAromatic(False)
        atom.SetNoImplicit(True)
    for bond in plain.GetBonds():
        bond.SetBondType(Chem.BondType.SINGLE)
        bond.SetIsAromatic(False)
    match = shown.GetSubstructMatch(plain)
    if not match or shown.GetNumBonds() != plain.GetNumBonds():
        raise MoleculeError("its geometry has other bonds than its SMILES")
    order = [0] * len(match)
    for own, place in enumerate(match):
        order[place] = own
    return Chem.RenumberAtoms(graph, order)


def _ends(mol: Chem.Mol) -> np.ndarray:
    ends = [(b.GetBeginAtomIdx(), b.GetEndAtomIdx()) for b in mol.GetBonds()]
    return np.array(ends, int).reshape(-1, 2)


def _fits(
    positions: np.ndarray, ends: np.ndarray, radii: np.ndarray, tolerance: float = TOLERANCE
) -> np.ndarray:
    """Whether each conformer (k, n, 3) has all bonds about as long as they should be, (k,)."""
    lengths = np.linalg.norm(positions[:, ends[:, 0]] - positions[:, ends[:, 1]], axis=-1)
    wanted = radii[ends].sum(axis=1)
    return (np.abs(lengths - wanted) <= tolerance * wanted).all(axis=1)


def _kind(error: Exception) -> str:
    """The sort of error alone, so that they can be counted."""
    return type(error).__name__
