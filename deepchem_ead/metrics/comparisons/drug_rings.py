"""Ring systems that known drugs have."""

from __future__ import annotations

import lzma
from collections import Counter
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

from rdkit import Chem, rdBase

from deepchem_ead.metrics.checks.check import NOTHING, Column, Outcome, judged
from deepchem_ead.metrics.comparisons.comparison import COMPARISONS, BaseComparison
from deepchem_ead.metrics.sets.sample import Sample
from deepchem_ead.metrics.sets.shapes import ring_systems_of


@COMPARISONS.register("drug_rings")
@dataclass(frozen=True)
class DrugRings(BaseComparison):
    """Known drugs have every ring system of the molecule; needs no reference.

    Those that come with the package are the 944 components with rings, of up to 80 heavy atoms, of
    the medicines that MedlinePlus or the NHS describe, with PubChem's structures, as the package
    drug-named-entity-recognition 2.0.9 lists them.

    Parameters
    ----------
    file : str
        SMILES of other drugs, the first word of each line; gzip is not read.
    least : int
        Drugs that must have each ring system.
    """

    name = "drug_rings"
    features = ("ring_systems",)
    needs = frozenset()
    columns = {"rarest_drug_ring": Column("drugs that have its rarest ring system", "median")}
    file: str = ""
    least: int = 1

    def __post_init__(self) -> None:
        if self.file:  # what is wrong with it is said before molecules are judged
            drug_systems(self.file)

    def __call__(self, sample: Sample, reference: Sample) -> list[Outcome]:
        known = drug_systems(self.file)
        found = []
        for systems in sample["ring_systems"]:
            if not systems:
                found.append(NOTHING)
                continue
            rare = sorted({each for each in systems if known[each] < self.least})
            fewest = min(known[each] for each in systems)
            found.append(judged(not rare, ", ".join(rare), rarest_drug_ring=fewest))
        return found


def drug_systems(file: str = "") -> Counter[str]:
    """Drugs by ring system.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        Names the line that is no SMILES.
    """
    if file:
        return _systems(Path(file).read_text(encoding="utf-8"), file)
    data = resources.files("deepchem_ead.metrics").joinpath("data", "drugs.smi.xz")
    return _systems(lzma.decompress(data.read_bytes()).decode(), data.name)


@cache
def _systems(text: str, source: str) -> Counter[str]:
    found: Counter[str] = Counter()
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.split()
        if not words or (number == 1 and words[0].lower() == "smiles"):
            continue
        with rdBase.BlockLogs():
            mol = Chem.MolFromSmiles(words[0])
        if mol is None:
            raise ValueError(
                f"{source}, line {number}: {words[0][:60]!r} is no SMILES of a molecule"
            )
        Chem.RemoveStereochemistry(mol)
        found.update(set(ring_systems_of(mol)))
    return found
