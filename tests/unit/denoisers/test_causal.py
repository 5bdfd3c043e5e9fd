"""EGNN with a causal mask: what is cut is not heard, and nothing else changes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from deepchem.data import NumpyDataset
from denoiser_data import N_IN, N_OUT, real_batch

from deepchem_ead import EADModel, MoleculeBatch
from deepchem_ead.denoisers import EGNN, InputColumns
from deepchem_ead.diffusion import AtomLayout, Seen
from deepchem_ead.kernels import edge_torch
from deepchem_ead.testing import assert_equivariant

COLUMNS = InputColumns(
    {"features": 4, "evidence": 2, "context: fixed size": 1},
    labels=(("features", "C"), ("features", "dummy"), ("features", "charge"), ("features", "x"),
            ("evidence", "C"), ("evidence", "dummy"), ("context: fixed size", 0)),
)  # fmt: skip
NO_EVIDENCE = InputColumns({"features": 7}, labels=COLUMNS.labels[:3] + (("x", 0),) * 4)


def egnn(columns=None, **options):
    torch.manual_seed(0)
    options = {"causal_mask": True, **options}
    network = EGNN(N_IN, N_OUT, n_layers=3, n_features=32, columns=columns, **options).double()
    for block in network.blocks:
        block.coordinates.coord_mlp[4].weight.data.mul_(100)
    return network


def molecule():
    """x, h and layout of a molecule all of whose nodes are atoms, by all columns."""
    x, h, layout = real_batch([20], torch.float64)
    h[:, 1], h[:, 5:] = -9.0, 0.0
    return x, h, layout


def without(last, x, h):
    """The same molecule without its last nodes."""
    return x[:-last], h[:-last], AtomLayout.from_counts([len(x) - last])


def test_much_noisier_nodes_are_not_heard_and_hear_all():
    x, h, layout = molecule()
    levels = torch.full((len(x),), 0.3, dtype=torch.float64)
    levels[-2:] = 0.3 + 0.058 + 1e-4
    network = egnn()
    together = network(Seen(x, h, layout, levels=levels))
    alone = network(Seen(*without(2, x, h), levels=levels[:-2]))
    for one, other in zip(together, alone, strict=True):
        torch.testing.assert_close(one[:-2], other, rtol=0, atol=1e-12)
    moved = network(Seen(x + torch.eye(len(x), 3), h, layout, levels=levels))
    assert (moved.h[-2:] - together.h[-2:]).abs().min() > 1e-6
    levels[-2:] = 0.3 + 0.058  # within the reach, all is heard
    near = network(Seen(x, h, layout, levels=levels))
    plain = egnn(causal_mask=False, backend="torch")(Seen(x, h, layout))
    assert torch.equal(near.dx, plain.dx) and torch.equal(near.h, plain.h)


@pytest.mark.parametrize(
    ("columns", "row"),
    [(COLUMNS, [0, 0, 0, 0, 0.1, 0.9, 0]), (NO_EVIDENCE, [0.1, 0.2, 9, 0, 0, 0, 0])],
    ids=["evidence", "features"],
)
def test_atoms_do_not_hear_dummies(columns, row):
    x, h, layout = molecule()
    h[-3:] = torch.tensor(row, dtype=torch.float64)
    levels = torch.full((len(x),), 0.5, dtype=torch.float64)
    network = egnn(columns)
    together = network(Seen(x, h, layout, levels=levels))
    alone = network(Seen(*without(3, x, h), levels=levels[:-3]))
    torch.testing.assert_close(together.dx[:-3], alone.dx, rtol=0, atol=1e-12)
    torch.testing.assert_close(together.h[:-3], alone.h, rtol=0, atol=1e-12)
    # Dummies hear atoms and each other.
    only = network(Seen(x[-3:], h[-3:], AtomLayout.from_counts([3]), levels=levels[-3:]))
    assert (together.h[-3:] - only.h).abs().max() > 1e-6
    if columns is COLUMNS:  # where every node is an atom, evidence to the contrary is noise
        h[:, 6] = 1.0
        heard = network(Seen(x, h, layout, levels=levels))
        plain = egnn(causal_mask=False, backend="torch")(Seen(x, h, layout))
        assert torch.equal(heard.dx, plain.dx)


@pytest.mark.parametrize("memory", ["ample", "scarce"])
def test_gradients_are_those_of_finite_differences(memory, monkeypatch):
    if memory == "scarce":  # molecules cut into several chunks, nothing kept for the backward
        monkeypatch.setattr(edge_torch, "CHUNK_VALUES", 32 * 40)
        monkeypatch.setattr(edge_torch, "SAVED_BYTES", 0)
    x, h, layout = real_batch([5, 9], torch.float64)
    levels = torch.rand(len(x), generator=torch.Generator().manual_seed(1)).double()
    network = egnn(COLUMNS)
    # Only the directions that leave the masks alone: features other than the evidence of a dummy.
    directions = torch.randn(2, len(x), 7, generator=torch.Generator().manual_seed(2)).double()
    directions[1, :, 5:] = 0

    def loss(step):
        moved = [x + step * directions[0, :, :3], h + step * directions[1]]
        dx, h_out = network(Seen(*moved, layout, levels=levels))
        return dx.square().sum() + h_out.square().sum()

    step = torch.zeros((), dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(loss(step), step)
    with torch.no_grad():
        expected = (loss(1e-6) - loss(-1e-6)) / 2e-6
        bias = network.blocks[0].coordinates.coord_mlp[2].bias
    torch.testing.assert_close(gradient, expected, rtol=1e-6, atol=1e-6)
    (by_bias,) = torch.autograd.grad(loss(0.0), bias)
    with torch.no_grad():
        values = []
        for change in (1e-6, -2e-6):
            bias[3] += change
            values.append(loss(0.0))
    torch.testing.assert_close(by_bias[3], (values[0] - values[1]) / 2e-6, rtol=1e-5, atol=1e-6)


def test_it_is_equivariant():
    x, h, layout = real_batch(range(0, 60, 7), torch.float64, mixed=True)
    network = egnn(COLUMNS)
    # Levels and evidence from columns, so that they follow the atoms.
    assert_equivariant(lambda seen: network(seen.replace(levels=seen.h[:, 0])), x, h, layout)


def test_off_is_what_it_was_and_on_says_who_computes():
    x, h, layout = real_batch(range(4))
    torch.manual_seed(0)
    former = EGNN(N_IN, N_OUT, 2, 32)
    torch.manual_seed(0)
    off = EGNN(N_IN, N_OUT, 2, 32, causal_mask=False, columns=COLUMNS)
    levels = torch.rand(len(x), dtype=torch.float64)
    with torch.no_grad():
        for one, other in zip(former(Seen(x, h, layout)), off(Seen(x, h, layout, levels=levels)),
                              strict=True):  # fmt: skip
            assert torch.equal(one, other)
    assert off.active_backend == former.active_backend
    on = EGNN(N_IN, N_OUT, 2, 32, causal_mask=True)
    assert on.active_backend == "torch (no kernel leaves out pairs, as causal_mask does)"
    with pytest.raises(ValueError, match="needs the levels"):
        on(Seen(x, h, layout))
    with pytest.raises(RuntimeError, match="causal_mask"):
        EGNN(N_IN, N_OUT, 2, 32, causal_mask=True, backend="native").active_backend  # noqa: B018


@pytest.mark.parametrize("target", ["types", "noise"])
def test_models_are_told_by_their_option(target, tmp_path):
    (tmp_path / "mine.yaml").write_text("causal_mask: true\ncausal_reach: 0.03\n")
    small = {"n_layers": 1, "n_features": 32, "feature_target": target, "p_fixed_size": 0.5,
             "dummy_padding": "random", "batch_size": 4, "max_atoms": 6}  # fmt: skip
    model = EADModel(tmp_path / "mine.yaml", **small)
    denoiser = model.model.denoiser
    assert denoiser.causal_mask and denoiser.causal_reach == 0.03
    water = [[0, 0, 0.12], [0, 0.76, -0.48], [0, -0.76, -0.48]]
    data = MoleculeBatch.from_arrays([[8, 1, 1]] * 8, np.array([water] * 8)).to_padded(6)
    assert np.isfinite(model.fit(NumpyDataset(data), nb_epoch=1))
    assert len(model.generate(2, steps=4, seed=0, progress=False)) == 2
    model.save_pretrained(tmp_path / "weights")
    assert EADModel.from_pretrained(tmp_path / "weights").model.denoiser.causal_mask
    with pytest.raises(ValueError, match="share of all levels"):
        EADModel(causal_reach=2.0)


def test_a_default_that_is_written_down_changes_nothing():
    plain, written = EADModel().config, EADModel(causal_mask=False).config
    masked = EADModel(causal_mask=True).config
    assert not plain.structural_differences(written)
    assert "denoiser_options" in plain.structural_differences(masked)
