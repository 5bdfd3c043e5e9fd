from __future__ import annotations

import numpy as np
import pytest
from rdkit import Chem

from deepchem_ead.chem import Vocabulary, number_of, parse_elements, symbol_of
from deepchem_ead.errors import MoleculeError


def test_symbols_and_numbers_agree_with_rdkit_and_invert_each_other():
    table = Chem.GetPeriodicTable()
    for z in range(1, 119):
        assert symbol_of(z) == table.GetElementSymbol(z)
        assert number_of(symbol_of(z)) == z


@pytest.mark.parametrize("bad", ["", "Q", "Xx", "*", "6"])
def test_unknown_symbol(bad):
    with pytest.raises(MoleculeError, match="element symbol"):
        number_of(bad)


@pytest.mark.parametrize("bad", [0, -1, 119])
def test_unknown_number(bad):
    with pytest.raises(MoleculeError, match=str(bad)):
        symbol_of(bad)


@pytest.mark.parametrize(
    ("elements", "expected"),
    [
        ("H,C,N,O,F", (1, 6, 7, 8, 9)),
        (" h, CL ", (1, 17)),
        (["C", 17], (6, 17)),
        (np.array([8, 1]), (8, 1)),
        ("qm9", (1, 6, 7, 8, 9)),
        ("GEOM", (1, 5, 6, 7, 8, 9, 13, 14, 15, 16, 17, 33, 35, 53, 80, 83)),
    ],
)
def test_parse_elements(elements, expected):
    assert parse_elements(elements) == expected


@pytest.mark.parametrize(
    ("elements", "message"),
    [
        ("H,Q", "'Q' is not an element"),
        ("H,C,H", "names H twice"),
        ("H,,C", "empty entry"),
        ("", "empty entry"),
        ([], "at least one"),
        ([0], "0 is not an atomic number"),
        ([1.5], "1.5 is not an atomic number"),
        ("qm8", "preset: qm9, geom"),
    ],
)
def test_parse_elements_refuses(elements, message):
    with pytest.raises(ValueError, match=message):
        parse_elements(elements)


def test_index_of_is_the_position_in_the_list():
    vocabulary = Vocabulary.parse("F,H,Br")
    assert vocabulary.index_of(np.array([35, 1, 9, 1], dtype=np.int16)).tolist() == [2, 1, 0, 1]
    assert vocabulary.contains(np.array([35, 6, 0, 200, -3])).tolist() == [True] + [False] * 4
    assert len(vocabulary) == 3 and vocabulary.symbols == ("F", "H", "Br")
    assert vocabulary == Vocabulary((9, 1, 35)) and hash(vocabulary) == hash(Vocabulary((9, 1, 35)))


def test_index_of_names_molecule_atom_and_element():
    numbers, offsets = np.array([6, 1, 8, 16, 1]), np.array([0, 2, 2, 5])
    with pytest.raises(MoleculeError, match="molecule 2, atom 1: S is not among .*H,C,N,O,F"):
        Vocabulary.parse("qm9").index_of(numbers, offsets)
    with pytest.raises(MoleculeError, match="atom 0: atomic number 0"):
        Vocabulary.parse("qm9").index_of(np.array([0]))
