"""Forms of a molecule: neutral, and protonated as in water of pH 7.4, by rules."""

from __future__ import annotations

from rdkit import Chem
from rdkit.Chem.MolStandardize import rdMolStandardize

#: What loses a proton (the first atom of the match): pKa below 6 or so.
_ACIDS = (
    "[OX2H1;+0][CX3]=[OX1]",  # carboxylic acids
    "[OX2H1;+0]S(=O)(=O)",  # sulfonic acids, half esters of sulfuric acid
    "[OX2H1;+0][SX3]=O",  # sulfinic acids
    "[OX2H1;+0]P=O",  # phosphoric and phosphonic acids
    "[nX3H1;+0]1nnnc1",  # tetrazoles
    "[nX3H1;+0]1nncn1",
    "[NX3H1;+0](C=O)S(=O)=O",  # acyl sulfonamides
)
#: What takes a proton (the first atom of the match): pKa of its cation above 8.5 or so.
_BASES = (
    # amidines and guanidines without acyl, cyano, hydroxy, amino or nitro groups on these nitrogens
    "[NX2;+0;!$(N[C,S]=[O,S]);!$(NC#N);!$(N[!#6;!#1])]=[CX3;!$(C[#16,#8])]"
    "[NX3;!$(N[C,S]=[O,S]);!$(NC#N);!$(N[!#6;!#1])]",
    # amines with carbons of sp3 only, which bear no other polar atom, nitrile or two fluorines
    "[NX3;+0;!$(N[!$([CX4])]);!$(N[CX4]~[!#6;!#1]);!$(N[CX4]C#N);!$(N[CX4]C(F)F)][CX4]",
)
_ACID_PATTERNS = tuple(Chem.MolFromSmarts(smarts) for smarts in _ACIDS)
_BASE_PATTERNS = tuple(Chem.MolFromSmarts(smarts) for smarts in _BASES)
#: Two bases that are this many bonds apart or fewer take one proton together, as piperazine does.
_NEAR = 4

_UNCHARGER = rdMolStandardize.Uncharger()


def neutral(mol: Chem.Mol) -> Chem.Mol:
    """The molecule without the charges that protons can take away; nitro groups stay."""
    return _UNCHARGER.uncharge(mol)


def physiological(mol: Chem.Mol, keep_order: bool = False) -> Chem.Mol:
    """The molecule as most of it is in water of pH 7.4: carboxylates, ammoniums, amidiniums ...

    Rules of thumb for groups that are alone: amines next to each other take one proton, groups of
    one acid of phosphorus or sulfur lose one.

    Parameters
    ----------
    mol : rdkit.Chem.Mol
        Neutral, without explicit hydrogens.
    keep_order : bool
        Number the atoms as they were; otherwise as SMILES do.

    Examples
    --------
    >>> Chem.MolToSmiles(physiological(Chem.MolFromSmiles("NCCC(=O)O")))
    '[NH3+]CCC(=O)[O-]'
    """
    ranks = list(Chem.CanonicalRankAtoms(mol, breakTies=True))
    acids = _sites(mol, _ACID_PATTERNS, ranks)
    bases = _sites(mol, _BASE_PATTERNS, ranks)
    distances = Chem.GetDistanceMatrix(mol)
    changes = [(atom, -1) for atom in _apart(acids, distances, 2)]
    changes += [(atom, 1) for atom in _apart(bases, distances, _NEAR)]
    if not changes:
        return mol
    changed = Chem.RWMol(mol)
    for index, charge in changes:
        atom = changed.GetAtomWithIdx(index)
        hydrogens = atom.GetTotalNumHs() + charge
        atom.SetFormalCharge(charge)
        atom.SetNoImplicit(True)
        atom.SetNumExplicitHs(hydrogens)
    Chem.SanitizeMol(changed)
    # Written and read: valence models other than SMILES' leave no trace.
    text = Chem.MolToSmiles(changed)
    written = Chem.MolFromSmiles(text)
    if not keep_order:
        return written
    order = list(changed.GetPropsAsDict(True, True)["_smilesAtomOutputOrder"])
    return Chem.RenumberAtoms(written, [order.index(k) for k in range(len(order))])


def is_neutral(mol: Chem.Mol) -> bool:
    """Whether a molecule has no charge, nor any that a proton could take away (zwitterions)."""
    if Chem.GetFormalCharge(mol):
        return False
    before = [atom.GetFormalCharge() for atom in mol.GetAtoms()]
    return before == [atom.GetFormalCharge() for atom in neutral(mol).GetAtoms()]


def _sites(mol: Chem.Mol, patterns: tuple[Chem.Mol, ...], ranks: list[int]) -> list[int]:
    found = {match[0] for pattern in patterns for match in mol.GetSubstructMatches(pattern)}
    return sorted(found, key=lambda atom: ranks[atom])


def _apart(atoms: list[int], distances, near: int) -> list[int]:
    """The first of the atoms, and each one more than ``near`` bonds from those taken before it."""
    taken: list[int] = []
    for atom in atoms:
        if all(distances[atom][other] > near for other in taken):
            taken.append(atom)
    return taken
