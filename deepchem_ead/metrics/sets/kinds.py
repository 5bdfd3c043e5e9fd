"""What kinds of molecules a set has: rings, unsaturation, elements."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from rdkit import Chem
from rdkit.Chem import rdMolDescriptors

from deepchem_ead.metrics.sets.number import SETS, BaseNumbers
from deepchem_ead.metrics.sets.sample import Sample

TRIPLE_BOND, NITROGEN, OXYGEN = map(Chem.MolFromSmarts, ("*#*", "[#7]", "[#8]"))

#: A number of each molecule, whose mean over a set is that of the kind.
KINDS: dict[str, Callable[[Chem.Mol], float]] = {
    "rings": rdMolDescriptors.CalcNumRings,
    "no_ring": lambda mol: rdMolDescriptors.CalcNumRings(mol) == 0,
    "many_rings": lambda mol: rdMolDescriptors.CalcNumRings(mol) > 3,
    "aromatic": lambda mol: rdMolDescriptors.CalcNumAromaticRings(mol) > 0,
    "triple_bond": lambda mol: mol.HasSubstructMatch(TRIPLE_BOND),
    "sp3_carbon": rdMolDescriptors.CalcFractionCSP3,
    "nitrogen": lambda mol: len(mol.GetSubstructMatches(NITROGEN)),
    "oxygen": lambda mol: len(mol.GetSubstructMatches(OXYGEN)),
}


@SETS.register("kinds")
@dataclass(frozen=True)
class Kinds(BaseNumbers):
    """Means over molecules, to be read beside those of held-out ones.

    Rings, nitrogen and oxygen atoms of a molecule; the shares of molecules without a ring, with
    four or more, with an aromatic one, with a triple bond; the share of carbon atoms that are sp3.
    A sampler that makes more valid molecules by making more of one kind shows here.
    """

    name = "kinds"
    rows = tuple(KINDS)
    features = ("constitution",)

    def __call__(self, sample: Sample, reference: Sample) -> dict[str, float]:
        known = sample.derive(kinds_of)
        known = known[np.isfinite(known).all(1)]
        means = known.mean(0) if len(known) else np.full(len(KINDS), np.nan)
        return dict(zip(KINDS, means.tolist(), strict=True))


def kinds_of(sample: Sample) -> np.ndarray:
    """`KINDS` of each molecule, (N, K); NaN where it is invalid."""
    return table_of([text and Chem.MolFromSmiles(text) for text in sample["constitution"]])


def table_of(mols: list[Chem.Mol | None]) -> np.ndarray:
    """`KINDS` of each molecule, (N, K); NaN where there is none."""
    found = np.full((len(mols), len(KINDS)), np.nan)
    for row, mol in zip(found, mols, strict=True):
        if mol:
            row[:] = [kind(mol) for kind in KINDS.values()]
    return found
