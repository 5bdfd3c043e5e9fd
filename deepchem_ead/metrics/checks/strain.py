"""Energy above a molecule's own minimum."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from rdkit import Chem
from rdkit.Chem import rdForceFieldHelpers

from deepchem_ead.metrics.checks.check import CHECKS, NOTHING, BaseCheck, Column, Outcome, judged
from deepchem_ead.metrics.checks.gfn2 import MAX_ATOMS, gfn2_relaxation
from deepchem_ead.metrics.minimum import superposed_rmsd
from deepchem_ead.metrics.view import MoleculeView

_ROUNDS = 20  # of 200 steps


def mmff_relaxation(view: MoleculeView) -> tuple[float, float] | None:
    """Energy above the minimum (kcal/mol) and RMSD (Angstrom) by MMFF94; None without parameters.

    Halgren, J. Comput. Chem. 17, 490 (1996).
    """
    if view.whole is None:
        return None
    mol = Chem.Mol(view.whole)
    properties = rdForceFieldHelpers.MMFFGetMoleculeProperties(mol)
    if properties is None:
        return None
    field = rdForceFieldHelpers.MMFFGetMoleculeForceField(mol, properties)
    if field is None:
        return None
    start = field.CalcEnergy()
    for _ in range(_ROUNDS):
        if field.Minimize(maxIts=200) == 0:
            break
    moved = np.asarray(field.Positions()).reshape(-1, 3)
    return start - field.CalcEnergy(), superposed_rmsd(np.asarray(view.positions, float), moved)


@CHECKS.register("low_strain")
@dataclass(frozen=True)
class LowStrain(BaseCheck):
    """Energy above the minimum that the geometry leads to, by GFN2-xTB; above 120 atoms MMFF94.

    ``strain_by`` says which; MMFF94 measures only, as its minima are far from those of quantum
    chemistry. Raw energies explode on noise in bond lengths, which
    ``local_strain_kcal`` leaves out: it is taken after a few steps of relaxation. A zwitterion
    whose proton moves has no minimum of its own, and no strain.

    Parameters
    ----------
    limit : float
        Largest strain, kcal/mol.
    """

    name = "low_strain"
    slow = True
    packages = ("tblite",)
    columns = {
        "strain_kcal": Column(
            "energy above the molecule's own minimum, kcal/mol", "median", "lower"
        ),
        "local_strain_kcal": Column("the same after a small local relaxation", "median", "lower"),
        "strain_by": Column("GFN2-xTB or MMFF94"),
    }
    limit: float = 10.0

    def __call__(self, view: MoleculeView) -> Outcome:
        if len(view) > MAX_ATOMS:
            found = view.once(mmff_relaxation)
            if found is None:
                return NOTHING
            return Outcome(columns={"strain_kcal": found[0], "strain_by": "MMFF94"})
        relaxed = gfn2_relaxation(view)
        if relaxed is None or relaxed.proton_moved:
            return NOTHING
        return judged(
            relaxed.strain <= self.limit,
            f"{relaxed.strain:.1f} kcal/mol above its minimum",
            strain_kcal=relaxed.strain,
            local_strain_kcal=relaxed.local_strain,
            strain_by="GFN2-xTB",
        )


@CHECKS.register("mmff")
@dataclass(frozen=True)
class MMFF(BaseCheck):
    """Energy above the minimum by MMFF94, milliseconds a molecule; measures only."""

    name = "mmff"
    judges = False
    columns = {
        "mmff_strain_kcal": Column(
            "energy above the minimum by MMFF94, kcal/mol", "median", "lower"
        ),
        "mmff_rmsd": Column("of all atoms, Angstrom", "median", "lower"),
    }

    def __call__(self, view: MoleculeView) -> Outcome:
        found = view.once(mmff_relaxation)
        if found is None:
            return NOTHING
        return Outcome(columns={"mmff_strain_kcal": found[0], "mmff_rmsd": found[1]})
