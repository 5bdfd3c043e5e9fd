from __future__ import annotations

import numpy as np
import pytest
from chem_data import qm9
from PIL import Image

from deepchem_ead.chem import MoleculeBatch
from deepchem_ead.errors import MoleculeError
from deepchem_ead.viz import drawing

QM9, _ = qm9()


def broken() -> MoleculeBatch:
    """Stretched, empty, not finite, collapsed to a point, an element without bond lengths."""
    return MoleculeBatch.from_arrays(
        [QM9.numbers[0], [], QM9.numbers[1], QM9.numbers[2], [78, 1]],
        [
            QM9.positions[0] * 0.8,
            [],
            QM9.positions[1] * np.nan,
            QM9.positions[2] * 0,
            [[0, 0, 0], [0, 0, 1.5]],
        ],
    )


def test_grid_is_a_png_whose_size_follows_the_number_of_molecules(tmp_path):
    path = QM9.grid(tmp_path / "a.png", n=6, columns=3)
    assert path == tmp_path / "a.png"
    with Image.open(path) as six, Image.open(QM9.grid(tmp_path / "b.png", n=3, columns=3)) as three:
        assert six.format == "PNG"
        assert six.width == three.width and three.height < six.height < 2 * three.height
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.png", "b.png"]


def test_every_broken_molecule_gets_a_cell_that_says_why(tmp_path):
    batch = broken()
    cells = [drawing._describe(*batch.atoms(i)) for i in range(len(batch))]
    assert not any(cell.valid for cell in cells)
    assert [cell.status.split(":")[0] for cell in cells] == ["invalid"] * 5
    assert "valence" in cells[0].status and cells[0].marked_atoms
    assert cells[1].status == "invalid: no atoms"
    assert cells[2].status == "invalid: coordinates not finite"
    assert cells[3].mol is None and "valence" in cells[3].status
    assert cells[4].status == "invalid: no bond lengths for an element" and cells[4].title == "HPt"
    batch.grid(tmp_path / "a.png")


def test_valid_cells_show_the_smiles_and_the_number_of_fragments():
    cell = drawing._describe(*QM9.atoms(0))
    assert (cell.title, cell.status, cell.valid) == (QM9.smiles[0], "valid", True)
    two = np.concatenate([QM9.positions[0], QM9.positions[1] + 30])
    cell = drawing._describe(np.concatenate(QM9.numbers[:2]), two)
    assert cell.status == "valid, 2 fragments"


def test_drawings_have_ink_and_do_not_differ_between_runs(tmp_path):
    first = np.asarray(Image.open(QM9[0].grid(tmp_path / "a.png")))
    again = np.asarray(Image.open(QM9[0].grid(tmp_path / "b.png")))
    assert np.array_equal(first, again)
    drawn = first[20:300, 20:360]
    assert 0.002 < (drawn < 128).any(axis=2).mean() < 0.2


def test_long_captions_are_shortened_to_the_width():
    font = drawing._font(18)
    text = drawing._shorten("C" * 200, font, 300)
    assert text.endswith("...") and font.getlength(text) <= 300
    assert drawing._shorten("CCO", font, 300) == "CCO"


def test_formula_is_in_hill_order():
    assert drawing._formula(np.array([8, 1, 6, 35, 1, 6])) == "C2H2BrO"
    assert drawing._formula(np.array([8, 1, 1])) == "H2O"


@pytest.mark.parametrize("arguments", [{"n": 0}, {"columns": 0}])
def test_grid_refuses_zero(tmp_path, arguments):
    with pytest.raises(ValueError, match="at least 1"):
        QM9.grid(tmp_path / "a.png", **arguments)


def test_grid_of_nothing(tmp_path):
    with pytest.raises(ValueError, match="no molecules to draw"):
        QM9[:0].grid(tmp_path / "a.png")


def test_view_holds_all_atoms_valid_or_not(tmp_path):
    invalid = QM9.smiles.index(None)
    for i in (0, invalid):
        view = QM9.view(i)
        view.write_html(str(tmp_path / "a.html"))
        page = (tmp_path / "a.html").read_text()
        assert ("M  END" in page) == (i == 0)
        assert "addModel" in page and "setStyle" in page


@pytest.mark.parametrize("i", [1, 2])
def test_nothing_to_view(i):
    with pytest.raises(MoleculeError, match="nothing to view"):
        broken().view(i)
    with pytest.raises(IndexError):
        broken().view(99)
