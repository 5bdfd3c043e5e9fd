"""One molecule too large for arrays of all pairs is refused before memory is taken."""

import numpy as np
import pytest

from deepchem_ead import MoleculeBatch
from deepchem_ead.chem.bonds import bond_orders
from deepchem_ead.errors import MoleculeError
from deepchem_ead.metrics import evaluate_molecules

_ATOMS = 30_000
_LATTICE = 4.0 * np.indices((31, 31, 32)).reshape(3, -1).T[:_ATOMS]
_WATER = [[0.0, 0.0, 0.0], [0.96, 0.0, 0.0], [-0.24, 0.93, 0.0]]


@pytest.fixture
def batch():
    positions = [_WATER, _LATTICE]
    return MoleculeBatch.from_arrays([[8, 1, 1], [6] * _ATOMS], positions, ids=["water", "big"])


def test_a_large_molecule_without_bonds_has_a_reason_and_is_written(batch, tmp_path):
    assert batch.smiles == ["O", None]
    assert batch.reasons[0] is None and "MAX_PAIRS_GB" in batch.reasons[1]
    assert batch.to_rdkit()[1] is None
    assert batch.grid(tmp_path / "grid.svg").exists()
    batch.to_xyz(tmp_path / "both.xyz")
    np.testing.assert_array_equal(MoleculeBatch.read(tmp_path / "both.xyz").counts, [3, _ATOMS])


@pytest.mark.parametrize("protocol", ["edm", "strict"])
def test_metrics_name_the_large_molecule(batch, protocol):
    with pytest.raises(MoleculeError, match=rf"molecule 1 \(big\): {_ATOMS} atoms .*SDF"):
        evaluate_molecules(batch, protocol, progress=False)


def test_the_limit_is_a_setting(monkeypatch):
    numbers, positions = [6] * 1500, _LATTICE[:1500]
    assert not bond_orders(numbers, positions).any()
    monkeypatch.setenv("DEEPCHEM_EAD_MAX_PAIRS_GB", "0.1")
    with pytest.raises(MoleculeError, match="1500 atoms"):
        bond_orders(numbers, positions)


@pytest.mark.parametrize("suffix", ["sdf", "xyz"])
def test_geometry_survives_far_from_the_origin(suffix, tmp_path):
    rows = "".join(
        f"{z} {x + 1e5:.5f} {y - 2e5:.5f} {w:.5f}\n"
        for z, (x, y, w) in zip("OHH", _WATER, strict=True)
    )
    path = tmp_path / "far.xyz"
    path.write_text(f"3\nfar\n{rows}")
    if suffix == "sdf":
        lines = [row.split() for row in rows.splitlines()]
        body = "".join(f"M  V30 {i} {z} {x} {y} {w} 0\n" for i, (z, x, y, w) in enumerate(lines, 1))
        path = tmp_path / "far.sdf"
        path.write_text(
            "far\n  test              3D\n\n  0  0  0     0  0            999 V3000\n"
            "M  V30 BEGIN CTAB\nM  V30 COUNTS 3 2 0 0 0\nM  V30 BEGIN ATOM\n"
            f"{body}M  V30 END ATOM\nM  V30 BEGIN BOND\nM  V30 1 1 1 2\nM  V30 2 1 1 3\n"
            "M  V30 END BOND\nM  V30 END CTAB\nM  END\n$$$$\n"
        )
    batch = MoleculeBatch.read(path)
    expected = np.array(_WATER) - np.mean(_WATER, axis=0)
    np.testing.assert_allclose(batch.coordinates, expected, atol=2e-5)
    np.testing.assert_allclose(batch.to_dataset().X[0, :, :3], expected, atol=2e-5)
    assert batch.smiles == ["O"]


def test_absurd_coordinates_are_refused_with_their_value(tmp_path):
    path = tmp_path / "absurd.xyz"
    path.write_text("2\nHF\nH 0 0 0\nF 0 1e30 0.9\n")
    with pytest.raises(MoleculeError, match=r"record 1: atom 1 at \(0, 1e\+30, 0.9\)"):
        MoleculeBatch.read(path)
