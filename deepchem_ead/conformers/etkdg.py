"""RDKit's distance geometry as a source of conformers: no model, and what models are measured by.

References
----------
.. [1] Wang et al., "Improving Conformer Generation for Small Rings and Macrocycles Based on
   Distance Geometry and Experimental Torsional-Angle Preferences", J. Chem. Inf. Model. 60, 2044
   (2020).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from rdkit import Chem, rdBase
from rdkit.Chem import rdDistGeom

from deepchem_ead.errors import MoleculeError

#: Seconds after which RDKit gives up: rings of rings can take for ever.
TIME_LIMIT = 120
#: Conformers that are tried first: where all of them fail, seconds each, the round is over.
_PROBES = 2


class ETKDG:
    """ETKDGv3 with a seed: conformer i of an attempt depends on the molecule, the seed and i.

    Parameters
    ----------
    molecule : rdkit.Chem.Mol
        With all hydrogens.
    name : str
        What messages call it.
    seed : int
    trans_amides : bool
        Draw no cis amides; others occur as rarely as chance wants.
    """

    method = "ETKDGv3"

    def __init__(
        self, molecule: Chem.Mol, name: str, seed: int = 0, trans_amides: bool = False
    ) -> None:
        self.molecule, self.name, self.seed = Chem.Mol(molecule), name, seed
        self.trans_amides = trans_amides

    def draw(self, n: int, attempt: int) -> list[np.ndarray]:
        """See `Source`; from the second attempt on it starts from random coordinates."""
        parameters: Any = rdDistGeom.ETKDGv3()
        parameters.randomSeed = attempt_seed(self.seed, attempt)
        parameters.enableSequentialRandomSeeds = True
        parameters.forceTransAmides = self.trans_amides
        parameters.useRandomCoords = attempt > 0
        parameters.timeout = TIME_LIMIT
        parameters.trackFailures = True
        found = self._embed(min(n, _PROBES), parameters)
        if found and n > _PROBES:
            parameters.randomSeed += _PROBES
            found += self._embed(n - _PROBES, parameters)
        return found

    def starting_at(self, conformers: Sequence[np.ndarray]) -> None:
        """See `Source`: distance geometry begins at random distances."""

    def _embed(self, n: int, parameters: Any) -> list[np.ndarray]:
        with rdBase.BlockLogs():
            try:
                rdDistGeom.EmbedMultipleConfs(self.molecule, n, parameters)
            except (ValueError, RuntimeError) as error:
                raise MoleculeError(f"{self.name} cannot be embedded in 3D: {error}") from None
        # The numbers that are returned are not those of the conformers where some fail.
        found = [np.array(each.GetPositions()) for each in self.molecule.GetConformers()]
        self.molecule.RemoveAllConformers()
        return found


def attempt_seed(seed: int, attempt: int) -> int:
    """The seed of an attempt, 0 to 2**31 - 1; the first one's is the seed itself."""
    if attempt == 0 and seed < 2**31:
        return int(seed)
    return int(np.random.SeedSequence([seed, attempt]).generate_state(1)[0] >> 1)
