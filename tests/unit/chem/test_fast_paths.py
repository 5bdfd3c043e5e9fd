"""What ordinary records are read by is faster than the general way, and finds the same."""

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import AllChem

from deepchem_ead.chem import xyz_comment
from deepchem_ead.chem.rdkit_io import arrays_from_mol
from deepchem_ead.chem.sdf_repair import parse_table
from deepchem_ead.chem.sdf_tables import ordinary_arrays


def _table(smiles: str, v3000: bool = False) -> list[str]:
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    assert AllChem.EmbedMolecule(mol, randomSeed=1) == 0
    lines = Chem.MolToMolBlock(mol, forceV3000=v3000).split("\n")
    return lines[: lines.index("M  END") + 1]


@pytest.mark.parametrize(
    "smiles", ["CC(=O)Oc1ccccc1C(=O)O", "C[C@H](Cl)/C=C/Br", "N#CC1=NC(F)=CS1", "C" * 34]
)
def test_ordinary_tables_are_read_as_rdkit_reads_them(smiles):
    table = _table(smiles)
    found, general = ordinary_arrays(table, parse_table(table)), arrays_from_mol(parse_table(table))
    assert found.charge == general.charge == 0
    for name in ("numbers", "positions"):
        np.testing.assert_array_equal(getattr(found, name), getattr(general, name))
        assert getattr(found, name).dtype == getattr(general, name).dtype
    np.testing.assert_array_equal(found.graph.bonds, general.graph.bonds)
    assert found.graph.bonds.dtype == general.graph.bonds.dtype
    rest = [found.graph.formal_charges, general.graph.formal_charges, general.graph.isotopes]
    assert not np.any([*rest, general.graph.radicals]) and not general.graph.unspecified.any()


def _changed(row: int, start: int, text: str) -> list[str]:
    """Formaldehyde (C, O, H, H) with other text in a line of its table."""
    table = _table("C=O")
    line = table[row]
    table[row] = line[:start] + text + line[start + len(text) :]
    return table


@pytest.mark.parametrize(
    "table",
    [
        _table("C[N+](=O)[O-]"),
        _table("[2H]C#N"),
        _table("CCO", v3000=True),
        _changed(8, 6, "  4"),  # an aromatic bond
        _changed(8, 9, "  3"),  # a crossed double bond
        _changed(9, 9, "  4"),  # a wavy bond
        _changed(6, 31, "D  "),
        _changed(5, 36, "  5"),  # O-
        _changed(6, 34, " 1"),  # deuterium as a mass difference
        _changed(8, 6, "  1"),  # two hydrogens are missing
    ],
    ids=lambda table: table[5][31:39] + table[8],
)
def test_other_tables_are_left_to_the_general_way(table):
    mol = parse_table(table)
    assert mol is not None and ordinary_arrays(table, mol) is None


@pytest.mark.parametrize(
    "pairs",
    [
        'id="a b" SMILES="C=O" charge=0',
        "energy=-1.2D-3  flag=T",
        'e=1 e=2 name="x, y"',
        'e="" flag k=[1, 2]',
        'q="say \\"hi\\""',
    ],
)
def test_plain_comments_mean_what_the_general_parser_finds(pairs, monkeypatch):
    comment = f"Properties=species:S:1:pos:R:3 {pairs}"
    found = xyz_comment.read_comment(comment)
    monkeypatch.setattr(xyz_comment, "_PLAIN_PAIRS", xyz_comment.re.compile("never"))
    assert found == xyz_comment.read_comment(comment)
