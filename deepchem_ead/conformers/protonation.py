"""Protonation states in water: which of them a molecule prefers at a pH.

Losing a proton changes the composition, so that energies compare only with a reference for the
proton. One constant for it (the free energy of the solvated proton, -270.3 kcal/mol, beside the
method's own energy of a proton; or one fitted) leaves GFN2-xTB with ALPB wrong by 7 kcal/mol, more
than assuming the same pKa for all acids does. What the field does with such methods [1]_ [2]_ is a
line for each kind of acid through known pKa values,

    RT ln(10) pKa = slope (E(base) - E(acid)) + offset,

with energies of the lowest minima in ALPB water. The lines here are fitted to thirty acids and
leave 2.5 kcal/mol, 1.8 units of pKa (``python -m benchmarks.proton_reference``).

References
----------
.. [1] Galano et al., "Empirically Fitted Parameters for Calculating pKa Values with Small
   Deviations from Experiments Using a Simple Computational Strategy", J. Chem. Inf. Model. 56, 1714
   (2016).
.. [2] Pracht and Grimme, "Efficient Quantum-Chemical Calculations of Acid Dissociation Constants
   from Free-Energy Relationships", J. Phys. Chem. A 125, 5681 (2021).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

from deepchem_ead.potentials.levels import GAS_CONSTANT

#: kcal/mol a unit of pKa, at 298.15 K.
PER_UNIT = GAS_CONSTANT * 298.15 * math.log(10)
#: Root mean square error of a proton's loss, kcal/mol: of acids left out of the fit.
ERROR = 2.5
PH = 7.4
#: The level of theory that the lines belong to.
LEVEL = "gfn2-alpb-water"


class Line(NamedTuple):
    """RT ln(10) pKa in kcal/mol as slope * (E(base) - E(acid)) + offset."""

    slope: float
    offset: float


#: Of acids without positive charge, and of cations.
ACIDS, CATIONS = Line(0.5148, -55.80), Line(0.3922, -34.63)


def loss_of_proton(difference: float, charge: int, ph: float) -> float:
    """Free energy in kcal/mol of a proton's loss in water of a pH.

    Parameters
    ----------
    difference : float
        E(base) - E(acid), kcal/mol, of the lowest minima of GFN2-xTB in ALPB water.
    charge : int
        Of the acid.
    ph : float

    Examples
    --------
    >>> round(loss_of_proton(124.56, 0, ph=7.4), 1)  # acetic acid: 1.364 (4.76 - 7.4) = -3.6
    -1.8
    """
    line = CATIONS if charge > 0 else ACIDS
    return line.slope * difference + line.offset - PER_UNIT * ph


def free_energies(lowest: Mapping[int, float], neutral: int, ph: float) -> dict[int, float]:
    """Free energies in kcal/mol of protonation states at a pH, above that with most protons.

    Parameters
    ----------
    lowest : mapping of int to float
        Energy of the lowest minimum (`LEVEL`, kcal/mol) by the number of protons.
    neutral : int
        The number of protons without charge.
    ph : float
    """
    found: dict[int, float] = {}
    before = None
    for n in sorted(lowest, reverse=True):
        if before is None:
            found[n] = 0.0
        else:
            each = (lowest[n] - lowest[before]) / (before - n)
            losses = (loss_of_proton(each, k - neutral, ph) for k in range(n + 1, before + 1))
            found[n] = found[before] + sum(losses)
        before = n
    return found
