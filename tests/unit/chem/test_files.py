from __future__ import annotations

import gzip
import resource
import time
import warnings

import numpy as np
import pytest
from chem_data import broken_qm9, qm9
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from rdkit import Chem
from rdkit.Chem import AllChem

from deepchem_ead.chem import MoleculeBatch, open_writer
from deepchem_ead.chem.atomic import atomic_path, write_text
from deepchem_ead.errors import MoleculeError

QM9, _ = qm9()
FORMATS = ["sdf", "xyz"]


def write(batch: MoleculeBatch, path) -> None:
    {".sdf": batch.to_sdf, ".xyz": batch.to_xyz, ".smi": batch.to_smi}[path.suffix](path)


def assert_same(got: MoleculeBatch, wanted: MoleculeBatch) -> None:
    assert np.array_equal(got.offsets, wanted.offsets)
    assert np.array_equal(got.atomic_numbers, wanted.atomic_numbers)
    np.testing.assert_allclose(got.coordinates, wanted.coordinates, atol=1e-4, rtol=1e-6)
    assert np.array_equal(got.charges, wanted.charges)
    assert got.ids == wanted.ids
    assert got.properties.keys() == wanted.properties.keys()
    for name, values in wanted.properties.items():
        assert got.properties[name].dtype.kind == values.dtype.kind, name
        assert got.properties[name].tolist() == values.tolist() or (
            np.array_equal(got.properties[name], values, equal_nan=True)
        ), name


@pytest.mark.parametrize("suffix", FORMATS)
def test_qm9_round_trip(tmp_path, suffix):
    write(QM9, tmp_path / f"a.{suffix}")
    back = MoleculeBatch.read(tmp_path / f"a.{suffix}")
    assert_same(back, QM9)
    assert back.smiles == QM9.smiles


words = st.text("abcdefghijklmnopqrstuvwxyzABC _-+()[]=#@<>'\"\\/{}$%,;:é", min_size=1, max_size=12)
words = words.map(lambda s: "w" + " ".join(s.split()))


@st.composite
def batches(draw):
    counts = draw(st.lists(st.integers(0, 6), min_size=1, max_size=4))
    finite = st.floats(-500, 500, width=32)
    wild = st.sampled_from([np.nan, np.inf, -np.inf, 123456.78, -9999999.0])
    n = len(counts)
    return MoleculeBatch.from_arrays(
        [draw(st.lists(st.integers(1, 118), min_size=k, max_size=k)) for k in counts],
        [draw(hnp.arrays(np.float64, (k, 3), elements=finite | wild)) for k in counts],
        charges=draw(st.lists(st.integers(-9, 9), min_size=n, max_size=n)),
        properties={
            "energy in eV": draw(hnp.arrays(np.float64, n, elements=st.floats())),
            "step": draw(hnp.arrays(np.int64, n)),
            "done": draw(hnp.arrays(np.bool_, n)),
            "note": np.array(draw(st.lists(words, min_size=n, max_size=n))),
        },
        ids=draw(st.lists(words, min_size=n, max_size=n)),
    )


@pytest.mark.parametrize("suffix", FORMATS)
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(batch=batches())
def test_any_batch_round_trips(tmp_path, suffix, batch):
    path = tmp_path / f"a.{suffix}"
    write(batch, path)
    assert_same(MoleculeBatch.read(path, allow_empty=True), batch)


def radical() -> MoleculeBatch:
    turn = np.deg2rad([0, 120, 240])
    hydrogens = 1.08 * np.stack([np.cos(turn), np.sin(turn), 0 * turn], axis=1)
    return MoleculeBatch.from_arrays([[6, 1, 1, 1]], [np.concatenate([[[0, 0, 0]], hydrogens])])


@pytest.mark.parametrize("suffix", FORMATS)
def test_atoms_with_too_few_bonds_get_none_added_and_flat_molecules_stay_3d(tmp_path, suffix):
    write(radical(), tmp_path / f"a.{suffix}")
    assert_same(MoleculeBatch.read(tmp_path / f"a.{suffix}"), radical())


@pytest.mark.parametrize("suffix", FORMATS)
def test_without_ids_or_properties(tmp_path, suffix):
    plain = MoleculeBatch.from_arrays(QM9.numbers[:3], QM9.positions[:3])
    write(plain, tmp_path / f"a.{suffix}")
    back = MoleculeBatch.read(tmp_path / f"a.{suffix}")
    assert back.ids is None and back.properties == {}
    assert_same(back, plain)


def test_sdf_is_read_by_rdkit_with_bonds_where_valid(tmp_path):
    broken = broken_qm9()
    batch = MoleculeBatch.from_arrays(
        broken.numbers, broken.positions, properties={"mu": np.arange(60) / 3}, ids=broken.ids
    )
    batch.to_sdf(tmp_path / "a.sdf")
    supplier = Chem.SDMolSupplier(str(tmp_path / "a.sdf"), removeHs=True)
    for i, mol in enumerate(supplier):
        assert mol.GetProp("_Name") == batch.ids[i]
        assert float(mol.GetProp("mu")) == i / 3
        if i % 5 == 4:
            assert mol.GetNumBonds() == 0 and mol.GetNumAtoms() == batch.counts[i]
            assert not mol.HasProp("SMILES")
        else:
            assert mol.GetProp("SMILES") == batch.smiles[i] == Chem.MolToSmiles(mol)
            assert Chem.AddHs(mol).GetNumAtoms() == batch.counts[i]
    assert i == 59


def test_more_atoms_than_v2000_holds(tmp_path):
    batch = MoleculeBatch.from_arrays([[18] * 1001], [np.arange(3003).reshape(-1, 3)])
    batch.to_sdf(tmp_path / "a.sdf")
    assert_same(MoleculeBatch.read(tmp_path / "a.sdf"), batch)


def test_formal_charges_of_a_foreign_sdf(tmp_path):
    with Chem.SDWriter(str(tmp_path / "a.sdf")) as writer:
        for smiles in ("C[NH3+]", "O=C[O-]"):
            mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
            AllChem.EmbedMolecule(mol, randomSeed=1)
            writer.write(mol)
    batch = MoleculeBatch.read(tmp_path / "a.sdf")
    assert batch.charges.tolist() == [1, -1]
    batch.to_sdf(tmp_path / "b.sdf")
    assert_same(MoleculeBatch.read(tmp_path / "b.sdf"), batch)


def test_gzip_mol_and_crlf(tmp_path):
    QM9[:5].to_sdf(tmp_path / "a.sdf")
    text = (tmp_path / "a.sdf").read_text()
    with gzip.open(tmp_path / "a.sdf.gz", "wt") as stream:
        stream.write(text)
    assert_same(MoleculeBatch.read(tmp_path / "a.sdf.gz"), QM9[:5])
    (tmp_path / "one.mol").write_bytes(text.split("> ")[0].replace("\n", "\r\n").encode())
    assert_same(MoleculeBatch.read(tmp_path / "one.mol"), QM9[:1])
    (tmp_path / "bad.sdf.gz").write_bytes(b"not gzip")
    with pytest.raises(MoleculeError, match="damaged gzip"):
        MoleculeBatch.read(tmp_path / "bad.sdf.gz")


def test_xyz_dialects(tmp_path):
    (tmp_path / "a.xyz").write_text(
        "3\nwater molecule\nO 0 0 0\nH 0.96 0 0\nH -0.24 0.93 0\n\n"
        "2\nProperties=Z:I:1:mass:R:1:pos:R:3:forces:R:3 "
        'energy=-1.5 label="a \\"b\\"" pbc=\'F F F\'\n'
        "1 1.008 0 0 0 9 9 9\n1 1.008 0 0 0.74 9 9 9\n"
        "1\n7\nCL 1e0 -2 3.5 0.25\n"
        "0\nid=nothing total_charge=2\n"
    )
    with pytest.raises(MoleculeError, match="record 4: it has no atoms"):
        MoleculeBatch.read(tmp_path / "a.xyz")
    batch = MoleculeBatch.read(tmp_path / "a.xyz", allow_empty=True)
    positions = batch.positions
    assert [n.tolist() for n in batch.numbers] == [[8, 1, 1], [1, 1], [17], []]
    assert batch.ids == ["water molecule", "", "7", "nothing"]
    assert positions[2].tolist() == [[1, -2, 3.5]] and positions[1][1, 2] == np.float32(0.74)
    energy = batch.properties["energy"]
    assert energy[1] == -1.5 and np.isnan(energy[[0, 2, 3]]).all()
    assert batch.properties["label"].tolist() == ["", 'a "b"', "", ""]
    assert batch.properties["pbc"][1] == "F F F"
    assert batch.charges.tolist() == [0, 0, 0, 2]
    assert batch.smiles[:2] == ["O", "[H][H]"]


def broken_sdf(tmp_path):
    QM9[:5].to_sdf(tmp_path / "a.sdf")
    records = (tmp_path / "a.sdf").read_text().split("$$$$\n")
    records[1] = records[1].replace(" C  ", " Qq ", 1)
    records[3] = records[3].replace("M  END", "")
    (tmp_path / "a.sdf").write_text("$$$$\n".join(records))
    return tmp_path / "a.sdf", [0, 2, 4], ["record 2: .*Qq", "record 4: .*M  END"]


def broken_xyz(tmp_path):
    parts = []
    for i in range(5):
        QM9[i].to_xyz(tmp_path / "a.xyz")
        parts.append((tmp_path / "a.xyz").read_text())
    parts[1] = parts[1].replace("\nC ", "\nQq ", 1)
    parts[3] = "".join(parts[3].splitlines(keepends=True)[:-1])
    (tmp_path / "a.xyz").write_text("".join(parts))
    return tmp_path / "a.xyz", [0, 2, 4], ["record 2: .*Qq", "record 4: .*needs an element"]


@pytest.mark.parametrize("make", [broken_sdf, broken_xyz])
def test_bad_records_are_named_and_can_be_skipped(tmp_path, make):
    path, good, reasons = make(tmp_path)
    with pytest.raises(MoleculeError, match=f"{path.name}, {reasons[0]}"):
        MoleculeBatch.read(path)
    message = "left out 2 of 5 records: " + ".*; ".join(reasons)
    with pytest.warns(UserWarning, match=message) as caught:
        batch = MoleculeBatch.read(path, on_error="skip")
    assert len(caught) == 1 and caught[0].filename == __file__
    assert_same(batch, QM9[good])


@pytest.mark.parametrize(
    ("row", "start", "new", "reason"),
    [
        (3, 3, " x0", "the counts line .line 4. reads '11 x0"),
        (4, 31, "Qq ", "atom 0: 'Qq' is not an element"),
        (6, 3, "?", "atom 2: .* does not hold x y z"),
        (15, 3, " 99", "bond 0: .* does not name two of the 11 atoms"),
        (15, 0, "  1  1", "bond 0: .* joins atom 1 to itself"),
        (16, 0, "  1  2", "bond 1: .* two atoms that have a bond already"),
        (3, 0, " 10  0", ".* announces 10 atoms and 0 bonds, but another atom follows"),
        (3, 3, "  9", ".* announces 11 atoms and 9 bonds, but another bond follows"),
        (0, 0, "$RXN ", "it begins with '[$]RXN.* no SDF but a reaction"),
    ],
)
def test_reasons_for_unreadable_sdf(tmp_path, row, start, new, reason):
    QM9[0].to_sdf(tmp_path / "a.sdf")
    lines = (tmp_path / "a.sdf").read_text().splitlines()
    lines[row] = lines[row][:start] + new + lines[row][start + len(new) :]
    (tmp_path / "a.sdf").write_text("\n".join(lines))
    with pytest.raises(MoleculeError, match=f"record 1: {reason}"):
        MoleculeBatch.read(tmp_path / "a.sdf")


def test_sdf_without_hydrogens_or_third_dimension_is_refused(tmp_path):
    mol = Chem.MolFromSmiles("CCO")
    AllChem.EmbedMolecule(mol, randomSeed=1)
    Chem.MolToMolFile(mol, str(tmp_path / "a.mol"))
    with pytest.raises(MoleculeError, match="record 1: .*atom 0 .C. has 3 hydrogen.*AddHs"):
        MoleculeBatch.read(tmp_path / "a.mol")
    flat = Chem.AddHs(mol)
    AllChem.Compute2DCoords(flat)
    Chem.MolToMolFile(flat, str(tmp_path / "b.mol"))
    with pytest.raises(MoleculeError, match="flat 2D drawing"):
        MoleculeBatch.read(tmp_path / "b.mol")


@pytest.mark.parametrize("name", ["a.sdf", "a.xyz"])
def test_no_molecules(tmp_path, name):
    (tmp_path / name).write_text("\n")
    with pytest.raises(MoleculeError, match="holds no molecules"):
        MoleculeBatch.read(tmp_path / name)


def test_unusable_paths_and_arguments(tmp_path):
    with pytest.raises(FileNotFoundError):
        MoleculeBatch.read(tmp_path / "missing.sdf")
    with pytest.raises(ValueError, match="unknown kind of molecule file"):
        MoleculeBatch.read(tmp_path / "a.pdb")
    with pytest.raises(ValueError, match="load_file_3d make conformers of SMILES"):
        MoleculeBatch.read(tmp_path / "a.smi")
    with pytest.raises(ValueError, match="'raise' or 'skip'"):
        MoleculeBatch.read(tmp_path / "a.sdf", on_error="ignore")
    with pytest.raises(ValueError, match="drop the .gz"):
        open_writer(tmp_path / "a.sdf.gz")


def test_smi_lists_valid_molecules_with_their_position(tmp_path):
    plain = MoleculeBatch.from_arrays(QM9.numbers, QM9.positions)
    plain.to_smi(tmp_path / "a.smi")
    lines = [line.split("\t") for line in (tmp_path / "a.smi").read_text().splitlines()]
    assert lines == [[s, str(i)] for i, s in enumerate(plain.smiles) if s is not None]
    QM9[:2].to_smi(tmp_path / "a.smi")
    assert (tmp_path / "a.smi").read_text().split()[1::2] == QM9.ids[:2]


def test_a_failed_write_leaves_the_old_file_and_no_litter(tmp_path, monkeypatch):
    QM9[:2].to_sdf(tmp_path / "a.sdf")
    before = (tmp_path / "a.sdf").read_bytes()

    def full(*_):
        raise OSError("disk full")

    monkeypatch.setattr("deepchem_ead.chem.files.format_sdf", full)
    with pytest.raises(OSError, match="disk full"):
        QM9.to_sdf(tmp_path / "a.sdf")
    assert (tmp_path / "a.sdf").read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.sdf"]


@pytest.mark.parametrize("suffix", ["sdf", "xyz", "smi"])
def test_streamed_batches_equal_one_file_and_are_flushed(tmp_path, suffix):
    write(QM9, tmp_path / f"whole.{suffix}")
    path = tmp_path / f"parts.{suffix}"
    with open_writer(path) as writer:
        writer.write(QM9[:7])
        flushed = path.read_text()
        writer.write(QM9[7:])
        assert writer.count == 60
    assert flushed and path.read_text().startswith(flushed)
    assert path.read_bytes() == (tmp_path / f"whole.{suffix}").read_bytes()


@pytest.mark.parametrize("suffix", ["sdf", "xyz", "smi"])
@pytest.mark.parametrize("lost", [0, 1, 5, 40])
def test_append_repairs_a_torn_end(tmp_path, suffix, lost):
    path = tmp_path / f"a.{suffix}"
    valid = QM9[:20]
    write(valid, path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) - lost])
    with open_writer(path, append=True) as writer:
        first = writer.count
        assert first == 20 if lost == 0 else first < 20
        writer.write(valid[first:])
    assert path.read_bytes() == whole
    with open_writer(path) as writer:
        writer.write(valid[:1])
    assert len(path.read_bytes()) < len(whole) / 4


def test_two_thousand_molecules_in_each_format_take_seconds(tmp_path):
    many = MoleculeBatch.concatenate([QM9] * 34)
    many.to_xyz(tmp_path / "a.xyz")
    with open(tmp_path / "a.sdf", "w") as out:
        QM9.to_sdf(tmp_path / "one.sdf")
        out.write((tmp_path / "one.sdf").read_text() * 34)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        start = time.process_time()
        for suffix in FORMATS:
            assert_same(MoleculeBatch.read(tmp_path / f"a.{suffix}"), many)
    # Typically 0.5 s: 10,000 molecules take about 2 s.
    assert time.process_time() - start < 5


def test_a_number_as_comment_of_a_bad_frame_is_no_frame(tmp_path):
    (tmp_path / "a.xyz").write_text("1\n8\nQq 0 0 0\n1\n9\nO 0 0 0\n")
    with pytest.warns(UserWarning, match="left out 1 of 2 records: record 1: line 1: .*Qq"):
        batch = MoleculeBatch.read(tmp_path / "a.xyz", on_error="skip")
    assert batch.ids == ["9"] and batch.atomic_numbers.tolist() == [8]


@pytest.mark.parametrize("suffix", FORMATS)
def test_text_of_several_lines_round_trips(tmp_path, suffix):
    batch = MoleculeBatch.from_arrays([[8]], [[[0, 0, 0]]], properties={"log": ["a b\nc\\n"]})
    write(batch, tmp_path / f"a.{suffix}")
    assert_same(MoleculeBatch.read(tmp_path / f"a.{suffix}"), batch)


def test_append_to_something_else_is_refused(tmp_path):
    (tmp_path / "a.xyz").write_text("notes\n")
    with pytest.raises(MoleculeError, match="cannot append after 'notes'"):
        open_writer(tmp_path / "a.xyz", append=True)
    assert (tmp_path / "a.xyz").read_text() == "notes\n"


BLOCK = "{0}\n  own     01012500003D\n\n  2  1  0  0  0  0  0  0  0  0999 V2000\n" + (
    "    0.0000    0.0000    0.0000 F   0  0\n    0.0000    0.0000    {1} H   0  0\n"
    "  1  2  1  0\nM  END\n"
)


@pytest.mark.parametrize("between", ["", "\n", "> <a>\n1\n\n", "  $$$$ \n", "$$$$ second\n"])
def test_every_mol_block_is_a_record(tmp_path, between):
    one, two = BLOCK.format("one", "0.9170"), BLOCK.format("two", "9.2D-1")
    (tmp_path / "a.sdf").write_text(one + between + two)
    batch = MoleculeBatch.read(tmp_path / "a.sdf")
    assert batch.ids == ["one", "two"]
    assert batch.positions[1][1, 2] == np.float32(0.92)


@pytest.mark.parametrize(
    ("items", "tags"),
    [
        ("> 25 <A>\n007\n\n>  <B> (x)\nnan and\n\nmore\n\n> DT12\n1e5\n\n$$$$\n",
         {"A": "007", "B": "nan and\n\nmore", "DT12": "1e5"}),
        ("> <A>\r\n1_0\r\n\r\n$$$$\r\n", {"A": "1_0"}),
    ],
)  # fmt: skip
def test_data_items_are_kept_as_they_are(tmp_path, items, tags):
    (tmp_path / "a.sdf").write_bytes((BLOCK.format("x", "0.9170") + items).encode())
    for _ in range(2):
        batch = MoleculeBatch.read(tmp_path / "a.sdf")
        assert {k: v[0] for k, v in batch.properties.items()} == tags
        batch.to_sdf(tmp_path / "a.sdf")


def test_a_cut_data_item_is_refused(tmp_path):
    (tmp_path / "a.sdf").write_text(BLOCK.format("x", "0.9170") + "> <gap>\n-0.2")
    with pytest.raises(MoleculeError, match="<gap> is the last.*cut short"):
        MoleculeBatch.read(tmp_path / "a.sdf")


@pytest.mark.parametrize(
    ("comment", "name", "tags"),
    [
        ("N#CC=O", "N#CC=O", {}),
        ("InChI=1S/CH4/h1H4", "InChI=1S/CH4/h1H4", {}),
        ("step 3, E = -1.5, t=2,", "step 3", {"E": -1.5, "t": 2}),
        ("a=1 kcal", "a=1 kcal", {"a": 1}),
        ("id=x b=[[1, 2], [3]] c='p q'", "x", {"b": "[[1, 2], [3]]", "c": "p q"}),
    ],
)
def test_xyz_comments(tmp_path, comment, name, tags):
    (tmp_path / "a.xyz").write_text(f"1\n{comment}\nD 0 0 1.2*^-6\n")
    batch = MoleculeBatch.read(tmp_path / "a.xyz")
    assert batch.ids == [name] and {k: v[0] for k, v in batch.properties.items()} == tags


@pytest.mark.parametrize(
    "text",
    [
        "charge=-1.",
        "Charge=-1,",
        "total_charge=1-",
        "net_charge=-1.0",
        "Charge: -1 Multiplicity: 1",
        "fluoride, total charge -1",
    ],
)
def test_charges_in_xyz_comments(tmp_path, text):
    (tmp_path / "a.xyz").write_text(f"1\n{text}\nF 0 0 0\n")
    assert MoleculeBatch.read(tmp_path / "a.xyz").charges.tolist() == [-1]


@pytest.mark.parametrize(
    ("count", "comment", "reason"),
    [
        ("1", "units=bohr", "must be in Angstrom"),
        ("1", "fluoride in Bohr", "must be in Angstrom"),
        ("1 au", "", "'1 au'; the line must hold nothing else, and coordinates are in Angstrom"),
    ],
)
def test_other_units_of_length_are_refused(tmp_path, count, comment, reason):
    (tmp_path / "a.xyz").write_text(f"{count}\n{comment}\nF 0 0 0\n")
    with pytest.raises(MoleculeError, match=f"record 1: line 1: .*{reason}"):
        MoleculeBatch.read(tmp_path / "a.xyz")
    (tmp_path / "a.xyz").write_text("1\nalpha in Bohr^3\nF 0 0 0\n")
    assert len(MoleculeBatch.read(tmp_path / "a.xyz")) == 1


@pytest.mark.parametrize("count", ["1", "2", "4", "5"])
def test_a_wrong_count_never_takes_the_next_molecule(tmp_path, count):
    water = "{0}\n{1}\nO 0 0 0\nH 0.96 0 0\nH -0.24 0.93 0\n"
    (tmp_path / "a.xyz").write_text(water.format(count, "bad") + water.format(3, "good"))
    with pytest.warns(UserWarning, match=r"left out 1 of 2 records: record 1: .*line \d"):
        assert MoleculeBatch.read(tmp_path / "a.xyz", on_error="skip").ids == ["good"]


names = st.sampled_from(["id", "charge", "SMILES", "Properties", "property_id"])
names = names | st.text(max_size=8)
texts = st.sampled_from(["", "nan", "12", "T", '"1"', "$$$$", "> <x>", "a\n\nb\r", " x "])
texts = (texts | st.text(max_size=12)).filter(lambda s: not s.endswith("\0"))


@pytest.mark.parametrize("suffix", FORMATS)
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(name=texts, properties=st.dictionaries(names, texts, max_size=4))
def test_any_text_round_trips(tmp_path, suffix, name, properties):
    batch = MoleculeBatch.from_arrays(
        [[8]], [[[0, 0, 0]]], ids=[name or "w"], properties={k: [v] for k, v in properties.items()}
    )
    write(batch, tmp_path / f"t.{suffix}")
    assert_same(MoleculeBatch.read(tmp_path / f"t.{suffix}"), batch)


@pytest.mark.parametrize("name", ["", "temporary"])
def test_errors_of_a_full_disk_name_the_file(tmp_path, name):
    path = tmp_path / "a.sdf"
    with pytest.raises(OSError, match="No space") as told, atomic_path(path) as temporary:
        raise OSError(28, "No space left on device", *([str(temporary)] if name else []))
    assert told.value.filename == str(path)


def test_numpy_says_of_a_full_disk_how_much_it_has_written(tmp_path):
    path = tmp_path / "a.npy"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, before[1]))
    try:
        with pytest.raises(OSError, match="No space") as told, atomic_path(path) as temporary:
            with temporary.open("wb") as stream:
                np.save(stream, np.zeros(1000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert told.value.filename == str(path) and not list(tmp_path.iterdir())


def test_text_on_a_full_disk_names_the_file_and_keeps_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "config.yaml"
    write_text(path, "Å: 1\n")

    def full(self, text, encoding):
        self.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(type(path), "write_text", full)
    with pytest.raises(OSError, match="config.yaml"):
        write_text(path, "Å: 2\n")
    assert path.read_text(encoding="utf-8") == "Å: 1\n" and list(tmp_path.iterdir()) == [path]
