"""Molecule files of other programs, and damaged ones: read right, or refused with the reason."""

import gzip
import io
import time
import zipfile

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import AllChem

from deepchem_ead import MoleculeBatch
from deepchem_ead.errors import MoleculeError
from deepchem_ead.metrics import evaluate_molecules
from deepchem_ead.molnet.tables import read_table

AMMONIA = "N 0.00 0.00 0.12\nH 0.94 0.00 -0.27\nH -0.47 0.81 -0.27\nH -0.47 -0.81 -0.27\n"
ATOM = "{1:>10}{2:>10}{3:>10} {0:<3} 0  0  0  0  0  0  0  0  0  0  0  0\n"
FLUORIDE = [("H", "0.0000", "0.0000", "0.0000"), ("F", "0.0000", "0.0000", "0.9170")]


def block(atoms, bonds=(), header="x\n  own     01012500003D\n\n"):
    table = "".join(ATOM.format(*atom) for atom in atoms)
    table += "".join("{:3d}{:3d}{:3d}  0\n".format(*bond) for bond in bonds)
    counts = f"{len(atoms):3d}{len(bonds):3d}  0  0  0  0  0  0  0  0999 V2000\n"
    return f"{header}{counts}{table}M  END\n$$$$\n"


def read(folder, name, data):
    path = folder / name
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return MoleculeBatch.read(path)


@pytest.mark.parametrize(
    "text",
    [
        "4\nx\n" + AMMONIA.replace("N 0.00 0.00 0.12", "N 0.12"),
        "4\nx\n" + AMMONIA.replace("H -0.47 -0.81 -0.27\n", "H -0.5"),
        "4\nx\n" + AMMONIA.replace("H 0.94 0.00 -0.27", "H 0.94 0.00"),
        "2\nx\n1 0.37\n1 -0.37\n",
        "2\nProperties=species:S:1:q:R:1:pos:R:3\nH 1 0.3\nH 1 -0.3\n",
    ],
)
def test_rows_with_too_few_numbers_are_refused(text, tmp_path):
    with pytest.raises(MoleculeError, match=r"record 1: .*line \d"):
        read(tmp_path, "a.xyz", text)


@pytest.mark.parametrize("number", ["1.2D-01", "1.2*^-1", ".12", "+0.12", "12.e-2", "0.12d0"])
def test_numbers_as_other_programs_write_them(number, tmp_path):
    batch = read(tmp_path, "a.xyz", "4\nx\n" + AMMONIA.replace("0.12", number))
    assert batch.smiles == ["N"] and batch.positions[0][0, 2] == np.float32(0.12)


def test_raw_qm9_files_are_read(tmp_path):
    rows = "".join(row + "\t-0.1\n" for row in AMMONIA.replace("0.12", "1.2*^-1").split("\n")[:-1])
    tail = "1000.1\t1600.2\nN\tN\t\nInChI=1S/H3N/h1H3\tInChI=1S/H3N/h1H3\n"
    batch = read(tmp_path, "a.xyz", f"4\ngdb 2\t293.6\t293.5\t-56.5\t\n{rows}{tail}")
    assert batch.smiles == ["N"] and batch.positions[0][0, 2] == np.float32(0.12)


@pytest.mark.parametrize("kind", ["sdf", "xyz"])
def test_names_in_an_old_encoding_are_kept_and_told(kind, tmp_path):
    text = "4\nAmmoniak, wäßrig\n" + AMMONIA
    if kind == "sdf":
        header = "Ammoniak, wäßrig\n  own     01012500003D\n25 °C\n"
        text = block(FLUORIDE, [(1, 2, 1)], header)
    with pytest.warns(UserWarning, match=r"a\.\w+, line \d: not UTF-8"):
        assert read(tmp_path, f"a.{kind}", text.encode("latin-1")).ids == ["Ammoniak, wäßrig"]
    with pytest.raises(MoleculeError, match="UTF-16|UTF-8"):
        read(tmp_path, f"b.{kind}", text.encode("utf-16-le"))


@pytest.mark.parametrize(
    ("old", "new"), [("    0.9170", "  9.17E-01"), ("    0.9170", "   9.17D-1"), (" F   ", " f   ")]
)
def test_atom_rows_of_other_programs_are_read(old, new, tmp_path):
    batch = read(tmp_path, "a.sdf", block(FLUORIDE, [(1, 2, 1)]).replace(old, new))
    assert batch.smiles == ["F"] and batch.positions[0][1, 2] == np.float32(0.917)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("    0.9170", "  nine    ", "atom 1: .* z 'nine' is not a number"),
        (" F   ", " Fx  ", "atom 1: 'Fx' is not an element symbol"),
    ],
)
def test_atom_rows_that_cannot_be_read_name_the_value(old, new, said, tmp_path):
    with pytest.raises(MoleculeError, match=said):
        read(tmp_path, "a.sdf", block(FLUORIDE, [(1, 2, 1)]).replace(old, new))


@pytest.mark.parametrize("value", ["       nan", "       inf", "      -Inf"])
def test_broken_samples_in_an_sdf_file_stay_in_the_denominator(value, tmp_path):
    good = block(FLUORIDE, [(1, 2, 1)])
    batch = read(tmp_path, "a.sdf", good + good.replace("    0.9170", value) + good)
    assert batch.smiles == ["F", None, "F"] and batch.reasons[1] == "coordinates not finite"
    assert evaluate_molecules(batch, progress=False).validity == pytest.approx(2 / 3)


def test_half_a_v3000_table_says_what_is_missing(tmp_path):
    mol = Chem.AddHs(Chem.MolFromSmiles("CN"))
    AllChem.EmbedMolecule(mol, randomSeed=1)
    whole = Chem.MolToV3KMolBlock(mol)
    assert read(tmp_path, "a.sdf", whole + "$$$$\n").smiles == ["CN"]
    for start in ("M  V30 BEGIN BOND", "M  V30 END ATOM"):
        with pytest.raises(MoleculeError, match="record 1: (?!.*RDKit cannot parse)"):
            read(tmp_path, "b.sdf", whole.split(start)[0] + "M  END\n$$$$\n")


@pytest.mark.parametrize("position", [3, 11, 30, 60, -9, -2])
def test_a_flipped_byte_of_a_gzipped_file_is_one_clear_error(position, tmp_path):
    whole = "".join(block(FLUORIDE, [(1, 2, 1)], f"{i}\n  own\n\n") for i in range(40)).encode()
    data = bytearray(gzip.compress(whole, mtime=0))
    assert len(read(tmp_path, "a.sdf.gz", bytes(data))) == 40
    data[position] ^= 0xFF
    with pytest.raises(MoleculeError, match="a.sdf.gz: damaged gzip file"):
        read(tmp_path, "a.sdf.gz", bytes(data))


def test_files_that_are_no_text_say_what_they_are(tmp_path):
    once = gzip.compress(block(FLUORIDE, [(1, 2, 1)]).encode())
    for name, data in {"a.sdf": once, "a.xyz.gz": gzip.compress(once)}.items():
        with pytest.raises(MoleculeError, match=f"{name} is gzipped, once more than its name says"):
            read(tmp_path, name, data)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("xl/workbook.xml", "<workbook/>")
    with pytest.raises(MoleculeError, match="a.sdf is a ZIP archive or an Excel table"):
        read(tmp_path, "a.sdf", archive.getvalue())
    (tmp_path / "a.csv").write_bytes(archive.getvalue())
    with pytest.raises(ValueError, match="a.csv is a ZIP archive or an Excel table.*as CSV"):
        read_table(tmp_path / "a.csv", ["a"])


@pytest.mark.parametrize(
    "comment",
    ["(" * 20_000, "[" * 20_000, "=" * 20_000, "a=" * 10_000, '"' * 20_000, "x" * 200_000],
)
def test_long_comments_take_no_time(comment, tmp_path):
    began = time.process_time()
    assert len(read(tmp_path, "a.xyz", f"4\n{comment}\n{AMMONIA}")) == 1
    assert time.process_time() - began < 1


@pytest.mark.parametrize("symbol", ["He", "O", "Cl", "K", "Xe"])
def test_single_atoms_of_an_sdf_file_are_molecules(symbol, tmp_path):
    batch = read(tmp_path, "a.sdf", block([(symbol, "0.0000", "0.0000", "0.0000")]))
    assert batch.numbers[0].tolist() == [Chem.GetPeriodicTable().GetAtomicNumber(symbol)]


@pytest.mark.parametrize("header", ["x\n\n\n", "x\nChemist's own program\nflat\n"])
def test_planar_molecules_need_no_flag_of_three_dimensions(header, tmp_path):
    ethene = [("C", "0.6670", "0.0000", "0.0000"), ("C", "-0.6670", "0.0000", "0.0000")]
    ethene += [("H", x, y, "0.0000") for x in ("1.2300", "-1.2300") for y in ("0.9300", "-0.9300")]
    bonds = [(1, 2, 2), (1, 3, 1), (1, 4, 1), (2, 5, 1), (2, 6, 1)]
    assert read(tmp_path, "a.sdf", block(ethene, bonds, header)).smiles == ["C=C"]
