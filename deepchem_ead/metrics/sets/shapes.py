"""Features of geometry, rings and groups."""

from __future__ import annotations

from collections import Counter

import numpy as np
from rdkit import Chem

from deepchem_ead.metrics.checks.geometry import dihedrals
from deepchem_ead.metrics.sets.features import flat_molecule
from deepchem_ead.metrics.sets.sample import FEATURES
from deepchem_ead.metrics.view import MoleculeView

_MARKS = {1.0: "-", 1.5: ":", 2.0: "=", 3.0: "#"}
_BIN = 10  # degrees


def _bond_kind(bond: Chem.Bond) -> str:
    ends = sorted((bond.GetBeginAtom().GetSymbol(), bond.GetEndAtom().GetSymbol()))
    return _MARKS.get(bond.GetBondTypeAsDouble(), "~").join(ends)


@FEATURES.register("n_heavy")
def n_heavy(view: MoleculeView) -> int | None:
    """Atoms that are not hydrogen; None without any atom."""
    return int((view.numbers > 1).sum()) if len(view) else None


@FEATURES.register("bond_lengths")
def bond_lengths(view: MoleculeView) -> dict[str, list[float]] | None:
    """Angstrom, by elements and order: ``C=O``."""
    if view.mol is None:
        return None
    found: dict[str, list[float]] = {}
    for bond in view.mol.GetBonds():
        length = float(view.lengths[bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()])
        found.setdefault(_bond_kind(bond), []).append(round(length, 4))
    return found


@FEATURES.register("angles")
def angles(view: MoleculeView) -> dict[str, list[float]] | None:
    """Degrees, by elements and the centre's hybridisation: ``C-C(sp3)-H``."""
    if view.mol is None:
        return None
    found: dict[str, list[float]] = {}
    x = np.asarray(view.positions, float)
    for atom in view.mol.GetAtoms():
        near = list(atom.GetNeighbors())
        if len(near) < 2:
            continue
        unit = x[[n.GetIdx() for n in near]] - x[atom.GetIdx()]
        unit /= np.linalg.norm(unit, axis=1, keepdims=True)
        degrees = np.degrees(np.arccos(np.clip(unit @ unit.T, -1, 1)))
        middle = f"{atom.GetSymbol()}({str(atom.GetHybridization()).lower()})"
        for i in range(len(near)):
            for j in range(i + 1, len(near)):
                ends = sorted((near[i].GetSymbol(), near[j].GetSymbol()))
                found.setdefault(f"-{middle}-".join(ends), []).append(
                    round(float(degrees[i, j]), 2)
                )
    return found


@FEATURES.register("torsions")
def torsions(view: MoleculeView) -> dict[str, int] | None:
    """Torsions of heavy atoms by central bond and bins of ten degrees: ``C-C ring 60``."""
    if view.mol is None:
        return None
    kinds, atoms = [], []
    for bond in view.mol.GetBonds():
        b, c = bond.GetBeginAtom(), bond.GetEndAtom()
        left = [n.GetIdx() for n in b.GetNeighbors() if n.GetAtomicNum() > 1]
        right = [n.GetIdx() for n in c.GetNeighbors() if n.GetAtomicNum() > 1]
        kind = _bond_kind(bond) + (" ring" if bond.IsInRing() else "")
        for i in left:
            for j in right:
                if len({i, j, b.GetIdx(), c.GetIdx()}) == 4:
                    kinds.append(kind)
                    atoms.append((i, b.GetIdx(), c.GetIdx(), j))
    bins = np.minimum(np.abs(dihedrals(view.positions, atoms)) // _BIN, 180 // _BIN - 1) * _BIN
    return dict(Counter(f"{kind} {turn:.0f}" for kind, turn in zip(kinds, bins, strict=True)))


@FEATURES.register("ring_sizes")
def ring_sizes(view: MoleculeView) -> dict[str, int] | None:
    """Rings by size, aromatic ones apart; ``none`` for a molecule without."""
    if view.mol is None:
        return None
    rings = view.mol.GetRingInfo().BondRings()
    if not rings:
        return {"none": 1}
    aromatic = [all(view.mol.GetBondWithIdx(k).GetIsAromatic() for k in ring) for ring in rings]
    names = [f"{len(r)}{' aromatic' if a else ''}" for r, a in zip(rings, aromatic, strict=True)]
    return dict(Counter(names))


@FEATURES.register("hybridisation")
def hybridisation(view: MoleculeView) -> dict[str, int] | None:
    """Heavy atoms by element and hybridisation: ``C sp2``."""
    if view.mol is None:
        return None
    atoms = [a for a in view.mol.GetAtoms() if a.GetAtomicNum() > 1]
    return dict(Counter(f"{a.GetSymbol()} {str(a.GetHybridization()).lower()}" for a in atoms))


@FEATURES.register("groups")
def groups(view: MoleculeView) -> list[str] | None:
    """Functional groups, cut small: ``CH(=O)`` for an aldehyde, ``N(-N)`` for a hydrazine.

    The atoms are those that Ertl marks (J. Cheminform. 9:36, 2017): hetero atoms, charged or
    multiply bonded carbons, and carbons with two O, N or S at least. Ertl merges neighbours into
    one group, of which there are more than a reference of any size shows; here each atom stands
    for itself, with whether it has hydrogens and with its bonds except single ones to carbon.
    """
    mol = view.once(flat_molecule)
    if mol is None:
        return None
    found = []
    for atom in mol.GetAtoms():
        bonds = sorted(
            _MARKS.get(bond.GetBondTypeAsDouble(), "~") + _group_symbol(bond.GetOtherAtom(atom))
            for bond in atom.GetBonds()
        )
        if _is_functional(atom, bonds):
            kept = ",".join(bond for bond in bonds if bond not in ("-C", "-c"))
            hydrogen = "H" if atom.GetTotalNumHs() else ""
            found.append(f"{_group_symbol(atom)}{hydrogen}({kept})")
    return sorted(found)


def _group_symbol(atom: Chem.Atom) -> str:
    symbol = atom.GetSymbol().lower() if atom.GetIsAromatic() else atom.GetSymbol()
    charge = atom.GetFormalCharge()
    return symbol + ("+" if charge > 0 else "-" if charge < 0 else "")


def _is_functional(atom: Chem.Atom, bonds: list[str]) -> bool:
    if atom.GetAtomicNum() != 6 or atom.GetFormalCharge():
        return atom.GetAtomicNum() > 1
    if any(bond[0] in "=#" for bond in bonds):
        return True
    return not atom.GetIsAromatic() and sum(bond[1] in "NOSnos" for bond in bonds) > 1


@FEATURES.register("ring_systems")
def ring_systems(view: MoleculeView) -> list[str] | None:
    """Ring systems as SMILES: rings that share atoms, with the atoms doubly bonded to them."""
    mol = view.once(flat_molecule)
    return None if mol is None else ring_systems_of(mol)


def ring_systems_of(mol: Chem.Mol) -> list[str]:
    """Those of a molecule without explicit hydrogens and stereo."""
    systems: list[set[int]] = []
    for ring in map(set, mol.GetRingInfo().AtomRings()):
        joined = [system for system in systems if system & ring]
        systems = [system for system in systems if not system & ring] + [ring.union(*joined)]
    return sorted(Chem.MolFragmentToSmiles(mol, sorted(_with_exocyclic(mol, s))) for s in systems)


def _with_exocyclic(mol: Chem.Mol, system: set[int]) -> set[int]:
    more = {
        n.GetIdx()
        for i in system
        for n in mol.GetAtomWithIdx(i).GetNeighbors()
        if n.GetIdx() not in system
        and mol.GetBondBetweenAtoms(i, n.GetIdx()).GetBondTypeAsDouble() == 2
    }
    return system | more


@FEATURES.register("shape")
def shape(view: MoleculeView) -> list[int] | None:
    """Sorted distances of all heavy atoms in thousandths of an Angstrom."""
    heavy = view.numbers > 1
    if not heavy.any() or not np.isfinite(view.positions).all():
        return None
    lengths = view.lengths[np.ix_(heavy, heavy)][np.triu_indices(int(heavy.sum()), 1)]
    return np.sort(np.rint(1000 * lengths).astype(int)).tolist()
