"""Kinds of molecules of a set and how they differ, as numbers of `judge`."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from rdkit import Chem, DataStructs
from rdkit.Chem import AllChem

from deepchem_ead import judge
from deepchem_ead.metrics.sets import SETS, Sample
from deepchem_ead.metrics.sets.diversity import InternalDiversity, fingerprints
from deepchem_ead.metrics.sets.kinds import KINDS


@pytest.mark.parametrize(
    ("smiles", "expected"),
    [
        ("c1ccncc1", {"rings": 1, "aromatic": 1, "nitrogen": 1, "sp3_carbon": 0}),
        ("CC#N", {"rings": 0, "no_ring": 1, "triple_bond": 1, "sp3_carbon": 0.5}),
        ("C1CC1OO", {"rings": 1, "no_ring": 0, "oxygen": 2, "sp3_carbon": 1, "aromatic": 0}),
        ("C12C3C4C1C5C2C3C45", {"many_rings": 1, "nitrogen": 0}),
    ],
)
def test_each_kind(smiles, expected):
    found = SETS["kinds"]()(Sample({"constitution": [smiles, None]}, 2), None)
    assert list(found) == list(KINDS)
    assert {name: found[name] for name in expected} == pytest.approx(expected)


def test_they_are_rows_of_a_report_with_errors():
    mols = [Chem.AddHs(Chem.MolFromSmiles(text)) for text in ("CC#N", "CCN", "OCC", "C")]
    for mol in mols:
        AllChem.EmbedMolecule(mol, randomSeed=1)
    summary = judge(mols, suite={"sets": ["kinds"]}, workers=1, progress=False).summary
    row = summary.loc["triple_bond"]
    assert (row.value, row.n) == (0.25, 4) and row.error == pytest.approx((3 / 16 / 3) ** 0.5)
    nothing = SETS["kinds"]()(Sample({"constitution": [None]}, 1), None)
    assert all(value != value for value in nothing.values())


def test_diversity_is_of_all_pairs_where_there_are_few_and_of_a_sample_otherwise():
    smiles = ["CCO", "c1ccncc1", None, "CC(=O)NC", "CCCO", "C1CC1N", "CC#N"]
    sample = Sample({"constitution": smiles}, len(smiles))
    known = [each for each in fingerprints(sample) if each is not None]
    every = [1 - DataStructs.TanimotoSimilarity(*pair) for pair in combinations(known, 2)]
    (exact,) = InternalDiversity()(sample, sample).values()
    assert exact == pytest.approx(np.mean(every))
    (drawn,) = InternalDiversity(pairs=14)(sample, sample).values()
    assert drawn != exact and abs(drawn - exact) < 4 * np.std(every) / np.sqrt(14)
