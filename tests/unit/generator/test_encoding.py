"""Molecules as tensors and back."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from deepchem_ead import MoleculeError
from deepchem_ead.diffusion import AtomLayout
from deepchem_ead.generator.config import EADConfig
from deepchem_ead.generator.encoding import AtomEncoding


@pytest.fixture(params=[False, True], ids=["fixed size", "dummy atoms"])
def encoding(request):
    return AtomEncoding(EADConfig(variable_size=request.param))


def test_decoding_undoes_encoding(encoding, qm9_sample):
    X = qm9_sample.X[:50]
    encoded = encoding.encode(X)
    numbers, positions = encoding.decode(encoded.clean, encoded.layout, sizes_fixed=False)
    for k, row in enumerate(encoded.order):
        real = X[row, :, 3] > 0
        assert numbers[k].tolist() == X[row, real, 3].tolist()
        np.testing.assert_allclose(positions[k], X[row, real, :3], atol=2e-6)


def test_features_are_edms(encoding, qm9_sample):
    encoded = encoding.encode(qm9_sample.X[:5])
    features = encoded.clean[:, 3:]
    types = features[:, : 6 if encoding.has_dummies else 5]
    assert set(types.unique().tolist()) == {0.0, 0.25}
    assert (types.sum(1) == 0.25).all()
    charges = torch.tensor([1, 6, 7, 8, 9, 0])[types.argmax(1)] / 10
    torch.testing.assert_close(features[:, -1], charges)


def test_dummy_atoms_fill_up_to_the_largest_size(qm9_sample):
    encoding = AtomEncoding(EADConfig(variable_size=True, max_atoms=29))
    encoded = encoding.encode(qm9_sample.X[:7])
    assert encoded.layout.counts.tolist() == [29] * 7
    assert int((~encoded.is_dummy).sum()) == int((qm9_sample.X[:7, :, 3] > 0).sum())
    assert not encoded.clean[encoded.is_dummy][:, :3].any()
    means = encoded.layout.mean(encoded.clean[:, :3])
    assert means.abs().max() < 1e-6


def test_shifts_order_and_padding_do_not_matter(encoding, qm9_sample):
    X = qm9_sample.X[:20].copy()
    expected = encoding.encode(X)
    moved = X.copy()
    moved[:, :, :3] += np.array([5.0, -7.0, 2.0])
    moved[X[:, :, 3] == 0, :3] = np.nan  # padding rows may hold anything
    actual = encoding.encode(moved)
    torch.testing.assert_close(actual.clean, expected.clean, atol=3e-6, rtol=0)
    # padding before the atoms
    flipped = encoding.encode(X[:, ::-1])
    assert flipped.layout.counts.tolist() == expected.layout.counts.tolist()
    assert torch.equal(flipped.layout.sum(flipped.clean[:, 3:]).round(decimals=4),
                       expected.layout.sum(expected.clean[:, 3:]).round(decimals=4))  # fmt: skip


def test_all_dummies_are_an_empty_molecule():
    encoding = AtomEncoding(EADConfig(variable_size=True))
    states = torch.zeros(8, 3 + encoding.n_features)
    states[:, 3 + 5] = 1.0  # the dummy class
    states[4:, 3 + 5] = 0.0
    states[4:, 3 + 1] = 1.0  # carbon
    layout = AtomLayout.from_counts([4, 4])
    numbers, positions = encoding.decode(states, layout, sizes_fixed=False)
    assert [n.tolist() for n in numbers] == [[], [6, 6, 6, 6]]
    assert [p.shape for p in positions] == [(0, 3), (4, 3)]
    numbers, _ = encoding.decode(states, layout, sizes_fixed=True)
    assert [len(n) for n in numbers] == [4, 4]


@pytest.mark.parametrize("shape", [(3, 29), (3, 29, 6), (29, 4)])
def test_wrong_shapes_are_explained(shape):
    with pytest.raises(MoleculeError, match="featurize with Molecule3DFeaturizer"):
        AtomEncoding(EADConfig()).encode(np.zeros(shape))


def test_narrow_and_wide_arrays_are_the_same_molecules(encoding, qm9_sample):
    X = qm9_sample.X[:10]
    widest = int((X[:, :, 3] > 0).sum(1).max())
    wide = np.zeros((10, 40, 4), np.float32)
    wide[:, :29] = X
    narrow, wide = encoding.encode(X[:, :widest]), encoding.encode(wide)
    assert torch.equal(narrow.clean, wide.clean)
