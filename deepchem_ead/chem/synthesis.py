"""How hard a molecule is to make: the synthetic accessibility score that comes with RDKit."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from types import ModuleType

import numpy as np
from rdkit import Chem, RDConfig, rdBase


def sa_scores(mols: Iterable[Chem.Mol | None]) -> np.ndarray:
    """Synthetic accessibility, from 1 (easy) to 10 (hard).

    The score adds up how common a molecule's fragments are in PubChem and subtracts for size,
    rings, bridges and stereo centres. It was made for drug-like molecules and says little about
    very small ones: of QM9's real molecules half are above 4.2 and one in five is above 5.

    Parameters
    ----------
    mols : iterable of rdkit.Chem.Mol
        N sanitised molecules, with or without explicit hydrogens.

    Returns
    -------
    ndarray, (N,) float64
        NaN for None and for a molecule without atoms.

    Raises
    ------
    FileNotFoundError
        If RDKit was installed without its Contrib folder.

    References
    ----------
    Ertl and Schuffenhauer, Journal of Cheminformatics 1:8 (2009), in RDKit's implementation.

    Examples
    --------
    >>> aspirin = Chem.MolFromSmiles("CC(=O)Oc1ccccc1C(=O)O")
    >>> sa_scores([aspirin, None]).round(2)
    array([1.58,  nan])
    """
    scorer = _scorer()
    return np.array([_score(scorer, mol) for mol in mols], dtype=np.float64)


def _score(scorer: ModuleType, mol: Chem.Mol | None) -> float:
    if mol is None or mol.GetNumAtoms() == 0:
        return float("nan")
    with rdBase.BlockLogs():  # a lone hydrogen cannot be removed, and RDKit says so
        # Explicit hydrogens are fragments that the score does not know.
        return float(scorer.calculateScore(Chem.RemoveHs(mol)))


def _scorer() -> ModuleType:
    return contributed("SA_Score/sascorer.py")


@cache
def contributed(name: str) -> ModuleType:
    """A module of RDKit's Contrib folder, which is not a package everywhere, from its file.

    Raises
    ------
    FileNotFoundError
        If RDKit was installed without that folder.
    """
    path = Path(RDConfig.RDContribDir) / name
    spec = importlib.util.spec_from_file_location(f"rdkit_contrib_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"{path} is missing: it comes with RDKit's wheels on PyPI (pip install rdkit)"
        ) from error
    return module
