"""``deepchem-ead judge``: one file and several, beside a reference."""

from __future__ import annotations

import csv
import json
from dataclasses import replace

import pytest
from chem_data import qm9
from cli_data import assert_one_line

from deepchem_ead import MoleculeBatch

pytestmark = pytest.mark.usefixtures("data_folder")

SUITE = """
checks: [structure, edm, bond_lengths, {stereo: {counts: false}}]
comparisons: [novel, {known_groups: {counts: false}}]
sets: [uniqueness, size_distance]
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Whole molecules, the same with three of them torn apart, strangers, and a reference."""
    folder = tmp_path_factory.mktemp("sets")
    batch = qm9()[0]
    names = [f"m{i}" for i in range(12)]
    whole = replace(batch[:12], ids=names)
    x = whole.coordinates.copy()
    x[: whole.counts[:3].sum()] *= 1.25
    whole.to_xyz(folder / "a.xyz")
    replace(whole, coordinates=x).to_xyz(folder / "b.xyz")
    replace(batch[12:30], ids=None).to_sdf(folder / "c.sdf")
    batch[20:48].to_sdf(folder / "known.sdf")
    (folder / "suite.yaml").write_text(SUITE)
    return folder


def test_files_stand_side_by_side_with_tests(files, tmp_path, deepchem_ead):
    three = [files / "a.xyz", files / "b.xyz", files / "c.sdf"]
    options = ["--reference", files / "known.sdf", "--suite", files / "suite.yaml"]
    outputs = [tmp_path / f"all.{kind}" for kind in ("html", "json", "csv", "sdf")]
    written = [word for path in outputs for word in (f"--{path.suffix[1:]}", path)]
    result = deepchem_ead(
        "judge", *three, *options, *written, "--keep", "structure", "--workers", 1
    )
    assert result.code == 0, result.err
    head = result.out.splitlines()[0].split()
    assert head == ["a.xyz", "b.xyz", "p", "c.sdf", "p", "held-out"]
    assert "a.xyz: 12 of 12 molecules are sound" in result.out
    assert "b.xyz: 9 of 12 molecules are sound" in result.out
    found = json.loads((tmp_path / "all.json").read_text())
    assert list(found["sets"]) == ["a.xyz", "b.xyz", "c.sdf"]
    methods = {(t["set"], t["metric"]): t["method"] for t in found["tests"]}
    assert methods["b.xyz", "sound"] == "McNemar, 12 pairs"  # the same names
    assert methods["c.sdf", "sound"] == "Fisher"
    rows = found["sets"]["c.sdf"]["summary"]
    assert rows["novel_constitution"]["n"] == 18 and rows["novel_constitution"]["ceiling"] == 1.0
    assert rows["novel_constitution"]["value"] == 8 / 18  # ten of them are in the reference
    with open(tmp_path / "all.csv") as file:
        kept = list(csv.DictReader(file))
    assert [sum(row["source"] == path.name for row in kept) for path in three] == [12, 9, 18]
    assert len(MoleculeBatch.read(tmp_path / "all.sdf")) == 39
    assert "McNemar" in (tmp_path / "all.html").read_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(p.name for p in outputs)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["a.xyz", "--reference", "qm8"], "'qm8'; a reference is 'qm9'"),
        (["a.xyz", "--keep", "sound"], "--keep chooses molecules for --sdf or --csv"),
        (["a.xyz", "a.xyz"], "a.xyz is given twice"),
        (["none.sdf"], "none.sdf"),
        (["a.xyz", "--suite", "quick"], "unknown suite 'quick'"),
    ],
)
def test_what_cannot_be_judged_is_said_in_a_line(files, words, message, monkeypatch, deepchem_ead):
    monkeypatch.chdir(files)
    assert_one_line(deepchem_ead("judge", *words), message)
