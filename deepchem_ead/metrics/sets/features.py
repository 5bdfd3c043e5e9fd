"""Features of one molecule that numbers of sets are made of."""

from __future__ import annotations

from collections import Counter

from rdkit import Chem

from deepchem_ead.chem.rdkit_io import RDKIT_ERRORS, bond_vocabulary
from deepchem_ead.errors import MoleculeError
from deepchem_ead.metrics import edm
from deepchem_ead.metrics.checks.edm import edm_score
from deepchem_ead.metrics.sets.sample import FEATURES
from deepchem_ead.metrics.view import MoleculeView


@FEATURES.register("n_atoms")
def n_atoms(view: MoleculeView) -> int:
    """Atoms, hydrogens included."""
    return len(view)


@FEATURES.register("stable_atoms")
def stable_atoms(view: MoleculeView) -> int:
    """Atoms with a valence that EDM allows."""
    return view.once(edm_score).n_stable


@FEATURES.register("edm_smiles")
def edm_smiles(view: MoleculeView) -> str | None:
    """SMILES of the largest fragment as EDM's protocol writes it."""
    return view.once(edm_score).smiles


@FEATURES.register("edm_whole_smiles")
def edm_whole_smiles(view: MoleculeView) -> str | None:
    """SMILES of the whole molecule as EDM's protocol rebuilds those of the training set."""
    vocabulary = view.vocabulary or bond_vocabulary(view.numbers) or "geom"
    try:
        return edm.whole_smiles(view.numbers, view.positions, view.charge, vocabulary)
    except MoleculeError:
        return None


@FEATURES.register("smiles")
def smiles(view: MoleculeView) -> str | None:
    """Canonical SMILES with stereo."""
    return view.smiles


def flat_molecule(view: MoleculeView) -> Chem.Mol | None:
    """The molecule without explicit hydrogens, stereo, isotopes and coordinates."""
    if view.mol is None:
        return None
    try:
        mol = Chem.RemoveHs(view.mol)
    except RDKIT_ERRORS:
        return None
    Chem.RemoveStereochemistry(mol)
    mol.RemoveAllConformers()
    for atom in mol.GetAtoms():
        atom.SetIsotope(0)
    return mol


@FEATURES.register("constitution")
def constitution(view: MoleculeView) -> str | None:
    """Canonical SMILES without stereo and isotopes: which atoms are bonded how."""
    mol = view.once(flat_molecule)
    return None if mol is None else Chem.MolToSmiles(mol)


@FEATURES.register("elements")
def elements(view: MoleculeView) -> dict[str, int]:
    """Atoms by element."""
    table = Chem.GetPeriodicTable()
    counts = Counter(view.numbers.tolist())
    return {table.GetElementSymbol(number): count for number, count in counts.items()}
