"""Kinds of atoms: text, numbers, counts."""

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import AllChem

from deepchem_ead.chem import MoleculeBatch
from deepchem_ead.chem.kinds import count_kinds, format_kind, format_kinds, parse_kind, parse_kinds


@pytest.mark.parametrize(
    ("text", "kind", "written"),
    [
        ("C", (6, 0), "C"),
        (" N+ ", (7, 1), "N+"),
        ("N+1", (7, 1), "N+"),
        ("O-", (8, -1), "O-"),
        ("o-1", (8, -1), "O-"),
        ("CL-", (17, -1), "Cl-"),
        ("Zn++", (30, 2), "Zn+2"),
        ("Al-3", (13, -3), "Al-3"),
        ("N+0", (7, 0), "N"),
    ],
)
def test_kinds_are_read_and_written(text, kind, written):
    assert parse_kind(text) == kind
    assert format_kind(kind) == written
    assert parse_kind(written) == kind


def test_lists_keep_their_order_and_round_trip():
    text = "H,C,N,N+,O,O-,F"
    assert parse_kinds(text) == ((1, 0), (6, 0), (7, 0), (7, 1), (8, 0), (8, -1), (9, 0))
    assert format_kinds(parse_kinds(text)) == text
    assert parse_kinds([(7, 1), "C", np.array([8, -1])]) == ((7, 1), (6, 0), (8, -1))


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ("C,N2+", "'N2\\+' is no kind of atom"),
        ("C,Q+", "'Q\\+' is no kind of atom: 'Q' is not an element"),
        ("C,", "'' is no kind of atom"),
        ("", "'' is no kind of atom"),
        ("C,[NH4+]", "is no kind of atom"),
        ("C,N+-", "'N\\+-' is no kind of atom"),
        ("N+,C,N+1", "names N\\+ twice"),
        ([], "kinds is empty"),
        ([(0, 0)], "0 is not an atomic number"),
        ([7], "int"),
    ],
)
def test_what_is_no_list_of_kinds_is_refused_by_name(bad, message):
    with pytest.raises(ValueError, match=message):
        parse_kinds(bad)


def test_kinds_are_counted_with_given_and_perceived_charges():
    mol = Chem.AddHs(Chem.MolFromSmiles("[NH3+]CC(=O)[O-]"))
    AllChem.EmbedMolecule(mol, randomSeed=1)
    given = MoleculeBatch.from_rdkit([mol, mol])
    once = {(1, 0): 5, (6, 0): 2, (7, 1): 1, (8, -1): 1, (8, 0): 1}
    assert count_kinds(given) == {kind: 2 * n for kind, n in once.items()}
    bare = MoleculeBatch.from_arrays(given.numbers[:1], given.positions[:1])
    assert count_kinds(bare) == once
    assert count_kinds(bare[:0]) == {}
