"""Networks that say something about pairs of atoms are built where the denoiser can."""

from __future__ import annotations

import pytest

from deepchem_ead.generator.config import EADConfig
from deepchem_ead.generator.encoding import AtomEncoding
from deepchem_ead.generator.network import EADNetwork


def network(n_pair_outputs: int, **options) -> EADNetwork:
    config = EADConfig(n_layers=1, n_features=32, **options)
    return EADNetwork(config, AtomEncoding(config), n_pair_outputs)


def test_a_network_is_built_with_pair_outputs_and_averages_them():
    with_pairs = network(5, denoiser="attention", denoiser_options={"n_heads": 4})
    assert with_pairs.denoiser.n_pair_outputs == 5
    assert "denoiser/pair_outputs.mlp.2.weight" in with_pairs.averaged_tensors()
    without = network(0, denoiser="attention", denoiser_options={"n_heads": 4})
    assert not any("pair_outputs" in name for name in without.state_dict())


def test_a_denoiser_that_writes_none_is_refused():
    with pytest.raises(ValueError, match='denoiser="egnn" says nothing about pairs of atoms'):
        network(5, denoiser="egnn")
