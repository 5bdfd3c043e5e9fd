"""What GFN2-xTB says of a molecule."""

from __future__ import annotations

from dataclasses import dataclass

from deepchem_ead.metrics.checks.check import CHECKS, NOTHING, BaseCheck, Column, Outcome, judged
from deepchem_ead.metrics.gfn2 import Relaxation, relaxation
from deepchem_ead.metrics.view import MoleculeView

#: Atoms up to which GFN2-xTB is asked; its cost grows with their cube.
MAX_ATOMS = 120


def gfn2_relaxation(view: MoleculeView) -> Relaxation | None:
    """The molecule's relaxation, computed once; None where it is too large or there is none."""
    return view.once(relaxation) if len(view) <= MAX_ATOMS else None


@CHECKS.register("sane")
@dataclass(frozen=True)
class Sane(BaseCheck):
    """The electrons of the geometry settle with a gap, and no bond breaks or forms on the way down.

    A proton that goes from a cation to an anion, or to another base, is no fault: so do ions in the
    gas phase, QM9's zwitterions among them.

    Parameters
    ----------
    min_gap : float
        Smallest HOMO-LUMO gap, eV.
    """

    name = "sane"
    slow = True
    packages = ("tblite",)
    columns = {
        "gap_ev": Column("HOMO-LUMO gap by GFN2-xTB, eV", "median"),
        "dipole_debye": Column("by GFN2-xTB", "median"),
        "bonds_changed": Column("bonds broken and formed by relaxation", ""),
        "relaxation_rmsd": Column("of all atoms, Angstrom", "median", "lower"),
        "bond_change": Column("mean of bond lengths by relaxation, Angstrom", "median", "lower"),
        "angle_change": Column("mean of angles by relaxation, degrees", "median", "lower"),
        "torsion_change": Column("mean of torsions by relaxation, degrees", "median", "lower"),
    }
    min_gap: float = 1.0

    def __call__(self, view: MoleculeView) -> Outcome:
        if view.mol is None:
            return judged(False, view.reason or "")
        if len(view) > MAX_ATOMS:
            return NOTHING
        found = gfn2_relaxation(view)
        if found is None:
            pieces = view.n_fragments > 1
            return judged(False, "in pieces" if pieces else "no self-consistent energy")
        wrong = []
        if not found.gap >= self.min_gap:
            wrong.append(f"gap {found.gap:.2f} eV")
        if found.bonds_changed and not found.proton_moved:
            wrong.append(f"{found.bonds_changed} bonds break or form")
        return judged(
            not wrong,
            ", ".join(wrong),
            gap_ev=found.gap,
            dipole_debye=found.dipole,
            bonds_changed=found.bonds_changed,
            relaxation_rmsd=found.rmsd,
            bond_change=found.bonds,
            angle_change=found.angles,
            torsion_change=found.torsions,
        )
