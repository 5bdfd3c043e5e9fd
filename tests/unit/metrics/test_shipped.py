"""The SMILES of QM9's training molecules that come with the package."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from chem_data import qm9

from deepchem_ead import load_qm9_3d
from deepchem_ead.metrics import reference, shipped
from deepchem_ead.metrics.inputs import as_batch
from deepchem_ead.metrics.reference import compute_smiles, reference_smiles

BATCH, _ = qm9()


@pytest.fixture
def known(tmp_path, monkeypatch):
    """The SMILES of the batch, as if they came with the package."""
    monkeypatch.setattr(shipped, "_FOLDER", tmp_path)
    monkeypatch.setattr(shipped, "_GROUPS", 5)
    found = compute_smiles(BATCH, "edm", "qm9")
    shipped.write_shipped(BATCH, found, "edm", "qm9", tmp_path)
    return found


def test_known_molecules_are_told_whatever_the_rounding(known):
    rng = np.random.default_rng(0)
    moved = BATCH.coordinates + 1e-6 * rng.standard_normal(BATCH.coordinates.shape)
    for batch in (BATCH, replace(BATCH, coordinates=moved, properties={}, ids=None)):
        assert shipped.shipped_smiles(batch, "edm", "qm9") == known


@pytest.mark.parametrize(
    "other",
    [
        BATCH[1:],
        BATCH[::-1],
        replace(BATCH, coordinates=BATCH.coordinates * 1.01),
        replace(BATCH, charges=BATCH.charges + 1),
    ],
    ids=["fewer", "reordered", "other geometry", "other charge"],
)
def test_other_molecules_are_not_known(known, other):
    assert shipped.shipped_smiles(other, "edm", "qm9") is None


def test_what_is_not_shipped_or_older_than_the_protocol_is_not_known(known, monkeypatch):
    assert shipped.shipped_smiles(BATCH, "strict", "qm9") is None
    assert shipped.shipped_smiles(BATCH, "edm", "geom") is None
    monkeypatch.setattr(shipped, "VERSION", shipped.VERSION + 1)
    assert shipped.shipped_smiles(BATCH, "edm", "qm9") is None


@pytest.mark.parametrize("same", [True, False])
def test_another_version_of_rdkit_has_to_write_the_same(known, monkeypatch, tmp_path, same):
    monkeypatch.setattr(shipped.rdBase, "rdkitVersion", "0.0.0")
    written = known if same else [text[::-1] for text in known]
    shipped.write_shipped(BATCH, written, "edm", "qm9", tmp_path)
    monkeypatch.undo()
    monkeypatch.setattr(shipped, "_FOLDER", tmp_path)
    monkeypatch.setattr(shipped, "_GROUPS", 5)
    assert shipped.shipped_smiles(BATCH, "edm", "qm9") == (known if same else None)


@pytest.mark.slow
@pytest.mark.parametrize("protocol", ["edm", "strict"])
def test_shipped_smiles_are_those_computed(protocol, tmp_path, monkeypatch):
    monkeypatch.setenv("DEEPCHEM_DATA_DIR", str(tmp_path))
    _, (train, _, _), _ = load_qm9_3d()
    batch = as_batch(train)
    computed = compute_smiles(batch, protocol, "qm9")
    assert len(computed) > 90_000
    assert shipped.shipped_smiles(batch, protocol, "qm9") == computed
    monkeypatch.setattr(reference, "compute_smiles", None)  # it is not asked
    assert reference_smiles(train, protocol) == computed
