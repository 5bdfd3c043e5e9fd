"""A reference ensemble: the union of several searches, minimised, with who found what."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from rdkit import Chem

from deepchem_ead.chem.stereo import stereo_smiles
from deepchem_ead.conformers.configuration import Configuration
from deepchem_ead.databuild.geometry import seed_of
from deepchem_ead.databuild.searches import SEARCHES
from deepchem_ead.errors import MoleculeError
from deepchem_ead.metrics.rmsd import best_rmsds, graph_matches, heavy_positions
from deepchem_ead.potentials.levels import Level, MMFF94s, placed

_MATCHES = 10_000  # of a graph with itself
#: Minima of the force field are one if both are this near: Angstrom, kcal/mol.
_SAME, _SAME_ENERGY = 0.05, 0.02


@dataclass(frozen=True)
class Recipe:
    """How a reference ensemble is made.

    Attributes
    ----------
    starts : int
        Of each search.
    most : int
        Lowest minima of MMFF94s that are minimised at the level.
    force_field_window : float
        Of these, kcal/mol above the lowest.
    window : float
        Of the ensemble, kcal/mol.
    apart : float
        Conformers nearer to each other than this (RMSD of heavy atoms, Angstrom) are one.
    """

    starts: int = 20
    most: int = 60
    force_field_window: float = 15.0
    window: float = 6.0
    apart: float = 0.1


@dataclass(frozen=True)
class Reference:
    """The conformers of a molecule.

    Attributes
    ----------
    mol : rdkit.Chem.Mol
        With all hydrogens and the conformers, the lowest first.
    smiles : str
        Canonical, with the stereo of the conformers.
    energies : numpy.ndarray
        kcal/mol, (conformers,).
    found_by : numpy.ndarray
        uint8, (conformers,): bit k is set where search k of `SEARCHES` has found it.
    """

    mol: Chem.Mol
    smiles: str
    energies: np.ndarray
    found_by: np.ndarray


@dataclass
class _Minimum:
    positions: np.ndarray
    energy: float
    found_by: int


def make_reference(molecule: Chem.Mol, level: Level, recipe: Recipe) -> Reference:
    """The reference ensemble of a molecule with all hydrogens and its stereo labels.

    Raises
    ------
    MoleculeError
        If there is none; the message is the reason, the same for all molecules of a kind.
    """
    level.check(molecule)
    configuration = Configuration(molecule)
    matches = graph_matches(molecule, molecule, _MATCHES)
    minima = _distinct(
        molecule, _force_field_minima(molecule, configuration, recipe), matches, _SAME, _SAME_ENERGY
    )
    minima = [m for m in minima if m.energy - minima[0].energy <= recipe.force_field_window]
    relaxed = []
    for minimum in minima[: recipe.most]:
        try:
            x, energy = level.relax(molecule, minimum.positions)
        except MoleculeError:
            continue
        x, problem = configuration.righted(x, check_bonds=True)
        if problem is None:
            relaxed.append(_Minimum(x, energy, minimum.found_by))
    if not relaxed:
        raise MoleculeError(f"no minimum of {level.label} has the bonds of the molecule")
    found = _distinct(molecule, relaxed, matches, recipe.apart)
    found = [m for m in found if m.energy - found[0].energy <= recipe.window]
    mol = Chem.Mol(molecule)
    mol.RemoveAllConformers()
    for minimum in found:
        mol.AddConformer(placed(molecule, minimum.positions).GetConformer(), assignId=True)
    return Reference(
        mol,
        stereo_smiles(mol),
        np.array([m.energy for m in found]),
        np.array([m.found_by for m in found], np.uint8),
    )


def _force_field_minima(
    molecule: Chem.Mol, configuration: Configuration, recipe: Recipe
) -> list[_Minimum]:
    field = MMFF94s()
    field.check(molecule)
    text = Chem.MolToSmiles(molecule)

    def minimum(x: np.ndarray, bit: int) -> _Minimum | None:
        try:
            x, energy = field.relax(molecule, x)
        except MoleculeError:
            return None
        x, problem = configuration.righted(x, check_bonds=True)
        return None if problem is not None else _Minimum(x, energy, bit)

    found: list[_Minimum] = []
    first: np.ndarray | None = None
    for k, (name, search) in enumerate(SEARCHES.items()):
        if first is None and k:
            raise MoleculeError("no conformer was found to begin with")
        begin = np.zeros((molecule.GetNumAtoms(), 3)) if first is None else first
        starts = search(molecule, begin, recipe.starts, seed_of("conformers", name, text))
        new = [minimum(x, 1 << k) for x in starts]
        found += [m for m in new if m is not None]
        if first is None and found:
            first = found[0].positions
    return found


def _distinct(
    molecule: Chem.Mol,
    minima: list[_Minimum],
    matches: np.ndarray,
    apart: float,
    energy: float = np.inf,
) -> list[_Minimum]:
    """The lowest of those that are one, who found any of them, in the order of their energies."""
    ordered = sorted(minima, key=lambda m: m.energy)
    heavy = [heavy_positions(placed(molecule, m.positions))[0] for m in ordered]
    kept: list[int] = []
    for k, minimum in enumerate(ordered):
        near = [j for j in kept if minimum.energy - ordered[j].energy <= energy]
        if near:
            rmsds = best_rmsds(heavy[k][None], np.array([heavy[j] for j in near]), matches)[0]
            closest = int(np.argmin(rmsds))
            if rmsds[closest] < apart:
                ordered[near[closest]].found_by |= minimum.found_by
                continue
        kept.append(k)
    return [ordered[k] for k in kept]
