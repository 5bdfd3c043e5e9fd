"""`judge`: rows, numbers beside held-out molecules, and molecules that hang, crash or are no
molecules."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
import time
from dataclasses import dataclass, replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from rdkit import Chem

import deepchem_ead
from deepchem_ead import MoleculeBatch, evaluate_molecules, judge
from deepchem_ead.judging import rows
from deepchem_ead.metrics import GenerativeMetric
from deepchem_ead.metrics.checks import CHECKS, BaseCheck, Outcome, strain
from deepchem_ead.metrics.suites import load_suite
from deepchem_ead.models.evaluation import evaluate_model
from deepchem_ead.molnet.sample import load_sample

QUIET = {"progress": False, "workers": 1}
#: Enough where the machinery is tested and not the checks.
SMALL = {"checks": ["structure", "edm"], "sets": ["uniqueness"]}


def sample(rows) -> MoleculeBatch:
    table, _ = load_sample()
    numbers, positions = zip(*(table.numbers_and_positions(int(i)) for i in rows), strict=True)
    return MoleculeBatch.from_arrays(numbers, positions, ids=[f"qm9-{i}" for i in rows])


@pytest.fixture(scope="module")
def molecules() -> MoleculeBatch:
    return sample(range(0, 2000, 100))


@dataclass(frozen=True)
class Trap(BaseCheck):
    """Hangs, dies or raises for molecules of these sizes."""

    name = "trap"
    hangs: int = -1
    dies: int = -1
    raises: int = -1

    def __call__(self, view) -> Outcome:
        if len(view) == self.hangs:
            time.sleep(60)
        if len(view) == self.dies:
            os.kill(os.getpid(), signal.SIGSEGV)
        if len(view) == self.raises:
            raise RuntimeError("no such luck")
        return Outcome(True)


CHECKS.register("trap", Trap)


def test_numbers_are_those_of_the_metrics(molecules):
    known = sample(range(50, 1000, 50))
    report = judge(molecules, known, "fast", **QUIET)
    expected = evaluate_molecules(molecules, reference=known)
    for name in ("validity", "molecule_stability", "atom_stability", "uniqueness", "novelty"):
        assert report.summary.loc[name, "value"] == pytest.approx(getattr(expected, name)), name
    assert report.summary.index.is_unique
    assert report.per_molecule["name"].tolist() == molecules.ids
    told_only = {"", "stereo", "not_copied", "known_groups"}
    counted = [bool(set(text.split(";")) - told_only) for text in report.per_molecule["reasons"]]
    assert report.per_molecule["sound"].tolist() == [not each for each in counted]


def test_held_out_molecules_are_judged_by_the_same_code(molecules):
    known = sample(range(50, 1000, 50))
    report = judge(molecules, known, "fast", held_out=molecules, **QUIET)
    same = report.summary.dropna(subset=["ceiling"])
    unmeasured = report.summary.index.difference(same.index)
    assert unmeasured.tolist() == ["declared_stereo"]  # coordinates declare none
    assert report.summary.loc["declared_stereo", "n"] == 0
    np.testing.assert_allclose(same["value"], same["ceiling"])
    assert report.held_out.per_molecule.equals(report.per_molecule)
    alone = judge(molecules[:4], molecules[4:], {"comparisons": ["novel"]}, **QUIET)
    assert alone.info["n_held_out"] == 4
    assert alone.summary.loc["novel_constitution", "ceiling"] == 1.0


def test_what_hangs_crashes_or_raises_costs_itself(molecules):
    sizes = molecules.counts.tolist()
    hangs, dies, raises = sorted(set(sizes))[:3]
    trap = {"trap": {"hangs": hangs, "dies": dies, "raises": raises}}
    report = judge(
        molecules, suite={"checks": ["structure", trap]}, time_limit=1.5, progress=False, workers=2
    )
    frame = report.per_molecule
    kinds = {hangs: "timeout", dies: "crash", raises: "error"}
    assert frame["reasons"].tolist() == [kinds.get(size, "") for size in sizes]
    assert frame["structure"].all()  # the other checks of these molecules are there
    for size, word in ((hangs, "1.5 s"), (dies, "SIGSEGV"), (raises, "no such luck")):
        details = frame["details"][sizes.index(size)]
        assert word in details and "trap" in details
    assert report.summary.loc["judged", "value"] == np.mean([s not in kinds for s in sizes])


@pytest.mark.parametrize(("n_traps", "slow"), [(3, False), (5, True), (4, False)])
def test_what_fails_again_and_again_leaves_what_does_not(molecules, n_traps, slow):
    """Of a molecule whose row is all that there is; slow checks are given up together."""
    kinds = [type("", (Trap,), {"name": f"trap{k}", "slow": slow}) for k in range(n_traps)]
    suite = load_suite("fast")
    traps = [kind(hangs=int(molecules.counts[0])) for kind in kinds]
    suite = replace(suite, checks=(*suite.checks[:1], *traps))
    report = judge(molecules[:1], molecules[5:9], suite, time_limit=0.5, **QUIET)
    row = report.per_molecule.iloc[0]
    assert "timeout" in row["reasons"].split(";")
    assert all(kind.name in row["details"] for kind in kinds)
    assert ("not tried" in row["details"]) == slow
    is_lost = n_traps == 4
    assert np.isnan(report.summary.loc["size_distance", "value"]) == is_lost
    assert row["structure"] is pd.NA if is_lost else row["structure"]


@dataclass(frozen=True)
class Marked(BaseCheck):
    """Hangs, dies or raises for molecules that are called so."""

    name = "marked"

    def __call__(self, view) -> Outcome:
        if "hangs" in view.name:
            time.sleep(60)
        if "dies" in view.name:
            os.abort()
        if "raises" in view.name:
            raise RuntimeError("no such luck")
        return Outcome(True)


CHECKS.register("marked", Marked)


def test_a_file_of_two_hundred_with_bad_ones_is_judged_whole(tmp_path):
    """Unreadable records, and molecules that hang or crash a check: each costs itself, by name."""
    bad = {7: "hangs", 100: "hangs", 23: "dies", 24: "dies", 199: "dies", 50: "raises"}
    batch = sample(range(0, 2000, 10))
    names = [f"mol-{i}-{bad[i]}" if i in bad else f"mol-{i}" for i in range(len(batch))]
    path = tmp_path / "all.sdf"
    replace(batch, ids=names).to_sdf(path)
    records = path.read_text().split("$$$$\n")
    torn = {0: "nonsense\n", 60: "", 61: records[61].replace("V2000", "V2OOO")}
    torn[150] = records[150][:400]
    for i, text in torn.items():
        records[i] = text
    path.write_text("$$$$\n".join(records))
    suite = {"checks": ["structure", "marked"], "sets": ["uniqueness"]}
    report = judge(path, suite=suite, time_limit=1.0, workers=2, progress=False)
    frame = report.per_molecule
    kinds = {"hangs": "timeout", "dies": "crash", "raises": "error"}
    expected = {i: kinds[how] for i, how in bad.items()} | dict.fromkeys(torn, "unreadable")
    assert frame["reasons"].tolist() == [expected.get(i, "") for i in range(200)]
    assert [frame["name"][i] for i in bad] == [names[i] for i in bad]
    assert [frame["name"][i] for i in torn] == [f"record {i + 1}" for i in torn]
    assert (frame["details"][list(expected)] != "").all()
    assert frame["structure"].drop(list(torn)).all()  # of those whose other check failed, too
    assert report.summary.loc["readable", "value"] == 196 / 200
    assert report.to_html(tmp_path / "all.html").stat().st_size > 1e5


def test_unreadable_records_keep_their_rows(molecules, tmp_path):
    molecules[:6].to_sdf(tmp_path / "mols.sdf")
    records = (tmp_path / "mols.sdf").read_text().split("$$$$\n")
    records[2] = records[2].replace("V2000", "V2OOO")
    records[4] = "nonsense\n"
    (tmp_path / "mols.sdf").write_text("$$$$\n".join(records))
    report = judge(tmp_path / "mols.sdf", suite=SMALL, **QUIET)
    frame = report.per_molecule
    assert len(frame) == 6
    assert np.flatnonzero(frame["reasons"] == "unreadable").tolist() == [2, 4]
    assert frame["name"][2] == "record 3" and frame["name"][3] == molecules.ids[3]
    assert report.summary.loc["readable", "value"] == pytest.approx(4 / 6)
    assert report.summary.loc["validity", "n"] == 6
    both = judge([tmp_path / "mols.sdf"] * 2, suite=SMALL, **QUIET)
    assert len(both) == 12 and set(both.per_molecule["source"]) == {str(tmp_path / "mols.sdf")}


def test_rdkit_molecules_and_missing_ones(molecules):
    mols = molecules[:3].to_rdkit()
    flat = Chem.MolFromSmiles("CCO")
    report = judge([mols[0], None, flat, mols[1]], suite=SMALL, **QUIET)
    assert report.per_molecule["reasons"].tolist() == ["", "unreadable", "unreadable", ""]
    assert (
        "hydrogen" in report.per_molecule["details"][2]
        or "conformer" in (report.per_molecule["details"][2])
    )


def test_a_call_goes_on_where_it_was(molecules, tmp_path):
    cache = tmp_path / "rows.jsonl"
    first = judge(molecules, suite=SMALL, cache=cache, **QUIET)
    lines = cache.read_text().splitlines()
    assert len(lines) == len(molecules)
    cache.write_text("\n".join(lines[:5]) + "\n" + lines[5][:40])  # cut off in the sixth
    again = judge(molecules, suite=SMALL, cache=cache, **QUIET)
    assert again.per_molecule.equals(first.per_molecule)
    assert len(cache.read_text().splitlines()) == len(molecules) + 1


def _add_rows(path, name):
    with rows._Cache(path) as cache:
        for k in range(100):
            cache.add(f"{name}{k}", rows.Row(features={"long": [name] * 5000}))


def test_several_processes_add_to_one_file_of_rows(tmp_path):
    path = tmp_path / "rows.jsonl"
    context = multiprocessing.get_context("fork")
    crew = [context.Process(target=_add_rows, args=(path, name)) for name in "abc"]
    for process in crew:
        process.start()
    for process in crew:
        process.join()
    with rows._Cache(path) as cache:
        for name in "abc":
            for k in range(100):
                assert cache[f"{name}{k}"].features["long"] == [name] * 5000


def test_files_hold_what_the_report_says(molecules, tmp_path):
    report = judge(molecules, suite=SMALL, **QUIET)
    report.to_json(tmp_path / "r.json")
    found = json.loads((tmp_path / "r.json").read_text())
    assert found["summary"]["validity"]["value"] == report.summary.loc["validity", "value"]
    assert len(found["per_molecule"]) == len(molecules)
    report.to_sdf(tmp_path / "r.sdf", keep="validity and not molecule_stability")
    kept = report.keep("validity and not molecule_stability")
    assert 0 < len(kept) < len(molecules)
    tagged = MoleculeBatch.read(tmp_path / "r.sdf")
    assert tagged.ids == kept["name"].tolist() and tagged.properties["validity"].all()
    with pytest.raises(ValueError, match="columns are name, sound"):
        report.keep("no_such_column < 3")


@pytest.mark.parametrize(
    ("suite", "message"),
    [
        ("quick", "unknown suite 'quick'; choose fast, standard, full"),
        ({"checks": ["structur"]}, "structure"),
        ({"checks": [{"trap": {"hang": 3}}]}, "has no option 'hang'; it has hangs"),
        ({"chekcs": []}, "section 'chekcs'"),
    ],
)
def test_suites_that_cannot_be(suite, message):
    with pytest.raises(ValueError, match=message):
        load_suite(suite)


def test_a_suite_of_a_file_adds_to_another(tmp_path, molecules):
    (tmp_path / "mine.yaml").write_text(
        "checks:\n  - structure\n  - connected\n  - edm\n"
        "  - trap: {raises: 3}\n  - connected: {counts: false}\n"
    )
    suite = load_suite(tmp_path / "mine.yaml")
    assert [check.name for check in suite.checks][-1] == "trap" and suite.checks[-1].raises == 3
    apart = MoleculeBatch.from_arrays([[2, 2]], [[[0, 0, 0], [0, 0, 5.0]]])
    report = judge(apart, suite=suite, **QUIET)
    assert report.per_molecule["reasons"][0] == "connected" and report.per_molecule["sound"][0]


def test_any_number_is_a_metric_and_a_suite_evaluates_a_model(molecules):
    assert GenerativeMetric("rotors").compute_metric(molecules) == 1.0
    assert GenerativeMetric("atom_stability").compute_metric(molecules) > 0.9
    report = judge(molecules, molecules, SMALL | {"sets": ["size_distance"]}, **QUIET)
    for name in ("structure", "validity", "size_distance"):
        value = GenerativeMetric(name).compute_metric(molecules, reference=molecules)
        assert value == report.summary.loc[name, "value"], name
    with pytest.raises(ValueError, match="unknown metric 'rotor'.*rotors"):
        GenerativeMetric("rotor")
    model = SimpleNamespace(
        config=SimpleNamespace(seed=0), generate=lambda n, **options: molecules[:n]
    )
    scores = evaluate_model(model, molecules[:5].to_dataset(), load_suite(SMALL), n_samples=5)
    assert (
        scores["validity"]
        == judge(molecules[:5], suite=SMALL, **QUIET).summary.loc["validity", "value"]
    )


def test_a_missing_package_is_named_before_anything_is_computed(molecules, monkeypatch):
    monkeypatch.setitem(sys.modules, "tblite", None)
    suite = {"checks": ["structure", "low_strain"]}
    with pytest.raises(ImportError, match="low_strain of the suite .* needs tblite.*ead.judge.'"):
        judge(molecules, suite=suite, **QUIET)


def test_large_molecules_are_minimised_with_mmff(molecules, monkeypatch):
    monkeypatch.setattr(strain, "MAX_ATOMS", 10)
    report = judge(molecules[5:8], suite={"checks": ["low_strain", "mmff"]}, **QUIET)
    frame = report.per_molecule
    assert (frame["strain_by"] == "MMFF94").all() and frame["low_strain"].isna().all()
    assert (frame["strain_kcal"] == frame["mmff_strain_kcal"]).all()
    assert (frame["mmff_rmsd"] > 0).all()


def test_public_names():
    assert deepchem_ead.judge is judge
    assert GenerativeMetric("validity").name == "validity"
