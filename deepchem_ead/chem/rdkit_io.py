"""From RDKit molecules to plain arrays and back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from rdkit import Chem, rdBase

from deepchem_ead.chem.elements import Vocabulary
from deepchem_ead.chem.graphs import BOND_ORDERS, MolecularGraph
from deepchem_ead.chem.perception import perceived_molecule, sanitizes
from deepchem_ead.errors import MoleculeError

# Marks a molecule that EDM's protocol built with its number of atoms: the implicit hydrogens that
# EDM's rules allow it are not atoms that somebody forgot.
_REBUILT = "_deepchem_ead_rebuilt_atoms"

_QM9 = Vocabulary.parse("qm9")
_GEOM = Vocabulary.parse("geom")

# What RDKit raises on impossible molecules: sanitisation errors are ValueErrors, broken invariants
# RuntimeErrors.
RDKIT_ERRORS = (ValueError, RuntimeError)

#: How RDKit marks a double and a single bond whose stereo is declared unknown.
_UNSPECIFIED = (Chem.BondDir.EITHERDOUBLE, Chem.BondDir.UNKNOWN)
_AROMATIC = Chem.BondType.AROMATIC
#: Shapes of an atom's surroundings beyond tetrahedra, and their ligands.
_BEYOND_TETRAHEDRA = {
    Chem.ChiralType.CHI_SQUAREPLANAR: 4,
    Chem.ChiralType.CHI_TRIGONALBIPYRAMIDAL: 5,
    Chem.ChiralType.CHI_OCTAHEDRAL: 6,
}
_NEVER_HYPERVALENT = 10  # atomic number of neon
_TRANSITION_METALS = {*range(21, 31), *range(39, 49), *range(57, 81), *range(89, 113)}
_BOND_TYPES = Chem.BondType.values


class AtomArrays(NamedTuple):
    """One molecule as arrays.

    Attributes
    ----------
    numbers : numpy.ndarray
        Atomic numbers, int16, shape (n,).
    positions : numpy.ndarray
        Angstrom, float64, shape (n, 3).
    charge : int
        Total charge.
    graph : MolecularGraph or None
        Bonds, formal charges, isotopes and radicals; None for bare coordinates.
    """

    numbers: np.ndarray
    positions: np.ndarray
    charge: int
    graph: MolecularGraph | None = None


def listed(mols: Any) -> Iterable[Any]:
    """Molecules of which one may be given alone.

    Raises
    ------
    ValueError
        If these are none.
    """
    if isinstance(mols, Chem.Mol):
        return [mols]
    if isinstance(mols, str) or not isinstance(mols, Iterable):
        raise ValueError(
            f"{mols!r} is a {type(mols).__name__}; give RDKit molecules (files are read by "
            "MoleculeBatch.read)"
        )
    return mols


def name_of(mol: Any) -> str:
    """The name of a molecule; "" if it has none."""
    return mol.GetProp("_Name") if isinstance(mol, Chem.Mol) and mol.HasProp("_Name") else ""


def arrays_from_mol(mol: Chem.Mol, conformer_id: int = -1) -> AtomArrays:
    """Atomic numbers, coordinates, total formal charge and bonds of an RDKit molecule.

    Aromatic bonds are kekulised. Stereo labels are not read: they follow from the bonds and the
    coordinates.

    Parameters
    ----------
    mol : rdkit.Chem.Mol
        Molecule with explicit hydrogens and a 3D conformer. It need not be sanitised. Hydrogens are
        not judged in a molecule marked by :func:`mark_complete`, nor in one of several atoms
        without any bond (bare coordinates).
    conformer_id : int
        Conformer to take; -1 is the first one.

    Raises
    ------
    MoleculeError
        If there is no such 3D conformer, or an atom has implicit hydrogens or no element.
    """
    if mol is None:
        raise MoleculeError("is None: RDKit could not read it")
    if not isinstance(mol, Chem.Mol):
        raise MoleculeError(f"is a {type(mol).__name__}; give an RDKit molecule")
    n = mol.GetNumAtoms()
    atoms = atoms_of(mol)
    numbers = np.array([atom.GetAtomicNum() for atom in atoms], dtype=np.int16)
    if n and numbers.min() < 1:
        atom = int(numbers.argmin())
        raise MoleculeError(f"atom {atom} is a dummy or query atom without an element")
    positions = _positions(mol, conformer_id)
    complete = mol.HasProp(_REBUILT) and mol.GetIntProp(_REBUILT) == n
    if not complete and (n == 1 or mol.GetNumBonds()):
        _refuse_implicit_hydrogens(mol)
    return AtomArrays(
        numbers, positions, Chem.GetFormalCharge(mol), _graph(mol, atoms, not complete)
    )


def atoms_of(mol: Chem.Mol) -> list[Chem.Atom]:
    """Atoms in order; RDKit's own iterator takes several times as long."""
    return list(map(mol.GetAtomWithIdx, range(mol.GetNumAtoms())))


def bonds_of(mol: Chem.Mol) -> list[Chem.Bond]:
    """Bonds in order, as :func:`atoms_of`."""
    return list(map(mol.GetBondWithIdx, range(mol.GetNumBonds())))


def _graph(mol: Chem.Mol, atoms: list[Chem.Atom], bonds_are_given: bool) -> MolecularGraph | None:
    charges = np.array([atom.GetFormalCharge() for atom in atoms], np.int8)
    isotopes = np.array([atom.GetIsotope() for atom in atoms], np.int16)
    radicals = np.array([atom.GetNumRadicalElectrons() for atom in atoms], np.int8)
    # Atoms without any bond or charge are bare coordinates, whose bonds somebody left out.
    known = bonds_are_given and (mol.GetNumBonds() or charges.any() or radicals.any())
    bonds = kekulised_bonds(mol) if known else None
    if bonds is None and not (charges.any() or isotopes.any() or radicals.any()):
        return None
    unspecified = (
        None if bonds is None else np.array([_unspecified(b) for b in bonds_of(mol)], bool)
    )
    return MolecularGraph(charges, bonds, isotopes, radicals, unspecified)


def _unspecified(bond: Chem.Bond) -> bool:
    return bond.GetBondDir() in _UNSPECIFIED or bond.GetStereo() == Chem.BondStereo.STEREOANY


def kekulised_bonds(mol: Chem.Mol) -> np.ndarray | None:
    """Kekulised bonds, int32, (b, 3), as in :class:`MolecularGraph`.

    None where aromatic ones have no Kekule form or a type is unknown.
    """
    bonds = bonds_of(mol)
    if any(bond.GetIsAromatic() or bond.GetBondType() == _AROMATIC for bond in bonds):
        mol = Chem.Mol(mol)
        with rdBase.BlockLogs():
            try:
                mol.UpdatePropertyCache(strict=False)
                Chem.Kekulize(mol, clearAromaticFlags=True)
            except RDKIT_ERRORS:
                return None
        bonds = bonds_of(mol)
    orders = [int(bond.GetBondType()) for bond in bonds]
    if not set(orders).issubset(BOND_ORDERS):
        return None
    first = [bond.GetBeginAtomIdx() for bond in bonds]
    second = [bond.GetEndAtomIdx() for bond in bonds]
    return np.array([first, second, orders], np.int32).T


def _positions(mol: Chem.Mol, conformer_id: int) -> np.ndarray:
    n = mol.GetNumAtoms()
    if n == 0:
        return np.zeros((0, 3))
    if mol.GetNumConformers() == 0:
        raise MoleculeError(
            "has no conformer; give it 3D coordinates, for example with "
            "AllChem.EmbedMolecule(Chem.AddHs(mol))"
        )
    try:
        conformer = mol.GetConformer(conformer_id)
    except ValueError:
        known = [c.GetId() for c in mol.GetConformers()]
        raise MoleculeError(f"has no conformer {conformer_id} (it has {known})") from None
    # Up to three atoms always lie in a plane: a missing 3D flag says nothing about them.
    if n > 3 and not conformer.Is3D():
        raise MoleculeError(
            "has a flat 2D drawing instead of a 3D conformer; embed it in 3D, or mark the "
            "conformer with Set3D(True) if it really is planar"
        )
    return np.asarray(conformer.GetPositions(), dtype=np.float64).reshape(n, 3)


def _refuse_implicit_hydrogens(mol: Chem.Mol) -> None:
    if mol.NeedsUpdatePropertyCache():
        mol = Chem.Mol(mol)
        mol.UpdatePropertyCache(strict=False)
    if mol.GetNumAtoms(onlyExplicit=False) == mol.GetNumAtoms():
        return
    for atom in mol.GetAtoms():
        missing = atom.GetTotalNumHs()
        if missing:
            raise MoleculeError(
                f"atom {atom.GetIdx()} ({atom.GetSymbol()}) has {missing} hydrogen(s) without "
                "coordinates; make them explicit with Chem.AddHs(mol, addCoords=True)"
            )


def mol_from_graph(numbers: np.ndarray, positions: np.ndarray, graph: MolecularGraph) -> Chem.RWMol:
    """Molecule with given bonds and the coordinates as conformer, not sanitised, without stereo.

    Every atom is marked as having no further hydrogens.

    Parameters
    ----------
    numbers : numpy.ndarray
        Atomic numbers, shape (n,).
    positions : numpy.ndarray
        Angstrom, shape (n, 3).
    graph : MolecularGraph
        Without bonds, the atoms stand alone.

    Returns
    -------
    rdkit.Chem.RWMol
    """
    mol = skeleton(numbers, graph)
    conformer = Chem.Conformer(len(numbers))
    if len(numbers):
        conformer.SetPositions(np.ascontiguousarray(positions, dtype=np.float64))
    mol.AddConformer(conformer, assignId=True)
    return mol


def skeleton(numbers: np.ndarray, graph: MolecularGraph) -> Chem.RWMol:
    """:func:`mol_from_graph` without coordinates; bonds may have any type of RDKit's."""
    mol = Chem.RWMol()
    for number in numbers.tolist():
        atom = Chem.Atom(number)
        atom.SetNoImplicit(True)
        mol.AddAtom(atom)
    for values, setter in (
        (graph.formal_charges, Chem.Atom.SetFormalCharge),
        (graph.isotopes, Chem.Atom.SetIsotope),
        (graph.radicals, Chem.Atom.SetNumRadicalElectrons),
    ):
        if values is not None:
            for i in np.flatnonzero(values).tolist():
                setter(mol.GetAtomWithIdx(i), int(values[i]))
    if graph.bonds is not None:
        for i, j, order in graph.bonds.tolist():
            mol.AddBond(i, j, _BOND_TYPES[order])
        if graph.unspecified is not None:
            for k in np.flatnonzero(graph.unspecified).tolist():
                double = graph.bonds[k, 2] == 2
                mol.GetBondWithIdx(k).SetBondDir(_UNSPECIFIED[0 if double else 1])
    return mol


def molecule_of(
    numbers: np.ndarray,
    positions: np.ndarray,
    charge: int = 0,
    graph: MolecularGraph | None = None,
) -> Chem.Mol | None:
    """The molecule as it is shown, named and written: sanitised, stereo as in the coordinates.

    Given bonds are believed; otherwise bonds and charges are perceived
    (:func:`deepchem_ead.chem.perception.perceived_molecule`).

    Parameters
    ----------
    numbers : numpy.ndarray
        Atomic numbers, shape (n,).
    positions : numpy.ndarray
        Angstrom, shape (n, 3).
    charge : int
        Total charge, where bonds are not given.
    graph : MolecularGraph, optional

    Returns
    -------
    rdkit.Chem.Mol or None
        With the coordinates as conformer. None if there are no atoms, a coordinate is not finite,
        RDKit refuses the given bonds, or there is no closed-shell structure.
    """
    if len(numbers) == 0 or not np.isfinite(positions).all():
        return None
    with rdBase.BlockLogs():
        if graph is None or graph.bonds is None:
            mol = perceived_molecule(numbers, positions, charge)
            for i in (
                () if mol is None or graph is None else np.flatnonzero(graph.isotopes).tolist()
            ):
                mol.GetAtomWithIdx(i).SetIsotope(int(graph.isotopes[i]))
        else:
            mol = mol_from_graph(numbers, positions, graph)
            mol = mol if sanitizes(mol) else None
        if mol is None:
            return None
        Chem.AssignStereochemistryFrom3D(mol)
        if numbers.max() > _NEVER_HYPERVALENT:
            _drop_idle_labels(mol)
        return mol.GetMol()


def _drop_idle_labels(mol: Chem.Mol) -> None:
    """Take back labels beyond tetrahedra that tell nothing apart.

    RDKit labels every octahedron, those of SF6 and SF5Cl too, so that their SMILES would not equal
    the ones that anybody writes. A label is kept where at least two ligands differ from the rest;
    five ligands of a main-group element change places at room temperature.
    """
    labelled = [atom for atom in atoms_of(mol) if atom.GetChiralTag() in _BEYOND_TETRAHEDRA]
    if not labelled:
        return
    ranks = list(Chem.CanonicalRankAtoms(mol, breakTies=False, includeChirality=False))
    for atom in labelled:
        kinds = [ranks[other.GetIdx()] for other in atom.GetNeighbors()]
        others = len(kinds) - max(map(kinds.count, kinds))
        complete = len(kinds) == _BEYOND_TETRAHEDRA[atom.GetChiralTag()]
        metal = atom.GetAtomicNum() in _TRANSITION_METALS
        if not complete or others < 2 or (len(kinds) == 5 and not metal):
            atom.SetChiralTag(Chem.ChiralType.CHI_UNSPECIFIED)


def mark_complete(mol: Chem.Mol) -> None:
    """Say that the implicit hydrogens of a molecule are not atoms that somebody forgot."""
    mol.SetIntProp(_REBUILT, mol.GetNumAtoms())


def bond_vocabulary(numbers: np.ndarray) -> str | None:
    """Which of EDM's vocabularies holds all these elements: "qm9", else "geom", else None."""
    if _QM9.contains(numbers).all():
        return "qm9"
    return "geom" if _GEOM.contains(numbers).all() else None


def smiles_of(mol: Chem.Mol | None) -> str | None:
    """Canonical SMILES, with the stereo labels there are, without the explicit hydrogens.

    The molecule must be sanitised. None stays None.
    """
    if mol is None:
        return None
    with rdBase.BlockLogs():
        try:
            return Chem.MolToSmiles(Chem.RemoveHs(mol))
        except RDKIT_ERRORS:
            return None


def bare_molecule(numbers: np.ndarray, positions: np.ndarray) -> Chem.Mol:
    """Atoms and coordinates without bonds, marked so that no reader adds hydrogens to them."""
    mol = Chem.RWMol()
    for number in numbers:
        atom = Chem.Atom(int(number))
        atom.SetNoImplicit(True)
        mol.AddAtom(atom)
    conformer = Chem.Conformer(len(numbers))
    if len(numbers):
        conformer.SetPositions(np.asarray(positions, dtype=np.float64))
    mol.AddConformer(conformer)
    mol.UpdatePropertyCache(strict=False)
    return mol.GetMol()
