"""Frechet ChemNet distance."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from deepchem_ead.metrics.sets.number import SETS, BaseNumbers
from deepchem_ead.metrics.sets.sample import Sample

_SIZE = 512


@cache
def _network() -> Any:
    import fcd

    return fcd.load_ref_model()


def activations(sample: Sample) -> np.ndarray:
    """ChemNet's answer to each constitution, (N, 512); NaN where a molecule is invalid."""
    import fcd

    smiles = sample["constitution"]
    rows = [i for i, text in enumerate(smiles) if text]
    found = np.full((len(smiles), _SIZE), np.nan, np.float32)
    if rows:
        texts = [smiles[i] for i in rows]
        found[rows] = fcd.get_predictions(_network(), texts, n_jobs=0, device="cpu")
    return found


def _moments(sample: Sample) -> tuple[np.ndarray, np.ndarray]:
    known = sample.derive(activations).astype(np.float64)
    known = known[np.isfinite(known).all(axis=1)]
    if len(known) < 2:
        return np.full(_SIZE, np.nan), np.full((_SIZE, _SIZE), np.nan)
    return known.mean(axis=0), np.cov(known, rowvar=False)


def _root(matrix: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T


def _reference(sample: Sample) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    mean, covariance = _moments(sample)
    root = _root(covariance) if np.isfinite(covariance).all() else covariance
    return mean, covariance, root


@SETS.register("fcd")
@dataclass(frozen=True)
class FCD(BaseNumbers):
    """``|m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2))`` of ChemNet's activations.

    Preuer et al., J. Chem. Inf. Model. 58, 1736 (2018). It falls with the size of the sample: only
    values of samples of one size compare, as the ceiling's is. SMILES are without stereo.
    """

    name = "fcd"
    features = ("constitution",)
    needs = frozenset({"reference"})
    better = "lower"
    packages = ("fcd",)

    def __call__(self, sample: Sample, reference: Sample) -> dict[str, float]:
        mean, covariance = _moments(sample)
        known_mean, known_covariance, root = reference.whole(_reference)
        if not (np.isfinite(mean).all() and np.isfinite(known_mean).all()):
            return {"fcd": float("nan")}
        # tr (S1 S2)^(1/2) by the symmetric matrix of the same eigenvalues.
        overlap = np.linalg.eigvalsh(root @ covariance @ root)
        trace = np.trace(covariance) + np.trace(known_covariance)
        cross = np.sqrt(np.maximum(overlap, 0.0)).sum()
        return {"fcd": max(0.0, float(((mean - known_mean) ** 2).sum() + trace - 2 * cross))}
