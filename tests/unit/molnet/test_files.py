"""`load_file_3d`: alignment, labels from tags and CSV, and what it refuses."""

from __future__ import annotations

import csv
import gzip

import deepchem as dc
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rdkit import Chem
from rdkit.Chem import AllChem
from rdkit.Geometry import Point3D

from deepchem_ead.chem import MoleculeBatch
from deepchem_ead.chem.files import file_format
from deepchem_ead.chem.sdf import format_sdf
from deepchem_ead.chem.xyz import format_xyz
from deepchem_ead.errors import MoleculeError
from deepchem_ead.feat import Molecule3DFeaturizer
from deepchem_ead.molnet import load_file_3d
from deepchem_ead.molnet.files import known_properties
from deepchem_ead.molnet.labels import check_labels, labels_from_csv
from deepchem_ead.molnet.sample import load_sample
from deepchem_ead.molnet.tables import read_table

TABLE, _ = load_sample()
BAD_RECORD = {
    "sdf": "broken\n  no atoms here\n\n$$$$\n",
    "xyz": "2\ncomment\nC 0 0 0\nQq 0 0 1\n",
}


def text_of(i: int, kind: str, **tags: str) -> str:
    """Real QM9 molecule i, called gdb<index>, with i and its gap unless told otherwise."""
    numbers, positions = TABLE.numbers_and_positions(i)
    tags = {"gap": repr(float(TABLE.properties["gap"][i])), "row": str(i)} | tags
    name = f"gdb{TABLE.index[i]}"
    if kind == "sdf":
        return format_sdf(numbers, positions, None, name, tags)
    return format_xyz(numbers, positions, name, tags)


def write(path, rows, **tags: str):
    """A file of the sample's molecules; None stands for a record that cannot be read."""
    kind = file_format(path)
    path.write_text(
        "".join(BAD_RECORD[kind] if i is None else text_of(i, kind, **tags) for i in rows)
    )
    return path


def write_csv(path, rows, columns=("name", "gap", "mu")):
    with open(path, "w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(columns)
        for i in rows:
            if i is None:
                writer.writerow(["?", "-99", "-99"])
            else:
                p = TABLE.properties
                writer.writerow([f"gdb{TABLE.index[i]}", float(p["gap"][i]), float(p["mu"][i])])
    return path


def assert_rows(dataset: dc.data.Dataset, rows: list[int]) -> None:
    """X, y, w and ids belong to these molecules of the sample, in this order."""
    table = TABLE.select(np.array(rows))
    np.testing.assert_allclose(dataset.X, table.to_padded(dataset.X.shape[1]), atol=1e-3)
    assert dataset.X.dtype == np.float32
    np.testing.assert_array_equal(dataset.y[:, 0], table.properties["gap"])
    assert (dataset.w == 1).all() and len(dataset.ids) == len(rows)
    for i, name in zip(rows, dataset.ids, strict=True):
        # A SMILES, or the name where EDM's distances give no valid bonds.
        oxygens = (TABLE.numbers_and_positions(i)[0] == 8).sum()
        assert name == f"gdb{TABLE.index[i]}" or name.upper().count("O") == oxygens


ROWS = [None, 3, 7, None, None, 12, 40, 41, 999, None, 1500, 1999, None]
GOOD = [i for i in ROWS if i is not None]


@pytest.mark.parametrize("kind", ["sdf", "xyz"])
def test_bad_records_are_reported_and_labels_stay_aligned(tmp_path, kind):
    path = write(tmp_path / f"m.{kind}", ROWS)
    with pytest.warns(UserWarning, match=r"left out 5 of 13 records: record 1: .*record 13: "):
        tasks, (dataset,), _ = load_file_3d(path, tasks=["gap"], splitter=None)
    assert tasks == ["gap"]
    assert_rows(dataset, GOOD)


@pytest.mark.parametrize("id_column", ["name", None])
@pytest.mark.parametrize("kind", ["sdf", "xyz"])
def test_csv_labels_stay_aligned_with_bad_records(tmp_path, kind, id_column):
    path = write(tmp_path / f"m.{kind}", ROWS, gap="777")
    rows = ROWS if id_column is None else [GOOD[k] for k in (4, 1, 0, 7, 5, 3, 2, 6)]
    labels = write_csv(tmp_path / "labels.csv", rows)
    with pytest.warns(UserWarning, match="left out 5"):
        _, (dataset,), _ = load_file_3d(
            path, tasks=["gap", "mu"], labels=labels, id_column=id_column, splitter=None
        )
    assert_rows(dataset, GOOD)
    np.testing.assert_array_equal(dataset.y[:, 1], TABLE.properties["mu"][GOOD])


@settings(max_examples=15, deadline=None)
@given(
    rows=st.lists(st.one_of(st.none(), st.integers(0, 1999)), min_size=4, max_size=12, unique=True)
)
def test_any_mixture_of_good_and_bad_records_stays_aligned(tmp_path_factory, rows):
    rows = [rows[0], None, *rows[1:]]
    good = [i for i in rows if i is not None]
    path = write(tmp_path_factory.mktemp("mixture") / "m.sdf", rows)
    with pytest.warns(UserWarning, match="left out"):
        _, (dataset,), _ = load_file_3d(path, tasks=["gap"], splitter=None)
    assert_rows(dataset, good)


def test_split_keeps_rows_together_and_depends_on_the_seed(tmp_path):
    rows = list(range(0, 400, 10))
    path = write(tmp_path / "m.sdf", rows)
    parts = load_file_3d(path, tasks=["gap", "row"])[1]
    assert [len(part) for part in parts] == [32, 4, 4]
    found = [part.y[:, 1].astype(int).tolist() for part in parts]
    assert sorted(sum(found, [])) == rows
    for part, chosen in zip(parts, found, strict=True):
        assert_rows(part, chosen)
    again = load_file_3d(path, tasks=["gap"])[1][0]
    other = load_file_3d(path, tasks=["gap"], seed=1)[1][0]
    assert again.ids.tolist() == parts[0].ids.tolist() != other.ids.tolist()


def test_unlabelled_file_has_weight_one_and_trains_nothing_silently(tmp_path):
    tasks, (dataset,), _ = load_file_3d(write(tmp_path / "m.xyz", [1, 2]), splitter=None)
    assert tasks == [] and dataset.y.tolist() == [[0.0], [0.0]] and (dataset.w == 1).all()


def test_transformers_and_limits(tmp_path):
    path = write(tmp_path / "m.sdf", list(range(30)))
    _, (train, valid, test), (transformer,) = load_file_3d(
        path, tasks="gap", transformers=["normalization"], max_atoms=40, elements="qm9"
    )
    assert train.X.shape[1:] == (40, 4)
    assert train.y.mean() == pytest.approx(0, abs=1e-6) and len(valid) == len(test) == 3
    assert isinstance(transformer, dc.trans.NormalizationTransformer)


def test_small_files_leave_empty_parts_usable(tmp_path):
    _, parts, _ = load_file_3d(
        write(tmp_path / "m.sdf", [1, 2, 3]), tasks=["gap"], transformers=["normalization"]
    )
    assert [len(part) for part in parts] == [2, 0, 1]
    assert parts[1].X.shape[0] == 0 and list(parts[1].iterbatches(4)) == []
    with pytest.raises(ValueError, match="no training molecule of 1"):
        load_file_3d(write(tmp_path / "one.sdf", [1]), tasks=["gap"])


def test_missing_labels_get_weight_zero_only_when_allowed(tmp_path):
    path = tmp_path / "m.sdf"
    path.write_text(text_of(1, "sdf") + text_of(2, "sdf", gap="nan") + text_of(3, "sdf"))
    with pytest.raises(ValueError, match=r"'gap' is missing or NaN in record 2 \(gdb"):
        load_file_3d(path, tasks=["gap"])
    _, (dataset,), _ = load_file_3d(path, tasks=["gap"], splitter=None, allow_missing=True)
    assert dataset.w[:, 0].tolist() == [1, 0, 1] and dataset.y[1, 0] == 0


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("inf", "infinite in record 2"),
        ("3e9", "above 1e.08 in record 2"),
        ("blue", "'blue' in record 2.*not a number"),
    ],
)
def test_bad_labels_are_refused_naming_the_record(tmp_path, value, message):
    path = tmp_path / "m.sdf"
    path.write_text(text_of(1, "sdf") + text_of(2, "sdf", gap=value) + text_of(3, "sdf"))
    with pytest.raises(ValueError, match=message):
        load_file_3d(path, tasks=["gap"])


def test_constant_labels_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"'gap' is 2 in all of record 1 .*record 3"):
        load_file_3d(write(tmp_path / "m.sdf", [1, 2, 3], gap="2.0"), tasks=["gap"])
    y, w = check_labels(np.array([[2.0]]), ["gap"], ["record 1"], allow_missing=False)
    assert y == 2 and w == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tasks": ["egap"]}, "no molecule has the property 'egap'; the file has: gap, row"),
        ({"max_atoms": 4}, r"record 1 \(gdb\d+\) has \d+ atoms, more than max_atoms=4"),
        ({"elements": "H,O"}, r"record 1 .* contains C, which is not in elements='H,O'"),
        ({"splitter": "best"}, "random"),
        ({"on_error": "ignore"}, "skip"),
        ({"labels": "x.csv"}, "without tasks"),
        ({"tasks": ["gap", "gap"]}, "named twice"),
    ],
)
def test_wrong_arguments_raise(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        load_file_3d(write(tmp_path / "m.sdf", [2, 3, 4]), **options)


def test_csv_that_does_not_fit_is_refused(tmp_path):
    path = write(tmp_path / "m.sdf", [1, 2, 3])
    short = write_csv(tmp_path / "short.csv", [1, 2])
    with pytest.raises(ValueError, match="2 rows for 3 records"):
        load_file_3d(path, tasks=["gap"], labels=short)
    with (
        pytest.raises(ValueError, match=f"missing or NaN in record 3 .gdb{TABLE.index[3]}"),
        pytest.warns(UserWarning, match="1 of 3 molecules are not named in the column 'name'"),
    ):
        load_file_3d(path, tasks=["gap"], labels=short, id_column="name")
    with pytest.raises(ValueError, match="no column 'egap'; it has: name, gap, mu"):
        load_file_3d(path, tasks=["egap"], labels=short)
    twice = write_csv(tmp_path / "twice.csv", [1, 2, 1])
    with pytest.raises(
        ValueError, match=r"twice\.csv, line 4: the id .* occurs twice \(before in line 2\)"
    ):
        load_file_3d(path, tasks=["gap"], labels=twice, id_column="name")
    others = write_csv(tmp_path / "others.csv", [10, 11])
    with pytest.raises(ValueError, match="no molecule is named in column 'name'"):
        load_file_3d(path, tasks=["gap"], labels=others, id_column="name")


def test_raise_mode_and_files_without_molecules(tmp_path):
    with pytest.raises(MoleculeError, match="record 2"):
        load_file_3d(write(tmp_path / "m.sdf", [1, None]), on_error="raise")
    with pytest.raises(ValueError, match="none of 2 records"):
        load_file_3d(write(tmp_path / "bad.sdf", [None, None]))
    (tmp_path / "empty.sdf").write_text("")
    with pytest.raises(ValueError, match="none of 0 records"):
        load_file_3d(tmp_path / "empty.sdf")
    with pytest.raises(FileNotFoundError):
        load_file_3d(tmp_path / "nowhere.sdf")
    (tmp_path / "m.smi").write_text("no_smiles\n")
    with pytest.raises(ValueError, match="none of 1 records .* not a SMILES"):
        load_file_3d(tmp_path / "m.smi")


@pytest.mark.parametrize("value", ["nan", "inf"])
def test_non_finite_coordinates_are_refused(tmp_path, value):
    path = tmp_path / "m.xyz"
    path.write_text(text_of(1, "xyz") + f"2\nid=odd\nC 0 0 0\nO 0 0 {value}\n")
    with pytest.raises(ValueError, match=r"record 2 \(odd\).*NaN or infinite"):
        load_file_3d(path)


def test_molecules_with_impossible_bonds_keep_their_name_as_id(tmp_path):
    path = tmp_path / "m.xyz"
    path.write_text("3\nid=crowd\nF 0 0 0\nF 1.3 0 0\nF -1.3 0 0\n" + text_of(1, "xyz"))
    with pytest.warns(UserWarning, match=r"1 of 2 .* name as id .*: record 1 \(crowd\)\."):
        _, (dataset,), _ = load_file_3d(path, splitter=None)
    assert dataset.ids[0] == "crowd" and dataset.ids[1] == TABLE.smiles[1]


def test_gzipped_file(tmp_path):
    path = write(tmp_path / "m.sdf", [1, 2])
    with gzip.open(tmp_path / "m.sdf.gz", "wt") as stream:
        stream.write(path.read_text())
    (dataset,) = load_file_3d(tmp_path / "m.sdf.gz", tasks=["gap"], splitter=None)[1]
    assert_rows(dataset, [1, 2])


# Fluorine between two others: no valid bonds, so that the id is the molecule's name.
CROWD = "3\nid={0}\nF 0 0 0\nF 1.3 0 0\nF -1.3 0 0\n"


@pytest.mark.parametrize(
    "splitter", ["scaffold", "butina", "fingerprint", dc.splits.MaxMinSplitter()]
)
def test_a_split_that_would_lose_molecules_names_them(tmp_path, splitter):
    path = tmp_path / "m.xyz"
    good = "".join(text_of(i, "xyz") for i in range(300, 342, 2) if i != 324)
    path.write_text(CROWD.format("crowd") + good + CROWD.format("mob"))
    with pytest.raises(ValueError, match=r"2 rows: 0 \(crowd\), 21 \(mob\).*splitter='random'"):
        load_file_3d(path, splitter=splitter)
    assert [len(part) for part in load_file_3d(path, splitter="random")[1]] == [17, 2, 3]
    path.write_text(good)
    parts = load_file_3d(path, splitter=splitter)[1]
    assert sorted(np.concatenate([part.ids for part in parts])) == sorted(
        load_file_3d(path, splitter=None)[1][0].ids
    )


def test_rows_in_two_parts_and_splitters_of_tasks_are_refused(tmp_path):
    path = write(tmp_path / "m.sdf", [1, 2, 3, 4])
    twice = dc.splits.SpecifiedSplitter(valid_indices=[1], test_indices=[1])
    with pytest.raises(ValueError, match=r"SpecifiedSplitter puts row 1 \(.*more than one part"):
        load_file_3d(path, splitter=twice)
    with pytest.raises(ValueError, match="TaskSplitter does not split by molecules"):
        load_file_3d(path, splitter="task")


@pytest.mark.parametrize("kind", ["sdf", "xyz"])
def test_bonds_stay_aligned_and_else_are_unknown(tmp_path, kind):
    rows = [5, None, 900, 1500]
    path = write(tmp_path / f"a.{kind}", rows)
    options = {"tasks": ["gap"], "splitter": None}
    with pytest.warns(UserWarning, match="left out 1 of 4"):
        (plain,), (dataset,) = (load_file_3d(path, bonds=b, **options)[1] for b in (False, True))
    assert dataset.X.shape[2] == 11
    assert_rows(
        dc.data.NumpyDataset(dataset.X[:, :, :4], dataset.y, dataset.w, dataset.ids), [5, 900, 1500]
    )
    np.testing.assert_array_equal(dataset.X[:, :, :4], plain.X)
    batch = MoleculeBatch.from_padded(dataset.X)
    assert batch.graphs.bonds_given.all() and batch.smiles == dataset.ids.tolist()


def test_bonds_that_columns_cannot_hold_are_left_out_by_reason(tmp_path):
    path = tmp_path / "a.sdf"
    mols = [Chem.AddHs(Chem.MolFromSmiles(smiles)) for smiles in ("[OH]", "N", "CO")]
    for mol in mols:
        AllChem.EmbedMolecule(mol, randomSeed=1, useRandomCoords=True)
    mols[1] = Chem.RWMol(mols[1])
    zinc = mols[1].AddAtom(Chem.Atom("Zn"))
    mols[1].AddBond(0, zinc, Chem.BondType.DATIVE)
    mols[1].GetConformer().SetAtomPosition(zinc, Point3D(0, 0, 3))
    with Chem.SDWriter(str(path)) as writer:
        for k, mol in enumerate(mols):
            mol.SetProp("gap", str(k))
            writer.write(mol)
    options = {"tasks": ["gap"], "splitter": None}
    assert len(load_file_3d(path, **options)[1][0]) == 3
    with pytest.warns(UserWarning, match="left out 1 of 3 records.*2.*type dative"):
        (dataset,) = load_file_3d(path, bonds=True, **options)[1]
    assert dataset.y[:, 0].tolist() == [0, 2] and dataset.X[0, :2, 5].tolist() == [9, 1]
    with pytest.raises(MoleculeError, match="record 2: has a bond of the type dative"):
        load_file_3d(path, bonds=True, on_error="raise", **options)
    radical = format_xyz(np.array([8, 1]), np.array([[0, 0, 0], [0.97, 0, 0]]), "radical", {})
    (tmp_path / "r.xyz").write_text(radical)
    with pytest.warns(UserWarning, match="no valid bonds"):
        (unknown,) = load_file_3d(tmp_path / "r.xyz", bonds=True, splitter=None)[1]
    assert unknown.X[0, :, 5].tolist() == [-1, -1]


@pytest.mark.parametrize("kind", ["sdf", "xyz"])
def test_atoms_on_top_of_each_other_are_left_out_or_raise(tmp_path, kind):
    path = write(tmp_path / f"m.{kind}", [3, 7, 12])
    numbers, positions = TABLE.numbers_and_positions(500)
    positions = positions.copy()
    positions[2] = positions[0] + [0.2, 0, 0]
    write_one = (
        format_sdf if kind == "sdf" else lambda n, p, mol, name, tags: format_xyz(n, p, name, tags)
    )
    path.write_text(
        text_of(3, kind)
        + write_one(numbers, positions, None, "twins", {"gap": "1", "row": "9"})
        + text_of(7, kind)
    )
    message = r"record 2: has atoms on top of each other: 0 \(\w+\) and 2 \(\w+\) are 0.20"
    with pytest.warns(UserWarning, match=f"left out 1 of 3 records: {message}"):
        _, (dataset,), _ = load_file_3d(path, tasks=["gap"], splitter=None)
    assert_rows(dataset, [3, 7])
    with pytest.raises(MoleculeError, match=message):
        load_file_3d(path, on_error="raise")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"id,gap\na,1,5\nb,2\n", r"l\.csv, line 2: 3 fields .*decimal points"),
        (b"id,gap\na\nb,2\n", r"l\.csv, line 2: 1 fields"),
        (b"id,gap,gap\na,1,2\n", r"l\.csv, line 1: the column 'gap' occurs twice"),
        (b"id;gap\na;1,5\n", r"no column 'id'.*separated by ';'"),
        (b'id,gap\na,"1\nb,2\n', r"l\.csv, line 3: .*quotes"),
        ("id,gap\nZürich,1\n".encode("latin-1"), r"l\.csv, line 2: not UTF-8"),
        (b"id,gap\na,1_000\n", r"'1_000' in .*l\.csv, line 2 \(id a\), which is not a number"),
        (b'id,gap\na,"1,5"\n', "write a decimal point"),
        (b"", r"l\.csv is empty"),
        ("id,gap\na,1\n".encode("utf-16-le"), r"l\.csv, line 1: not text.*UTF-8"),
    ],
)
def test_csv_that_would_shift_or_swallow_a_label_is_refused(tmp_path, data, message):
    (tmp_path / "l.csv").write_bytes(data)
    with pytest.raises(ValueError, match=message):
        labels_from_csv(tmp_path / "l.csv", ["gap"], "id", ["a"], [1], 1)


@pytest.mark.parametrize("text", ["", "NA", "#N/A", " null", "None", "nan"])
def test_missing_values_as_other_programs_write_them(tmp_path, text):
    (tmp_path / "l.csv").write_text(f"id,gap\na,{text}\nb,\u22122\n")
    labels = labels_from_csv(tmp_path / "l.csv", ["gap"], "id", ["a", "b"], [1, 2], 2)
    assert np.isnan(labels[0, 0]) and labels[1, 0] == -2


def test_ids_that_lost_their_zeros_are_told(tmp_path):
    (tmp_path / "l.csv").write_text("id,gap\n7,1\n12,2\n")
    with pytest.warns(UserWarning, match="1 of 2 .*label: '0007'; rows that name no molecule: '7'"):
        labels_from_csv(tmp_path / "l.csv", ["gap"], "id", ["0007", "12"], [1, 2], 2)


def test_outliers_among_labels_are_told():
    y = np.r_[np.linspace(0, 1, 20), -9999.0][:, None]
    rows = [f"row {i}" for i in range(len(y))]
    with pytest.warns(UserWarning, match=r"'gap' lies far .* in row 20 \(the first is -9999"):
        check_labels(y, ["gap"], rows, allow_missing=False)


@pytest.mark.parametrize("encoding", ["utf-32", "utf-16", "utf-8-sig"])
def test_csv_with_a_byte_order_mark(tmp_path, encoding):
    (tmp_path / "l.csv").write_bytes("id, gap\na,1.5D-1\n".encode(encoding))
    labels = labels_from_csv(tmp_path / "l.csv", ["gap"], "id", ["a"], [1], 1)
    assert labels.tolist() == [[0.15]]


def test_far_coordinates_keep_their_geometry_and_absurd_ones_are_refused(tmp_path):
    frame = "2\nid=far\nC {0:.4f} 0 0\nO {1:.4f} 0 0\n"
    (tmp_path / "m.xyz").write_text(frame.format(123456.0, 123457.1234))
    X = load_file_3d(tmp_path / "m.xyz", splitter=None)[1][0].X
    assert X[0, 1, 0] - X[0, 0, 0] == pytest.approx(1.1234, abs=1e-5)
    (tmp_path / "m.xyz").write_text(frame.replace("{1:.4f}", "1e300").format(0))
    with pytest.raises(ValueError, match=r"record 1: atom 1 at \(1e\+300, 0, 0\)"):
        load_file_3d(tmp_path / "m.xyz", splitter=None)


def test_one_large_molecule_among_many_does_not_take_all_memory(monkeypatch):
    monkeypatch.setenv("DEEPCHEM_EAD_MAX_PADDED_GB", "0.001")
    table = TABLE.select(np.arange(2000))
    with pytest.raises(MoleculeError, match=r"molecule \d+ has \d+.*max_atoms"):
        table.to_padded(2000)
    assert table.to_padded().shape[0] == 2000


@pytest.mark.parametrize("byte", [b"0", b"\n"])
def test_a_gzipped_table_does_not_unpack_without_end(tmp_path, byte):
    with gzip.open(tmp_path / "t.csv.gz", "wb") as stream:
        stream.write(b"id,gap\n" + byte * (12 << 20))
    with pytest.raises(ValueError, match="unpacks to more than 100 times its size"):
        read_table(tmp_path / "t.csv.gz")


def test_tables_may_be_gzipped_tabbed_marked_and_quoted(tmp_path):
    with gzip.open(tmp_path / "t.tsv.gz", "wb") as stream:
        stream.write('\ufeffname\t gap \n\n"a,\tb"\t1\r\nc\t\n'.encode())
    table = read_table(tmp_path / "t.tsv.gz")
    assert table.columns == ["name", "gap"]
    assert table.rows == [{"name": "a,\tb", "gap": "1"}, {"name": "c", "gap": ""}]


SMILES_TABLE = """Name,SMILES,gap,note
ethanol,CCO,0.3,"liquid, clear"
broken,C1CC,9,
thiol,CCS,0.2,
strained,C1#CC1,9,
butane, CCCC ,,gas
"""


@pytest.mark.parametrize("name", ["m.csv", "m.tsv", "m.csv.gz", "m.smi", "m.smiles.gz"])
def test_smiles_get_conformers_and_labels_stay_aligned(tmp_path, name, caplog):
    text, labelled = SMILES_TABLE, ".smi" not in name
    if name == "m.tsv":
        text = text.replace('"liquid, clear"', "liquid").replace(",", "\t")
    if not labelled:
        rows = list(csv.DictReader(text.splitlines()))
        text = "\n".join(f"{row['SMILES'].strip()}\t{row['Name']}" for row in rows)
    opener = gzip.open if name.endswith(".gz") else open
    with opener(tmp_path / name, "wt") as stream:
        stream.write(text)
    options = {"tasks": ["gap"], "allow_missing": True} if labelled else {}
    with pytest.warns(UserWarning, match="left out 2 of 5 .*record 2: 'C1CC' is not a SMILES"):
        _, (dataset,), _ = load_file_3d(tmp_path / name, splitter=None, **options)
    assert "made conformers of 3 of 5 molecules" in caplog.text
    assert "1 is not a SMILES" in caplog.text and "1 cannot be embedded" in caplog.text
    assert dataset.ids.tolist() == ["CCO", "CCS", "CCCC"]
    if labelled:
        assert dataset.y[:, 0].tolist() == [0.3, 0.2, 0] and dataset.w[:, 0].tolist() == [1, 1, 0]
    alone = Molecule3DFeaturizer(14, "H,C,O,S").featurize(["CCS"])
    np.testing.assert_allclose(dataset.X[1], alone[0], atol=1e-6)
    with pytest.raises(MoleculeError, match="record 2: 'C1CC' is not a SMILES"):
        load_file_3d(tmp_path / name, on_error="raise")


def test_the_column_of_smiles_is_named_or_found(tmp_path):
    path = tmp_path / "m.csv"
    path.write_text("structure,smiles_old,gap\nCC,C,1\nCO,O,2\n")
    with pytest.raises(
        ValueError, match="m.csv has no column 'smiles'.*structure, smiles_old, gap"
    ):
        load_file_3d(path)
    with pytest.raises(ValueError, match="no column 'Structure'"):
        load_file_3d(path, smiles_column="Structure")
    _, (dataset,), _ = load_file_3d(path, tasks="gap", smiles_column="structure", splitter=None)
    assert dataset.ids.tolist() == ["CC", "CO"] and dataset.y[:, 0].tolist() == [1, 2]
    assert known_properties(path, "structure") == {"smiles_old", "gap"}
    path.write_text("SMILES,smiles\nCC,C\n")
    with pytest.raises(ValueError, match="the columns \\['SMILES', 'smiles'\\]"):
        load_file_3d(path)
