"""One molecule much larger than any that models are trained on, through the public interface."""

from __future__ import annotations

import pytest

from deepchem_ead import EADModel

N_ATOMS = 500


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize(
    "preset, sizes",
    [("paper-geom", {}), ("paper-geom", {"variable_size": False}), ("qm9", {})],
    ids=["dummy atoms", "own size", "attention"],
)
def test_a_molecule_of_500_atoms(tmp_path, preset, sizes, precision):
    """249,500 pairs of nodes, by networks of full size with random weights."""
    model = EADModel(
        preset, max_atoms=N_ATOMS, precision=precision, model_dir=str(tmp_path), **sizes
    )
    given = {} if model.config.variable_size else {"n_atoms": N_ATOMS}
    molecules = model.generate(1, steps=3, seed=0, progress=False, **given)
    assert len(molecules) == 1
    assert not molecules.info["failed"].any()
    if given:
        assert molecules.counts.tolist() == [N_ATOMS]
