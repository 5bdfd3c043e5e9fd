"""Random numbers that belong to molecules."""

from __future__ import annotations

import pytest
import torch

from deepchem_ead.sampling import MoleculeNoise


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_numbers_do_not_depend_on_the_batch(dtype):
    counts = [5, 1, 29, 3]
    together = MoleculeNoise(7, range(4), counts, dtype)
    alone = [MoleculeNoise(7, [i], [n], dtype) for i, n in enumerate(counts)]
    for draw in (lambda s: s.normal(9), lambda s: s.uniform(), lambda s: s.normal(2)):
        numbers = draw(together)
        assert torch.equal(numbers, torch.cat([draw(a) for a in alone]))
    assert together.normal(4).dtype == together.dtype == dtype


def test_numbers_depend_on_seed_and_molecule():
    first = MoleculeNoise(0, [0, 1], [3, 3]).normal(4)
    assert not torch.equal(first[:3], first[3:])
    assert not torch.equal(first, MoleculeNoise(1, [0, 1], [3, 3]).normal(4))
    assert torch.equal(first, MoleculeNoise(0, [0, 1], torch.tensor([3, 3])).normal(4))


def test_numbers_are_standard():
    noise = MoleculeNoise(0, range(300), [20] * 300)
    normal, uniform = noise.normal(9), noise.uniform()
    assert abs(float(normal.mean())) < 4 / normal.numel() ** 0.5
    assert abs(float(normal.var()) - 1) < 4 * (2 / normal.numel()) ** 0.5
    # draws of different molecules are uncorrelated
    assert torch.corrcoef(normal.view(300, -1).T[:20]).triu(1).abs().max() < 0.3
    assert 0 <= uniform.min() and uniform.max() < 1
    assert abs(float(uniform.mean()) - 0.5) < 4 * (1 / 12 / 6000) ** 0.5


def test_bad_arguments():
    with pytest.raises(ValueError, match="2 molecule indices but 1 node counts"):
        MoleculeNoise(0, [0, 1], [3])
    with pytest.raises(ValueError, match="dtype must be"):
        MoleculeNoise(0, [0], [3], torch.bfloat16)
