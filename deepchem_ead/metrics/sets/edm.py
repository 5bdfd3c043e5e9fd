"""EDM's numbers of a set: pooled stability, uniqueness, novelty."""

from __future__ import annotations

from dataclasses import dataclass

from deepchem_ead.metrics.sets.number import SETS, BaseNumbers
from deepchem_ead.metrics.sets.sample import Sample


def share(part: int, whole: int) -> float:
    """A fraction; 0 of nothing."""
    return part / whole if whole else 0.0


@SETS.register("atom_stability")
@dataclass(frozen=True)
class AtomStability(BaseNumbers):
    """Share of all atoms with an allowed valence."""

    name = "atom_stability"
    features = ("stable_atoms", "n_atoms")
    better = "higher"
    is_share = True

    def __call__(self, sample: Sample, reference: Sample) -> dict[str, float]:
        stable, all_atoms = sum(sample.known("stable_atoms")), sum(sample.known("n_atoms"))
        return {"atom_stability": share(stable, all_atoms)}


@SETS.register("uniqueness")
@dataclass(frozen=True)
class Uniqueness(BaseNumbers):
    """Distinct SMILES over valid molecules, and over all."""

    name = "uniqueness"
    rows = ("uniqueness", "valid_unique")
    features = ("edm_smiles",)
    better = "higher"
    is_share = True

    def __call__(self, sample: Sample, reference: Sample) -> dict[str, float]:
        valid = sample.known("edm_smiles")
        distinct = len(set(valid))
        return {
            "uniqueness": share(distinct, len(valid)),
            "valid_unique": share(distinct, len(sample)),
        }


def _edm_known(reference: Sample) -> frozenset[str]:
    return frozenset(reference.known("edm_whole_smiles"))


@SETS.register("novelty")
@dataclass(frozen=True)
class Novelty(BaseNumbers):
    """Share of the distinct valid SMILES that the reference lacks."""

    name = "novelty"
    features = ("edm_smiles",)
    reference_features = ("edm_whole_smiles",)
    whole_reference = True
    is_share = True
    needs = frozenset({"reference"})

    def __call__(self, sample: Sample, reference: Sample) -> dict[str, float]:
        distinct = set(sample.known("edm_smiles"))
        known = reference.whole(_edm_known)
        return {"novelty": share(len(distinct - known), len(distinct))}
