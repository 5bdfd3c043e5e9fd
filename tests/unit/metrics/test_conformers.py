"""Conformers beside reference ensembles: RMSDs as RDKit's, coverages by hand, failures, stereo."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rdkit import Chem
from rdkit.Chem import AllChem, rdMolAlign
from scipy.spatial.transform import Rotation

from deepchem_ead.errors import MoleculeError
from deepchem_ead.metrics import evaluate_conformers
from deepchem_ead.metrics import rmsd as module
from deepchem_ead.metrics.rmsd import best_rmsds, graph_matches, heavy_positions


def embedded(smiles: str, n: int = 4, seed: int = 1) -> Chem.Mol:
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    assert len(AllChem.EmbedMultipleConfs(mol, n, randomSeed=seed)) == n
    return mol


def renumbered(mol: Chem.Mol, seed: int = 0) -> Chem.Mol:
    order = np.random.default_rng(seed).permutation(mol.GetNumAtoms())
    return Chem.RenumberAtoms(mol, order.tolist())


def with_positions(mol: Chem.Mol, *positions: np.ndarray) -> Chem.Mol:
    copy = Chem.Mol(mol)
    copy.RemoveAllConformers()
    for x in positions:
        conformer = Chem.Conformer(mol.GetNumAtoms())
        conformer.SetPositions(np.ascontiguousarray(x, dtype=np.float64))
        copy.AddConformer(conformer, assignId=True)
    return copy


def chain(*angles: float, n: int = 4) -> Chem.Mol:
    """Butane's carbons at dihedral angles: what is between two of them is known."""
    mol = Chem.MolFromSmiles("CCCC")
    found = []
    for angle in np.radians(angles):
        ends = [[-0.8, 1.3, 0], [0, 0, 0], [1.5, 0, 0]]
        last = [2.3, 1.3 * math.cos(angle), 1.3 * math.sin(angle)]
        found.append(np.array([*ends, last]))
    return with_positions(mol, *found)


# ------------------------------------------------------------------------------------------ RMSDs


SYMMETRIC = [
    "FC(F)(F)C(C)(C)C", "c1ccccc1C(F)(F)F", "C[N+](=O)[O-]", "CC(=O)[O-]", "CC(=O)O",
    "CS(=O)(=O)[O-]", "COP(=O)([O-])[O-]", "NC(N)=[NH2+]", "C12C3C4C1C5C2C3C45", "N#CC#N",
    "C[C@H](N)C(=O)NC1CCCC1", "c1ccc(cc1)-c1ccccc1", "O", "C", "[H][H]", "[2H]C", "C[C@@](F)(Cl)Br",
]  # fmt: skip


@pytest.mark.parametrize("smiles", SYMMETRIC)
def test_rmsds_are_those_of_rdkit(smiles):
    ours, theirs = embedded(smiles), renumbered(embedded(smiles, seed=2))
    found = best_rmsds(heavy_positions(ours), heavy_positions(theirs), graph_matches(ours, theirs))
    if ours.GetNumHeavyAtoms():
        ours, theirs = Chem.RemoveAllHs(ours), Chem.RemoveAllHs(theirs)
    expected = [[rdMolAlign.GetBestRMS(theirs, ours, j, i) for j in range(4)] for i in range(4)]
    assert np.allclose(found, expected, atol=2e-5)  # RDKit is no nearer to 0 itself


def test_a_cap_of_matches_is_rdkits(monkeypatch):
    ours, theirs = (Chem.RemoveHs(embedded("CC(C)(C)c1ccccc1", seed=seed)) for seed in (1, 2))
    expected = [
        [rdMolAlign.GetBestRMS(theirs, ours, j, i, None, 5) for j in range(4)] for i in range(4)
    ]
    monkeypatch.setattr(module, "_AT_ONCE", 7)  # several rounds
    matches = graph_matches(ours, theirs, max_matches=5)
    assert len(matches) == 5
    found = best_rmsds(heavy_positions(ours), heavy_positions(theirs), matches)
    assert np.allclose(found, expected, atol=2e-5)  # RDKit is no nearer to 0 itself


MOL = embedded("CC(=O)N1CCC(C(F)(F)F)CC1", n=1)
POSITIONS = MOL.GetConformer().GetPositions()


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**31 - 1), st.floats(0, 0.5), st.floats(-1000, 1000))
def test_turns_shifts_and_numbers_of_atoms_make_no_difference(seed, noise, shift):
    rng = np.random.default_rng(seed)
    moved = POSITIONS + noise * rng.standard_normal(POSITIONS.shape)
    turned = Rotation.random(random_state=seed % 2**31).apply(moved) + shift
    probe = renumbered(with_positions(MOL, turned), seed)
    plain = with_positions(MOL, moved)
    x, y = heavy_positions(MOL), heavy_positions(probe)
    found = best_rmsds(x, y, graph_matches(MOL, probe))[0, 0]
    same = best_rmsds(x, heavy_positions(plain), graph_matches(MOL, plain))[0, 0]
    assert found == pytest.approx(same, abs=1e-6)
    assert found == pytest.approx(best_rmsds(y, x, graph_matches(probe, MOL))[0, 0], abs=1e-6)
    if noise == 0:
        assert found < 1e-5


# ---------------------------------------------------------------------------------------- coverage


def test_coverage_by_hand():
    reference, generated = chain(60, 180, 300), chain(60, 62)
    matches = graph_matches(reference, generated)
    near = best_rmsds(heavy_positions(reference), heavy_positions(generated), matches)
    assert near[0, 0] < 1e-6 < near[0, 1] < 0.05 < near[1].min()
    report = evaluate_conformers(reference, generated, thresholds=[0.05, 5.0])
    row = report.summary.loc[0.05, "missed"]
    assert row["cov_recall"] == pytest.approx(1 / 3) and row["cov_precision"] == 1
    assert row["amr_recall"] == pytest.approx(near.min(axis=1).mean())
    assert row["amr_precision"] == pytest.approx(near[0, 1] / 2, abs=1e-6)
    assert report.summary.loc[5.0, "missed"]["cov_recall"] == 1
    assert list(report.summary.columns) == [
        "cov_recall", "amr_recall", "cov_precision", "amr_precision", "n", "failed", "stereo_kept",
    ]  # fmt: skip


def test_one_conformer_beside_itself():
    mol = embedded("c1ccccc1C(=O)[O-]", n=1)
    row = evaluate_conformers([mol], [renumbered(mol)]).summary.loc[0.5, "left out"]
    assert row[["cov_recall", "cov_precision", "n", "failed", "stereo_kept"]].tolist() == [
        1, 1, 1, 0, 1,
    ]  # fmt: skip
    assert row["amr_recall"] < 1e-5 and row["amr_precision"] < 1e-5


def test_failures_count_as_missed_and_not_at_all():
    good, bare = chain(60, 180), Chem.MolFromSmiles("CCCC")
    broken = with_positions(good, np.full((4, 3), np.nan))
    half = with_positions(good, good.GetConformer(0).GetPositions(), np.full((4, 3), np.inf))
    report = evaluate_conformers([good] * 5, [good, None, bare, broken, half], [0.1])
    missed, left_out = report.summary.loc[0.1, "missed"], report.summary.loc[0.1, "left out"]
    assert (missed["n"], missed["failed"]) == (5, 3) and (left_out["n"], left_out["failed"]) == (
        2, 3,
    )  # fmt: skip
    assert missed["cov_recall"] == pytest.approx(1.5 / 5)
    assert left_out["cov_recall"] == pytest.approx(1.5 / 2)
    assert left_out["cov_precision"] == pytest.approx(1.5 / 2)  # what is not finite covers nothing
    assert missed["amr_recall"] == left_out["amr_recall"]
    assert report.medians.loc[0.1, "missed"]["cov_recall"] == 0
    assert report.per_molecule["failed"].tolist() == [False, True, True, True, False]
    only = evaluate_conformers([good], [None], failures="left out").summary
    assert list(only.index) == [(0.5, "left out"), (0.75, "left out")]
    assert only["n"].tolist() == [0, 0] and only["cov_recall"].isna().all()


def test_processes_and_one_process_say_the_same():
    pairs = [(embedded(s, 5), embedded(s, 7, seed=3)) for s in ("CCCO", "CC(C)(C)CC", "OCC=C")]
    reference, generated = (list(each) for each in zip(*pairs, strict=True))
    one, two = (evaluate_conformers(reference, generated, workers=n).per_molecule for n in (1, 2))
    assert one.equals(two)


def test_energies_are_above_the_minimum():
    pytest.importorskip("tblite")
    mol = embedded("CO", n=2)
    relaxed = Chem.Mol(mol)
    AllChem.MMFFOptimizeMoleculeConfs(relaxed)
    raw, better = (
        evaluate_conformers(mol, each, [0.5], energies=True).summary["gfn2_kcal"].iloc[0]
        for each in (mol, relaxed)
    )
    assert raw > better > 0


# ------------------------------------------------------------------------------------------ stereo


@pytest.mark.parametrize(
    ("wanted", "shown", "kept"),
    [
        ("C[C@H](O)F", "C[C@H](O)F", 1), ("C[C@H](O)F", "C[C@@H](O)F", 0),
        ("C[C@H](O)F", "CC(O)F", None), ("CC(O)F", "C[C@H](O)F", 1),
        ("F/C=C/C", "F/C=C\\C", 0), ("F/C=C/C", "F/C=C/C", 1),
        ("C/C=N/[H]", "C/C=N\\[H]", 0), ("C/C=N/[H]", "C/C=N/[H]", 1),
        # A graph that maps R to S and back: which atom is which does not matter.
        ("C[C@H](O)[C@@H](C)O", "C[C@@H](O)[C@H](C)O", 1),
        ("C[C@H](O)[C@@H](C)O", "C[C@H](O)[C@H](C)O", 0),
        ("C[C@H](O)C(F)Cl", "C[C@H](O)[C@H](F)Cl", 1),
        ("O[C@H]1CC[C@@H](F)CC1", "O[C@H]1CC[C@H](F)CC1", 0),
        ("C[S@](=O)CC", "C[S@@](=O)CC", 0),
    ],
)  # fmt: skip
def test_stereo_is_looked_at_in_every_conformer(wanted, shown, kept):
    reference = embedded(wanted)
    probe = renumbered(embedded(shown, n=12))
    found = evaluate_conformers(reference, probe).per_molecule["stereo_kept"].iloc[0]
    assert (0 < found < 1) if kept is None else found == kept


# ---------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("reference", "generated", "message"),
    [
        ("CCO", "CCN", r"generated molecule 0 \(CCN\) is not its reference: the formulas differ"),
        ("CCO", "COC", "the bonds differ: CCO and COC"),
        ("CC(N)=O", "CC(=N)O", "hydrogens are on other atoms, as in tautomers"),
        ("CC(=O)O", "CC(=O)[O-]", "the formulas differ"),
        ("Cc1ccc(F)cc1", "Cc1cccc(F)c1", "the bonds differ"),
    ],
)
def test_other_molecules_are_refused(reference, generated, message):
    with pytest.raises(MoleculeError, match=message):
        evaluate_conformers(embedded(reference), embedded(generated))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([], []), ValueError, "no molecules"),
        (([MOL], []), ValueError, "1 reference molecules and 0 generated"),
        (([Chem.MolFromSmiles("CC")], [MOL]), MoleculeError, r"0 \(CC\) has no conformers"),
        (([None], [MOL]), TypeError, "reference molecule 0 is a NoneType"),
        (([MOL], ["CCO"]), TypeError, "generated molecule 0 is a str"),
        (([MOL], [MOL], [0.0]), ValueError, "give numbers above 0"),
        (("CCO", MOL), TypeError, "reference molecule 0 is a str"),
        (([MOL], [MOL], []), ValueError, "thresholds"),
        (([MOL], [MOL], "near"), ValueError, "thresholds='near': give numbers above 0"),
        (([MOL], [MOL], [0.5], "none"), ValueError, "choose 'both', 'missed', 'left out'"),
    ],
)
def test_what_cannot_be_compared_is_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        evaluate_conformers(*arguments)
