"""Bonds of geometries that come without, from a trained model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rdkit import Chem

from deepchem_ead.chem.molecules import MoleculeBatch
from deepchem_ead.choices import DEFAULT_MODEL
from deepchem_ead.generation.bond_perception import find_bonds
from deepchem_ead.models.ead import EADModel

#: Evaluations that a molecule gets at most.
STEPS = 3


def perceive_bonds(
    mols: MoleculeBatch | Chem.Mol | Sequence[Chem.Mol],
    charges: Any = None,
    model: EADModel | str | Path = DEFAULT_MODEL,
    *,
    steps: int = STEPS,
    progress: bool = False,
) -> MoleculeBatch:
    """Bonds and formal charges of molecules that come as elements and coordinates.

    Parameters
    ----------
    mols : MoleculeBatch or RDKit molecules
        With all hydrogens. Bonds that they have are not looked at.
    charges : int or (N,) ints, optional
        Total charge of all or of each molecule, if it is known: the bonds and formal charges are
        then the likeliest ones that add up to it. By default it follows from the bonds.
    model : EADModel, str or Path
        A model that knows bonds and the task "perceive", or what ``EADModel.from_pretrained``
        takes.
    steps : int
        Evaluations at most: a molecule whose bonds ask for other formal charges than the model was
        told is shown to it again with these.
    progress : bool

    Returns
    -------
    MoleculeBatch
        The molecules with :attr:`MoleculeBatch.graphs`; coordinates, names and properties are the
        same. Molecules without a structure (of a given charge) get no bonds, and a warning says
        how many and why the first of them. What is found has closed shells: radicals are not.

    Raises
    ------
    ValueError
        If the model has not learned this.
    MoleculeError
        If a molecule has no atoms, or elements that the model does not know.
    """
    if not isinstance(model, EADModel):
        model = EADModel.from_pretrained(model)
    if not isinstance(mols, MoleculeBatch):
        mols = MoleculeBatch.from_rdkit(mols)
    return find_bonds(model, mols, charges, steps, progress)
