"""The molecule that conformers are drawn of."""

from __future__ import annotations

from typing import Any

import numpy as np
from rdkit import Chem, rdBase

from deepchem_ead.chem.stereo import open_stereo
from deepchem_ead.errors import MoleculeError


def read_graph(mol: str | Chem.Mol) -> tuple[Chem.Mol, str]:
    """A molecule with all hydrogens and without conformers, and what to call it.

    Its atoms are numbered as in the input, hydrogens that a SMILES writes as atoms included; the
    others follow.

    Raises
    ------
    MoleculeError
        If it is no SMILES, or RDKit refuses the molecule.
    """
    if isinstance(mol, str):
        parameters: Any = Chem.SmilesParserParams()
        parameters.removeHs = False
        with rdBase.BlockLogs():
            read = Chem.MolFromSmiles(mol.strip(), parameters)
        if read is None:
            raise MoleculeError(f"{mol!r} is not a SMILES that RDKit can read")
        name = repr(mol)
    elif isinstance(mol, Chem.Mol):
        read = _sanitized(mol)
        name = repr(Chem.MolToSmiles(Chem.RemoveHs(read)))
    else:
        raise ValueError(f"mol is a {type(mol).__name__}; give a SMILES or an RDKit molecule")
    read.RemoveAllConformers()
    return Chem.AddHs(read), name


def _sanitized(mol: Chem.Mol, where: str = "") -> Chem.Mol:
    copy = Chem.Mol(mol)
    with rdBase.BlockLogs():
        try:
            Chem.SanitizeMol(copy)
        except ValueError as error:
            raise MoleculeError(f"{where}the molecule is none for RDKit: {error}") from None
    return copy


def check_graph(molecule: Chem.Mol, name: str) -> None:
    """Refuse what has no conformers.

    Raises
    ------
    MoleculeError
        If the molecule has no atoms, dummy atoms, or several parts.
    """
    if not molecule.GetNumAtoms():
        raise MoleculeError(f"{name} has no atoms")
    if any(atom.GetAtomicNum() == 0 for atom in molecule.GetAtoms()):
        raise MoleculeError(f"{name} holds a dummy atom (*); give it an element")
    parts = len(Chem.GetMolFrags(molecule))
    if parts > 1:
        raise MoleculeError(
            f"{name} consists of {parts} parts, whose places to each other a conformer does not "
            "say; give one of them"
        )


def open_centres(molecule: Chem.Mol) -> str:
    """Which centres and double bonds a molecule leaves open, in words; "" for none."""
    found = open_stereo(Chem.RemoveHs(molecule))
    plural = "s are" if len(found) > 1 else " is"
    return f"{len(found)} configuration{plural} not specified" if found else ""


def positions_of(molecule: Chem.Mol, start: Chem.Mol) -> list[np.ndarray]:
    """Conformers of ``start`` as positions (n, 3) of the atoms of ``molecule``.

    Atoms are matched by the graph, those of one numbering by their numbers; hydrogens that are
    missing are placed.

    Raises
    ------
    MoleculeError
        If it is another molecule, or has no 3D conformer.
    """
    own = _sanitized(start, "start: ")
    flat = own.GetNumAtoms() > 3 and not any(c.Is3D() for c in own.GetConformers())
    if not own.GetNumConformers() or flat:
        raise MoleculeError("start: it has no 3D conformer")
    own = Chem.AddHs(own, addCoords=True)
    if own.GetNumAtoms() != molecule.GetNumAtoms() or (
        Chem.GetFormalCharge(own) != Chem.GetFormalCharge(molecule)
    ):
        raise MoleculeError(_another(own, molecule))
    same = all(
        a.GetAtomicNum() == b.GetAtomicNum()
        for a, b in zip(own.GetAtoms(), molecule.GetAtoms(), strict=True)
    ) and all(
        own.GetBondBetweenAtoms(b.GetBeginAtomIdx(), b.GetEndAtomIdx()) is not None
        for b in molecule.GetBonds()
    )
    if same:
        match = tuple(range(molecule.GetNumAtoms()))
    else:
        # Where stereo can be matched it is: which atom is which matters for the check.
        shown = Chem.Mol(own)
        Chem.AssignStereochemistryFrom3D(shown)
        match = shown.GetSubstructMatch(molecule, useChirality=True)
        match = match or own.GetSubstructMatch(molecule)
    if not match:
        raise MoleculeError(_another(own, molecule))
    return [conformer.GetPositions()[list(match)] for conformer in own.GetConformers()]


def _another(own: Chem.Mol, molecule: Chem.Mol) -> str:
    first, second = (Chem.MolToSmiles(Chem.RemoveHs(mol)) for mol in (own, molecule))
    return f"start: it is another molecule, {first} and not {second}"
