"""How different the molecules of a set are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from rdkit import Chem, DataStructs
from rdkit.Chem import rdFingerprintGenerator

from deepchem_ead.metrics.sets.number import SETS, BaseNumbers
from deepchem_ead.metrics.sets.sample import Sample

BITS = 2048


def fingerprints(sample: Sample) -> list[DataStructs.ExplicitBitVect | None]:
    """Morgan fingerprints of radius 2 of the constitutions; None where invalid."""
    generator = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=BITS)
    mols = [None if text is None else Chem.MolFromSmiles(text) for text in sample["constitution"]]
    return [None if mol is None else generator.GetFingerprint(mol) for mol in mols]


@SETS.register("distinct")
@dataclass(frozen=True)
class Distinct(BaseNumbers):
    """Distinct constitutions and stereoisomers over valid molecules."""

    name = "distinct"
    rows = ("distinct_constitutions", "distinct_isomers")
    features = ("constitution", "smiles")
    better = "higher"

    def __call__(self, sample: Sample, reference: Sample) -> dict[str, float]:
        flat, full = sample.known("constitution"), sample.known("smiles")
        return {
            "distinct_constitutions": len(set(flat)) / len(flat) if flat else 0.0,
            "distinct_isomers": len(set(full)) / len(full) if full else 0.0,
        }


@SETS.register("internal_diversity")
@dataclass(frozen=True)
class InternalDiversity(BaseNumbers):
    """One minus the mean Tanimoto similarity of pairs of molecules.

    Parameters
    ----------
    pairs : int
        Drawn at random, always the same, where there are more.
    """

    name = "internal_diversity"
    features = ("constitution",)
    better = "higher"
    pairs: int = 20_000

    def __call__(self, sample: Sample, reference: Sample) -> dict[str, float]:
        known = [f for f in sample.derive(fingerprints) if f is not None]
        if len(known) < 2:
            return {"internal_diversity": float("nan")}
        if len(known) * (len(known) - 1) // 2 <= self.pairs:
            similar = [
                value
                for i, each in enumerate(known)
                for value in DataStructs.BulkTanimotoSimilarity(each, known[:i])
            ]
            return {"internal_diversity": 1 - float(np.mean(similar))}
        random = np.random.default_rng(0)
        first = random.integers(0, len(known), self.pairs)
        second = (first + random.integers(1, len(known), self.pairs)) % len(known)
        similar = [
            DataStructs.TanimotoSimilarity(known[i], known[j])
            for i, j in zip(first.tolist(), second.tolist(), strict=True)
        ]
        return {"internal_diversity": 1 - float(np.mean(similar))}
