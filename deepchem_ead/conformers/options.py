"""What is asked of a set of conformers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from deepchem_ead.potentials.levels import find_level

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

    def __post_init__(self) -> None:
        for name in ("n", "tries", "keep"):
            value = getattr(self, name)
            whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
            if not (name == "keep" and value is None) and not (whole and value >= 1):
                raise ValueError(f"{name} must be a whole number from 1, not {value!r}")
        for name, least in (("prune", 0.0), ("window", 0.0), ("temperature", 1e-9)):
            value = getattr(self, name)
            if value is None and name == "window":
                continue
            number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
            if not number or not math.isfinite(value) or value < least:
                raise ValueError(f"{name} must be a number from {least:g}, not {value!r}")
        for name in ("relax", "energies"):
            if getattr(self, name) is not None:
                find_level(getattr(self, name), name)

    @property
    def energy_level(self) -> str | None:
        """Name of the level of the energies; None where none are needed."""
        needed = self.window is not None or self.keep is not None
        return self.energies or self.relax or ("mmff94s" if needed else None)

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
