"""PoseBusters' checks of a molecule without a protein."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from deepchem_ead.metrics.checks.check import CHECKS, BaseCheck, Outcome, judged
from deepchem_ead.metrics.view import MoleculeView


@cache
def _suite(config: str) -> Any:
    from posebusters import PoseBusters

    return PoseBusters(config)


@CHECKS.register("posebusters")
@dataclass(frozen=True)
class PoseBusters(BaseCheck):
    """Buttenschoen, Morris and Deane, Chem. Sci. 15, 3130 (2024).

    A molecule without a structure, or in pieces, fails.

    Parameters
    ----------
    energy : bool
        Also the energy beside that of fifty conformers, which takes seconds a molecule.
    """

    name = "posebusters"
    slow = True
    packages = ("posebusters",)
    energy: bool = False

    def __call__(self, view: MoleculeView) -> Outcome:
        if view.mol is None:
            return judged(False, view.reason or "")
        import pandas as pd

        with pd.option_context("future.infer_string", False):  # a third faster
            table = _suite("mol" if self.energy else "mol_fast").bust([view.mol])
        (row,) = table.to_dict("records")
        # What cannot be computed is no fault: energies without a force field's parameters.
        failed = [name for name, passed in row.items() if not pd.isna(passed) and not passed]
        return judged(not failed, ", ".join(name.replace("_", " ") for name in failed))
