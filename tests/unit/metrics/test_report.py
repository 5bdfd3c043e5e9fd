"""Inputs, report, table, reference sets, single functions, GenerativeMetric."""

from __future__ import annotations

import gzip
import json
import warnings

import numpy as np
import pytest
from metrics_golden import edge_batch, golden, known_smiles
from rdkit import Chem

import deepchem_ead
from deepchem_ead import metrics
from deepchem_ead.chem.molecules import MoleculeBatch
from deepchem_ead.metrics import reference as reference_module
from deepchem_ead.metrics import reference_smiles
from deepchem_ead.metrics.reference_rows import GEOM_ROWS, QM9_ROW, QM9_ROWS


@pytest.fixture
def batch():
    return golden("noise003").batch[:60]


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("DEEPCHEM_DATA_DIR", str(tmp_path))
    reference_module._MEMORY.clear()
    yield tmp_path / "deepchem_ead-cache"
    reference_module._MEMORY.clear()


class Dataset:
    """Anything with X is read as a dataset."""

    def __init__(self, X):
        self.X = X


def test_all_kinds_of_input_agree(batch):
    expected = metrics.evaluate_molecules(batch)
    bare = []
    for numbers, positions in zip(batch.numbers, batch.positions, strict=True):
        bare.append(metrics.edm.molecule_from_orders(numbers, np.zeros((len(numbers),) * 2)))
        conformer = Chem.Conformer(len(numbers))
        conformer.SetPositions(positions.astype(np.float64))
        bare[-1].AddConformer(conformer)
        for atom in bare[-1].GetAtoms():
            atom.SetNoImplicit(True)
    for other in (Dataset(batch.to_padded()), bare):
        found = metrics.evaluate_molecules(other)
        assert found == expected
        assert found.per_molecule.equals(expected.per_molecule)


def test_none_among_rdkit_molecules_counts_as_invalid():
    water = edge_batch("water").to_rdkit()[0]
    report = metrics.evaluate_molecules([None, water, None])
    assert report.per_molecule.valid.tolist() == [False, True, False]
    assert report.per_molecule.n_atoms.tolist() == [0, 3, 0]
    assert metrics.evaluate_molecules([None]).validity == 0.0


@pytest.mark.parametrize("wrong", [["CCO"], 3, [np.zeros(3)]])
def test_other_input_is_refused(wrong):
    with pytest.raises(TypeError, match="MoleculeBatch"):
        metrics.evaluate_molecules(wrong)


def test_bad_names_and_nothing_to_judge(batch):
    with pytest.raises(ValueError, match="edm, strict, corrected"):
        metrics.evaluate_molecules(batch, protocol="lenient")
    with pytest.raises(ValueError, match="qm9 or geom"):
        metrics.evaluate_molecules(batch, vocabulary="drugs")
    with pytest.raises(ValueError, match="no molecules"):
        metrics.evaluate_molecules(batch[:0])
    for ask in (metrics.evaluate_molecules, deepchem_ead.judge):
        with pytest.raises(TypeError, match="cannot judge NoneType objects; give a MoleculeBatch"):
            ask(None)


def test_only_broken_samples_give_zeros():
    report = metrics.evaluate_molecules(edge_batch("zero_atoms"), reference=["C"])
    assert report.to_dict() | {"protocol": 0, "vocabulary": 0} == {
        "atom_stability": 0.0, "molecule_stability": 0.0, "validity": 0.0, "uniqueness": 0.0,
        "valid_unique": 0.0, "novelty": 0.0, "connected": 0.0, "n_molecules": 1, "n_reference": 1,
        "protocol": 0, "vocabulary": 0,
    }  # fmt: skip


def test_report_columns_and_json(batch):
    report = metrics.evaluate_molecules(batch)
    assert list(report.per_molecule) == [
        "stable", "n_stable", "n_atoms", "smiles", "valid", "n_fragments", "connected",
    ]  # fmt: skip
    invalid = report.per_molecule.smiles[~report.per_molecule.valid]
    assert len(invalid) and all(smiles is None for smiles in invalid)
    assert report.novelty is None
    assert json.loads(json.dumps(report.to_dict()))["n_molecules"] == 60


def test_table_is_aligned_and_in_percent(batch):
    report = metrics.evaluate_molecules(batch)
    text = report.table([QM9_ROW, *GEOM_ROWS], name="mine")
    head, rule, first, second, *_ = text.splitlines()
    assert head.split() == "% atom sta mol sta valid unique V*U novel connected".split()
    assert first.startswith("mine (n=60)") and f"{100 * report.validity:.2f}" in first
    assert second.startswith("QM9 itself (measured)")
    assert second.split()[3:] == ["99.36", "95.28", "97.68", "99.94", "97.62", "-", "-"]
    assert len({len(line) for line in (head, rule, first, second)}) == 1


def test_table_takes_reports_and_mappings_by_label(batch):
    report = metrics.evaluate_molecules(batch)
    lines = report.table({"again": report, "partly": {"validity": 0.5}}).splitlines()
    assert lines[2].split()[2:] == lines[3].split()[1:]
    assert lines[4].split() == ["partly", "-", "-", "50.00", "-", "-", "-", "-"]
    assert str(report) == report.table()
    with pytest.raises(TypeError, match="label"):
        report.table([report])


def test_reference_rows_are_marked():
    assert {row.kind for row in QM9_ROWS} == {"published", "measured"}
    assert all(row.kind in row.label and row.source for row in QM9_ROWS + GEOM_ROWS)
    edm = next(row for row in QM9_ROWS if row.name == "EDM")
    assert edm.uniqueness == pytest.approx(0.907 / 0.919)


def test_novelty_against_coordinates_smiles_and_ids():
    batch = golden("clean").batch[:60]  # whole molecules: one fragment each
    half = batch[:30]
    expected = metrics.evaluate_molecules(batch, reference=half)
    assert expected.novelty == pytest.approx(0.5, abs=0.1)
    rebuilt = {s for s in metrics.evaluate_molecules(half).per_molecule.smiles if s is not None}
    for same in (rebuilt, list(rebuilt), Dataset(half.to_padded()), iter(rebuilt)):
        assert metrics.novelty(batch, same) == expected.novelty
    assert metrics.novelty(half, half) == 0.0
    assert metrics.novelty(half, []) == 1.0


def test_smiles_without_hydrogens_are_written_out():
    assert reference_smiles(["C", "O", "C[C@H](O)F"]) == {
        "[H]C([H])([H])[H]", "[H]O[H]", "[H]OC([H])(F)C([H])([H])[H]",
    }  # fmt: skip
    assert metrics.novelty(edge_batch("water"), {"O"}) == 0.0


def test_rebuilt_smiles_are_taken_as_they_are():
    assert reference_smiles(known_smiles()) == known_smiles()


def test_a_single_text_is_no_reference(batch):
    with pytest.raises(TypeError, match="collection of SMILES"):
        reference_smiles("CCO")
    with pytest.raises(ValueError, match="novelty needs a reference"):
        metrics.novelty(batch, None)


def test_strict_rebuilds_the_reference_strictly():
    ammonium = edge_batch("ammonium", charge=1)
    assert reference_smiles(ammonium) == frozenset()
    assert reference_smiles(ammonium, protocol="strict") == {"[H][N+]([H])([H])[H]"}


def test_large_references_are_kept_on_disk(batch, own_cache, monkeypatch):
    monkeypatch.setattr(reference_module, "_SMALLEST_ON_DISK", 10)
    first = reference_smiles(batch)
    (path,) = own_cache.iterdir()
    reference_module._MEMORY.clear()
    monkeypatch.setattr(reference_module, "run", None)  # a second rebuild would fail
    assert reference_smiles(batch) == first
    monkeypatch.undo()
    assert path.read_bytes()[:2] == b"\x1f\x8b"


def test_a_damaged_cache_is_reported_and_rebuilt(batch, own_cache, monkeypatch):
    monkeypatch.setattr(reference_module, "_SMALLEST_ON_DISK", 10)
    first = reference_smiles(batch)
    (path,) = own_cache.iterdir()
    path.write_bytes(path.read_bytes()[:-20])
    reference_module._MEMORY.clear()
    with pytest.warns(UserWarning, match="damaged"):
        assert reference_smiles(batch) == first
    assert gzip.open(path, "rt").read().split() == sorted(first)


def test_a_cache_that_cannot_be_written_is_no_error(batch, own_cache, monkeypatch):
    monkeypatch.setattr(reference_module, "_SMALLEST_ON_DISK", 10)
    own_cache.write_text("a file where the folder should be")
    with pytest.warns(UserWarning, match="could not cache"):
        assert reference_smiles(batch)


def test_another_geometry_is_another_reference(batch):
    stretched = MoleculeBatch.from_arrays(batch.numbers, [p * 1.2 for p in batch.positions])
    assert reference_smiles(batch) != reference_smiles(stretched)


def test_single_functions(batch):
    report = metrics.evaluate_molecules(batch, protocol="strict")
    for name in ("atom_stability", "molecule_stability", "validity", "uniqueness", "connected"):
        value = getattr(metrics, name)(batch, protocol="strict")
        assert type(value) is float and value == getattr(report, name)
    assert metrics.valid_unique(batch) == metrics.evaluate_molecules(batch).valid_unique


def test_generative_metric_by_name(batch):
    metric = metrics.GenerativeMetric("validity")
    assert metric.name == "validity"
    assert metric.compute_metric(batch) == metrics.validity(batch)
    assert metric.compute_metric(batch, reference=batch) == metrics.validity(batch)
    strict = metrics.GenerativeMetric("validity", name="strict", protocol="strict")
    assert strict.name == "strict"
    assert strict.compute_metric(batch) == metrics.validity(batch, protocol="strict")


def test_generative_metric_with_a_reference():
    batch = golden("clean").batch[:20]
    metric = metrics.GenerativeMetric("novelty")
    assert metric.compute_metric(batch, reference=batch) == 0.0
    assert metrics.GenerativeMetric("novelty", reference=batch).compute_metric(batch) == 0.0
    with pytest.raises(ValueError, match="needs a reference"):
        metric.compute_metric(batch)


def test_generative_metric_with_a_callable(batch):
    def mean_size(samples, scale=1.0):
        return scale * samples.counts.mean()

    metric = metrics.GenerativeMetric(mean_size, scale=2.0)
    assert metric.name == "mean_size"
    value = metric.compute_metric(batch, reference=batch)
    assert type(value) is float and value == 2 * batch.counts.mean()


def test_generative_metric_refuses_nonsense():
    with pytest.raises(ValueError, match="molecule_stability"):
        metrics.GenerativeMetric("fid")
    with pytest.raises(TypeError, match="name or a callable"):
        metrics.GenerativeMetric(3)


def test_nothing_is_printed_or_warned_about_invalid_molecules(capfd):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        metrics.evaluate_molecules(edge_batch("ammonium"))
        metrics.evaluate_molecules(edge_batch("methane_inf"), protocol="strict")
    assert capfd.readouterr() == ("", "")
