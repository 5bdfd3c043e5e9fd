"""What is asked of a set of conformers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from deepchem_ead.conformers.protonation import PH
from deepchem_ead.potentials.levels import GFN2, Level, find_level

#: Rounds in which conformers are drawn.
TRIES = 10
#: Purposes: what conformers are for, and what is asked of them then.
PURPOSES: Mapping[str, Mapping[str, Any]] = {
    # Shapes of what a molecule can look like, quickly.
    "screening": {"n": 50, "relax": "mmff94", "prune": 0.5, "window": 10.0},
    # Programs that turn the rotors themselves: the shapes of rings count.
    "docking": {"n": 50, "relax": "mmff94", "prune": 1.0, "window": 10.0, "keep": 5},
    # Starts of better calculations: the few that are populated.
    "dft": {"n": 50, "relax": "gfn2", "prune": 0.125, "window": 6.0, "keep": 20},
}


@dataclass(frozen=True)
class ConformerOptions:
    """What is asked of the conformers of a molecule.

    Attributes
    ----------
    n : int
        Conformers to draw that are right; pruning and selection leave some of them.
    tries : int
        Rounds in which what is wrong is drawn again.
    check_bonds : bool
        Draw again, too, what has bonded atoms apart or others too near.
    trans_amides : bool
        Draw secondary amides outside rings again where they are cis.
    relax : {"mmff94", "ani2xt", "gfn2"}, optional
        Level of theory at which every conformer is minimised.
    energies : {"mmff94", "ani2xt", "gfn2"}, optional
        Level of the energies by which conformers are ranked; by default that of ``relax``, or
        MMFF94s where something needs energies.
    prune : float
        Angstrom: of conformers whose heavy atoms are nearer to each other (RMSD, symmetry-
        corrected) the one of lowest energy stays. 0: none is pruned.
    window : float, optional
        Leave out what is so many kcal/mol above the lowest one.
    keep : int, optional
        The lowest ones.
    temperature : float
        Of Boltzmann weights, Kelvin.
    solvent : str, optional
        Continuum (ALPB) that GFN2-xTB computes in: `deepchem_ead.potentials.levels.SOLVENTS`.
    ph : float
        Of the water that protonation states are compared in.
    """

    n: int = 10
    tries: int = TRIES
    check_bonds: bool = True
    trans_amides: bool = False
    relax: str | None = None
    energies: str | None = None
    prune: float = 0.0
    window: float | None = None
    keep: int | None = None
    temperature: float = 298.15
    solvent: str | None = None
    ph: float = PH

    def __post_init__(self) -> None:
        for name in ("n", "tries", "keep"):
            value = getattr(self, name)
            whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
            if not (name == "keep" and value is None) and not (whole and value >= 1):
                raise ValueError(f"{name} must be a whole number from 1, not {value!r}")
        limits = (("prune", 0.0), ("window", 0.0), ("temperature", 1e-9), ("ph", -math.inf))
        for name, least in limits:
            value = getattr(self, name)
            if value is None and name == "window":
                continue
            number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
            if not number or not math.isfinite(value) or value < least:
                from_ = "" if least == -math.inf else f" from {least:g}"
                raise ValueError(f"{name} must be a number{from_}, not {value!r}")
        for name in ("relax", "energies"):
            if getattr(self, name) is not None:
                find_level(getattr(self, name), name)
        if self.solvent is not None:
            GFN2(solvent=self.solvent)  # refuses what is none
            if not any(isinstance(level, GFN2) for level in (self.relax_level, self.level)):
                raise ValueError(
                    f"solvent={self.solvent!r} is of GFN2-xTB: relax or energies must be gfn2"
                )

    @property
    def relax_level(self) -> Level | None:
        """The level at which conformers are minimised; None where they are not."""
        return None if self.relax is None else find_level(self.relax, "relax", self.solvent)

    @property
    def level(self) -> Level | None:
        """The level of the energies; None where none are needed."""
        needed = self.window is not None or self.keep is not None
        name = self.energies or self.relax or ("mmff94s" if needed else None)
        return None if name is None else find_level(name, "energies", self.solvent)

    @classmethod
    def for_purpose(cls, purpose: str | None, **given: Any) -> ConformerOptions:
        """Those of a purpose of `PURPOSES`, but for what is given (and not None).

        Raises
        ------
        ValueError
            If there is no such purpose, or an option is out of range.
        """
        if purpose is not None and purpose not in PURPOSES:
            raise ValueError(f"for {purpose!r}: choose {', '.join(PURPOSES)}")
        known = {field.name for field in fields(cls)}
        chosen = {name: value for name, value in given.items() if value is not None}
        assert set(chosen) <= known, set(chosen) - known
        return replace(cls(**(PURPOSES[purpose] if purpose else {})), **chosen)
