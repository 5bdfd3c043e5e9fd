"""Whether all electrons are paired, and charges are no radicals in disguise."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from rdkit import Chem

from deepchem_ead.metrics.checks.check import CHECKS, NOTHING, BaseCheck, Outcome, judged
from deepchem_ead.metrics.view import MoleculeView

# Groups that are written with charges for want of a better way; both atoms are accounted for.
_PAIRS = (
    "[N+]-[O-]", "[n+]-[O-]", "[N+]=[N-]", "[C-]#[N+]", "[C-]#[O+]", "[C-]-[N+]#N", "[N+]#[C]-[N-]",
    "[N-]-[N+]#N", "[C]#[N+]-[O-]", "[S+]-[O-]", "[P+]-[O-]", "[S+2](-[O-])-[O-]", "[n+]-[N-]",
    "[P+]-[C-]", "[S+]-[C-]", "[Cl,Br,I;+,+2,+3]-[O-]", "[O+]=[O,N]-[O-]", "[O-]-[O+]=O",
)  # fmt: skip
# A carbanion is believed where it is conjugated with something that wants its electrons.
_STABLE_CARBANION = "[C-,c-]-,:[C,c,N,S]=,#,:[O,N,S,C,o,n,s,c]"


@cache
def _patterns() -> tuple[list[Chem.Mol], Chem.Mol]:
    return [Chem.MolFromSmarts(text) for text in _PAIRS], Chem.MolFromSmarts(_STABLE_CARBANION)


def hidden_radicals(mol: Chem.Mol) -> list[int]:
    """Atoms with unpaired electrons, or charges that only make up for missing hydrogens.

    Moving a proton from an onium ion to an anion gives a neutral molecule of ordinary valences, and
    a nitro group or an isocyanide is written with charges by convention. What is neither, such as
    a carbonyl ylide C=[O+]-[CH2-], is the molecule C-O-C with a hydrogen missing at both ends.
    """
    found = [a.GetIdx() for a in mol.GetAtoms() if a.GetNumRadicalElectrons()]
    charged = [a for a in mol.GetAtoms() if a.GetFormalCharge()]
    if not charged:
        return found
    pairs, stable = _patterns()
    explained = {
        i for pattern in pairs for match in mol.GetSubstructMatches(pattern) for i in match
    }
    carbanions = {match[0] for match in mol.GetSubstructMatches(stable)}
    total = sum(a.GetFormalCharge() for a in charged)
    for atom in charged:
        index, charge = atom.GetIdx(), atom.GetFormalCharge()
        if index in explained or (charge > 0) == (total > 0) and total:
            continue
        if charge > 0 and not _onium(atom):
            found.append(index)
        elif charge < 0 and atom.GetAtomicNum() == 6 and index not in carbanions:
            found.append(index)
        elif charge < 0 and atom.GetAtomicNum() == 6 and _beside_double_onium(atom):
            found.append(index)
    return sorted(set(found))


def _onium(atom: Chem.Atom) -> bool:
    """Has a proton to give, or as many single bonds as an alkylated onium ion; or is a metal.

    A protonated carbonyl group is none: no base that a molecule of no charge may have leaves it so.
    """
    if atom.GetAtomicNum() in (5, 6):
        return False
    bonds = [bond.GetBondType() for bond in atom.GetBonds()]
    if atom.GetAtomicNum() == 8 and Chem.BondType.DOUBLE in bonds:
        return False
    if atom.GetDegree() == 0 or any(n.GetAtomicNum() == 1 for n in atom.GetNeighbors()):
        return True
    if atom.GetTotalNumHs() or atom.GetIsAromatic():
        return True
    return atom.GetAtomicNum() != 8 and all(kind == Chem.BondType.SINGLE for kind in bonds)


def _beside_double_onium(atom: Chem.Atom) -> bool:
    """A carbanion at an iminium or oxonium ion with one acceptor or none: a 1,3-dipole."""
    dipole = any(
        n.GetFormalCharge() > 0 and any(b.GetBondTypeAsDouble() == 2 for b in n.GetBonds())
        for n in atom.GetNeighbors()
        if n.GetAtomicNum() != 6
    )
    acceptors = sum(
        any(b.GetBondTypeAsDouble() > 1 for b in n.GetBonds())
        for n in atom.GetNeighbors()
        if n.GetAtomicNum() == 6
    )
    return dipole and acceptors < 2


@CHECKS.register("closed_shell")
@dataclass(frozen=True)
class ClosedShell(BaseCheck):
    """No unpaired electrons, and none that charges hide where two hydrogens are missing.

    See `hidden_radicals`.
    """

    name = "closed_shell"

    def __call__(self, view: MoleculeView) -> Outcome:
        if view.mol is None:
            return NOTHING
        atoms = hidden_radicals(view.mol)
        names = [f"{view.mol.GetAtomWithIdx(i).GetSymbol()}{i}" for i in atoms]
        return judged(not atoms, f"hydrogens are missing at {', '.join(names)}")
