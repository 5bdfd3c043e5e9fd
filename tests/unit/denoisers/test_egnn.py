"""EGNN: equal to EDM's network and to its plain twin, equivariant, independent of the batch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from denoiser_data import DATA, N_IN, network, real_batch
from sampling_toys import seeing

from deepchem_ead.denoisers import EGNN, edm_dimensions, load_edm_state_dict
from deepchem_ead.denoisers.egnn_plain import plain_forward, to_padded
from deepchem_ead.diffusion import Seen
from deepchem_ead.diffusion.layout import AtomLayout
from deepchem_ead.errors import CheckpointError
from deepchem_ead.kernels import edge_torch
from deepchem_ead.kernels.native import autograd as native_autograd
from deepchem_ead.testing import assert_equivariant

DTYPES = [torch.float32, torch.float64]


def edm_golden():
    with np.load(DATA / "edm_egnn.npz") as stored:
        arrays = {k: torch.from_numpy(stored[k]) for k in stored.files}
    weights = {k.removeprefix("weights."): v for k, v in arrays.items() if k.startswith("weights.")}
    return arrays, weights


@pytest.mark.parametrize("dtype, tolerance", [(torch.float64, 1e-10), (torch.float32, 1e-5)])
def test_equals_edm(dtype, tolerance):
    arrays, weights = edm_golden()
    egnn = EGNN(**edm_dimensions(weights), backend="torch").to(dtype)
    load_edm_state_dict(egnn, weights)
    layout = AtomLayout.from_counts(arrays["counts"])
    real = torch.arange(arrays["x"].shape[1]) < arrays["counts"].unsqueeze(1)
    dx, h_out = egnn(Seen(arrays["x"][real].to(dtype), arrays["h"][real].to(dtype), layout))
    scale = arrays["dx"].abs().max()
    assert (dx - arrays["dx"][real]).abs().max() <= tolerance * scale
    assert (h_out - arrays["h_out"][real]).abs().max() <= tolerance


def test_edm_weights_of_another_network_are_refused():
    _, weights = edm_golden()
    egnn = EGNN(**edm_dimensions(weights))
    with pytest.raises(CheckpointError, match="gcl_1"):
        load_edm_state_dict(egnn, weights | {"egnn.e_block_0.gcl_1.x": torch.zeros(1)})
    with pytest.raises(CheckpointError, match="shape"):
        load_edm_state_dict(EGNN(7, 7, 2, 32), weights)
    with pytest.raises(CheckpointError, match="no EDM network"):
        edm_dimensions({"other": torch.zeros(1)})


def gradients(egnn, function, x, h):
    egnn.zero_grad()
    x, h = x.clone().requires_grad_(), h.clone().requires_grad_()
    dx, h_out = function(x, h)
    (dx.square().sum() + h_out.square().sum()).backward()
    named = [("x", x.grad), ("h", h.grad)]
    named += [(name, p.grad.clone()) for name, p in egnn.named_parameters()]
    return dx.detach(), h_out.detach(), named


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("memory", ["ample", "scarce"])
def test_equals_plain_twin_with_gradients(dtype, memory, monkeypatch):
    if memory == "scarce":  # molecules cut into several chunks, nothing kept for the backward
        monkeypatch.setattr(edge_torch, "CHUNK_VALUES", 32 * 40)
        monkeypatch.setattr(edge_torch, "BLOCK_VALUES", 32 * 45)
        monkeypatch.setattr(edge_torch, "SAVED_BYTES", 0)
    x, h, layout = real_batch(range(20), dtype, mixed=True)
    egnn = network(dtype=dtype, backend="torch")

    def twin(x, h):
        x_padded, mask = to_padded(x, layout)
        dx, h_out = plain_forward(egnn, x_padded, to_padded(h, layout)[0], mask)
        return dx[mask.bool()], h_out[mask.bool()]

    found = gradients(egnn, lambda x, h: egnn(Seen(x, h, layout)), x, h)
    expected = gradients(egnn, twin, x, h)
    tolerance = 1e-10 if dtype == torch.float64 else 1e-5
    for a, b in zip(found[:2], expected[:2], strict=True):
        assert (a - b).abs().max() <= tolerance * max(1.0, float(b.abs().max()))
    for (name, a), (_, b) in zip(found[2], expected[2], strict=True):
        assert (a - b).norm() <= tolerance * b.norm(), name
    with torch.no_grad():
        dx, _ = egnn(Seen(x, h, layout))
    assert (dx - expected[0]).abs().max() <= tolerance * max(1.0, float(dx.abs().max()))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("backend", ["torch", "auto"])
def test_equivariant_on_real_molecules_with_mixed_levels(dtype, backend):
    assert_equivariant(
        network(dtype=dtype, backend=backend), *real_batch(range(12), dtype, mixed=True)
    )


def test_assert_equivariant_notices_each_broken_symmetry():
    x, h, layout = real_batch(range(4), torch.float64)
    broken = {
        "rotation": lambda x, h, layout: (x - x[0] + torch.ones(3, dtype=x.dtype), h),
        "reflection": lambda x, h, layout: (torch.linalg.cross(x - x[[0]], x[[1]] - x[[2]]), h),
        "translation": lambda x, h, layout: (x, h),
        "permutation": lambda x, h, layout: (0 * x, h * torch.arange(len(h)).unsqueeze(1)),
    }
    one = AtomLayout.from_counts([int(layout.counts[0])])
    x, h = x[: one.n_nodes], h[: one.n_nodes]
    for symmetry, denoiser in broken.items():
        with pytest.raises(AssertionError, match=symmetry):
            assert_equivariant(seeing(denoiser), x, h, one)


# 20 features are no multiple of a vector register: rounding at the ends of arrays shows there.
@pytest.mark.parametrize("backend, n_features", [("torch", 128), ("torch", 20), ("auto", 128)])
def test_output_is_bitwise_independent_of_the_batch(backend, n_features):
    egnn = network(n_layers=2, n_features=n_features, backend=backend)

    def evaluate(molecules):
        x, h, layout = real_batch(molecules, mixed=True)
        with torch.no_grad():
            out = torch.cat(egnn(Seen(x, h, layout)), 1)
        return dict(zip(molecules, out.split(layout.counts.tolist()), strict=True))

    everything = list(range(60))
    alone = {i: evaluate([i])[i] for i in everything}
    for molecules in (everything, everything[::-1], everything[3:40:2], everything[50:53]):
        for i, out in evaluate(molecules).items():
            assert torch.equal(out, alone[i]), f"molecule {i} in a batch of {len(molecules)}"


def test_padding_of_the_twin_does_not_matter():
    x, h, layout = real_batch(range(6), torch.float64)
    egnn = network(dtype=torch.float64)
    (x_padded, mask), h_padded = to_padded(x, layout), to_padded(h, layout)[0]
    dx, h_out = plain_forward(egnn, x_padded, h_padded, mask)
    x_padded[mask == 0], h_padded[mask == 0] = 123.0, -7.0
    again = plain_forward(egnn, x_padded, h_padded, mask)
    assert torch.equal(dx, again[0]) and torch.equal(h_out, again[1])


@pytest.mark.parametrize("backend", ["torch", "auto"])
def test_single_and_coincident_atoms(backend):
    layout = AtomLayout.from_counts([1, 3, 1])
    x = torch.zeros(5, 3, requires_grad=True)  # the three atoms of the second molecule coincide
    h = torch.randn(5, N_IN, generator=torch.Generator().manual_seed(0))
    egnn = network(backend=backend)
    dx, h_out = egnn(Seen(x, h, layout))
    (dx.sum() + h_out.sum()).backward()
    assert torch.equal(dx[[0, 4]], torch.zeros(2, 3))
    for value in (dx, h_out, x.grad, *(p.grad for p in egnn.parameters())):
        assert value.isfinite().all()
    only = AtomLayout.from_counts([1, 1])
    dx, h_out = egnn(Seen(x[:2].detach(), h[:2], only))
    dx.sum().backward()
    assert h_out.isfinite().all()


@pytest.mark.parametrize("backend", ["torch", "auto"])
def test_memory_of_a_training_step_does_not_grow_with_the_pairs(backend, monkeypatch):
    """64 molecules of 181 atoms train at 4 x 256 in less than 8 GiB: here one molecule and layer of
    them, with a 64th of what may be kept of pairs in a layer. What is kept for the backward pass
    may take a quarter of the memory.
    """
    monkeypatch.setattr(edge_torch, "SAVED_BYTES", edge_torch.SAVED_BYTES // 64)
    for precision, limit in native_autograd.SAVED_BYTES_LIMIT.items():
        monkeypatch.setitem(native_autograd.SAVED_BYTES_LIMIT, precision, limit // 64)
    layout = AtomLayout.from_counts([181])
    generator = torch.Generator().manual_seed(0)
    x = 6.0 * torch.rand(layout.n_nodes, 3, generator=generator)
    h = torch.randn(layout.n_nodes, N_IN, generator=generator)
    egnn = network(n_layers=1, n_features=256, backend=backend)
    weights = {p.untyped_storage().data_ptr() for p in egnn.parameters()}
    kept = {}

    def count(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
        outputs = egnn(Seen(x, h, layout))
    assert 0 < sum(kept.values()) < 2 * 2**30 / (64 * 4)
    (outputs[0].sum() + outputs[1].sum()).backward()


def test_arguments_are_checked():
    with pytest.raises(ValueError, match="backend is 'gpu'"):
        EGNN(7, 7, 1, 16, backend="gpu")
    with pytest.raises(ValueError, match="precision is 'fp16'"):
        EGNN(7, 7, 1, 16, precision="fp16")
    x, h, layout = real_batch([0])
    with pytest.raises(ValueError, match="do not fit"):
        network()(Seen(x, h[:, 1:], layout))
    with pytest.raises(RuntimeError, match='backend="native"'):
        network(n_features=20, backend="native")(Seen(x, h, layout))


def test_active_backend_says_what_runs_and_why():
    assert network(backend="torch").active_backend == "torch (asked for)"
    assert "20 features" in network(n_features=20).active_backend
    assert "fp32 although bf16" in network(n_features=20, precision="bf16").active_backend
