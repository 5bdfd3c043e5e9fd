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
