"""One molecule much larger than any that models are trained on, through the public interface."""

from __future__ import annotations

import numpy as np
import pytest

from deepchem_ead import EADModel

N_ATOMS = 500


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize(
    "preset, sizes, n_atoms",
    [
        ("paper-geom", {}, None),
        ("paper-geom", {"variable_size": False}, N_ATOMS),
        ("qm9", {}, N_ATOMS),
    ],
    ids=["dummy atoms", "own size", "attention"],
)
def test_a_molecule_of_500_atoms(tmp_path, preset, sizes, n_atoms, precision):
    """249,500 pairs of nodes, by networks of full size with random weights."""
    model = EADModel(
        preset, max_atoms=N_ATOMS, precision=precision, model_dir=str(tmp_path), **sizes
    )
    molecules = model.generate(1, n_atoms=n_atoms, steps=3, seed=0, progress=False)
    assert len(molecules) == 1
    if n_atoms:  # else how many nodes are dummy atoms is up to the random weights
        assert molecules.counts[0] == N_ATOMS
    assert np.isfinite(molecules.coordinates).all()
