"""The Triton kernels, interpreted on the CPU, against the PyTorch functions in float64."""

from __future__ import annotations

import importlib.util
import os

import pytest
import torch
from denoiser_data import N_IN, network, real_batch, results_and_gradients
from hypothesis import given, settings
from hypothesis import strategies as st

from deepchem_ead.denoisers import EGNN
from deepchem_ead.diffusion import Seen
from deepchem_ead.diffusion.layout import AtomLayout
from deepchem_ead.kernels import edge_torch
from deepchem_ead.kernels import triton as fused
from deepchem_ead.kernels.edge_weights import EdgeWeights
from deepchem_ead.kernels.triton.tiles import Tiles

# Read when the kernels are imported, which nothing does before the tests below.
os.environ["TRITON_INTERPRET"] = "1"
from deepchem_ead.kernels.triton import autograd, self_check  # noqa: E402

NAMES = ["u", "v", "x", "x0", "c_d", "c_0", "w2", "b2", "w_out", "b_out"]
MIXED = [1, 2, 2, 5, 1]
CPU = torch.device("cpu")


def random_problem(f, counts, attention):
    generator = torch.Generator().manual_seed(0)
    layout = AtomLayout.from_counts(counts)
    n = layout.n_nodes

    def random(*shape, scale=1.0):
        values = scale * torch.randn(*shape, generator=generator, dtype=torch.float64)
        return values.requires_grad_()

    inputs = [random(n, f), random(n, f), random(n, 3), random(n, 3)]
    inputs += [random(f, scale=0.3), random(f, scale=0.3), random(f, f, scale=f**-0.5)]
    inputs += [random(f), random(f, scale=f**-0.5)] + [random(1)] * attention
    return layout, inputs, random(n, f if attention else 3).detach()


def evaluate(module, inputs, layout, g_out, **options):
    """Output and all gradients."""
    attention = len(inputs) == 10
    function = module.messages if attention else module.coordinate_updates
    weights = EdgeWeights(*inputs[4:], *[None] * (not attention))
    out = function(*inputs[:4], layout, weights, **options)
    return [out.detach(), *torch.autograd.grad(out, inputs, g_out.to(out.dtype))]


def errors(f, counts, attention, precision="fp32"):
    layout, inputs, g_out = random_problem(f, counts, attention)
    expected = evaluate(edge_torch, inputs, layout, g_out)
    single = [t.detach().float().requires_grad_() for t in inputs]
    found = evaluate(fused, single, layout, g_out, precision=precision)
    return {
        name: float((a.double() - b).norm() / b.norm())
        for name, a, b in zip(["out", *NAMES], found, expected, strict=False)
    }


def small_blocks(monkeypatch, pairs=16):
    """Tiles so small that centre atoms, molecules and weights are cut into several."""
    launch = autograd.Launch(pairs, 16, 4, 2)
    for table in (autograd.FORWARD, autograd.BACKWARD):
        monkeypatch.setitem(table, "fp32", launch)
    monkeypatch.setattr(autograd, "NODE_BLOCK", 4)
    monkeypatch.setattr(autograd, "WEIGHT_PAIRS", pairs)
    monkeypatch.setattr(autograd, "WEIGHT_STEPS", 2)


@pytest.mark.parametrize("attention", [True, False])
@pytest.mark.parametrize("f, counts", [(32, MIXED), (64, [2, 4]), (96, [3])])
def test_equals_pytorch_in_float32(f, counts, attention):
    for name, error in errors(f, counts, attention).items():
        assert error < (1e-6 if name == "out" else 1e-5), name


@pytest.mark.parametrize("attention", [True, False])
def test_bfloat16_operands_cost_about_a_percent(attention):
    found = errors(32, MIXED, attention, "bf16")
    assert found["out"] < 1e-2
    assert max(found.values()) < 3e-2  # sums over a handful of pairs that cancel
    assert min(found.values()) > 1e-5  # it really rounds


@pytest.mark.parametrize("attention", [True, False])
def test_many_tiles_and_parts_give_the_same(attention, monkeypatch):
    small_blocks(monkeypatch)
    monkeypatch.setattr(autograd, "WORKSPACE_BYTES", 3 * 4 * 32 * 37)  # 37 pairs
    for name, error in errors(32, [3, 6, 1, 2], attention).items():
        assert error < (1e-6 if name == "out" else 1e-5), name


@pytest.mark.parametrize("attention", [True, False])
def test_a_centre_atom_may_have_more_pairs_than_a_tile(attention, monkeypatch):
    small_blocks(monkeypatch)
    layout, inputs, _ = random_problem(32, [18], attention)
    weights = EdgeWeights(*inputs[4:], *[None] * (not attention))
    single = [t.detach().float() for t in inputs]
    single_weights = EdgeWeights(*single[4:], *[None] * (not attention))
    name = "messages" if attention else "coordinate_updates"
    expected = getattr(edge_torch, name)(*inputs[:4], layout, weights)
    found = getattr(fused, name)(*single[:4], layout, single_weights)
    assert (found - expected).norm() < 1e-6 * expected.norm()


def test_gradients_are_reproducible():
    layout, inputs, g_out = random_problem(32, [4, 2], True)
    single = [t.detach().float().requires_grad_() for t in inputs]
    once, again = (evaluate(fused, single, layout, g_out) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(once, again, strict=True))


def test_gradients_need_no_layout():
    """What is differentiated may have been computed with a layout that nobody holds any more."""
    layout, inputs, g_out = random_problem(32, [4, 2], True)
    single = [t.detach().float().requires_grad_() for t in inputs]
    out = fused.messages(*single[:4], AtomLayout.from_counts([4, 2]), EdgeWeights(*single[4:]))
    found = torch.autograd.grad(out, single, g_out.float())
    expected = evaluate(fused, single, layout, g_out)[1:]
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def test_atoms_that_are_alone_get_zero():
    layout, inputs, g_out = random_problem(32, [1, 1, 1], False)
    single = [t.detach().float().requires_grad_() for t in inputs]
    for value in evaluate(fused, single, layout, g_out):
        assert torch.equal(value, torch.zeros_like(value))


def test_small_scores_keep_their_relative_precision():
    # A new network's scores are near 1e-4, where tanh by way of exp would lose four digits.
    layout, inputs, g_out = random_problem(32, [5], False)
    with torch.no_grad():
        inputs[8] *= 1e-5
    expected = evaluate(edge_torch, inputs, layout, g_out)[0]
    single = [t.detach().float().requires_grad_() for t in inputs]
    found = evaluate(fused, single, layout, g_out)[0]
    assert (found - expected).norm() < 3e-6 * expected.norm()


def test_network_on_real_molecules():
    x, h, layout = real_batch([0], mixed=True)
    outputs = []
    for backend in ("torch", "triton"):
        egnn = network(n_layers=1, backend=backend)
        outputs.append(results_and_gradients(egnn, x, h, layout))
    for found, expected in zip(*reversed(outputs), strict=True):
        assert (found - expected).norm() <= 1e-5 * expected.norm()


def test_backend_is_named_and_refuses_what_it_cannot_do(monkeypatch):
    assert network(backend="triton", precision="bf16").active_backend == "triton bf16"
    assert network().active_backend.startswith(("native", "torch"))  # on the CPU, unless asked
    with pytest.raises(RuntimeError, match="20 features are not a multiple of 32"):
        EGNN(N_IN, N_IN, 1, 20, backend="triton").active_backend  # noqa: B018
    x, h, layout = real_batch([0], torch.float64)
    with pytest.raises(RuntimeError, match='"triton" computes float32'):
        network(dtype=torch.float64, backend="triton")(Seen(x, h, layout))
    monkeypatch.setenv("TRITON_INTERPRET", "0")
    assert fused.why_not(64, CPU) == "Triton needs a GPU"
    monkeypatch.setenv("DEEPCHEM_EAD_TRITON", "0")
    assert "DEEPCHEM_EAD_TRITON" in fused.why_not(64, CPU)


def test_self_check_passes_here_and_notices_wrong_and_failing_kernels(monkeypatch):
    monkeypatch.setattr(self_check, "_COUNTS", (1, 2, 4))
    assert self_check.failure(32, "fp32", CPU) == ""
    right = edge_torch.messages
    for factor in (1.1, float("nan")):
        monkeypatch.setattr(edge_torch, "messages", lambda *a, k=factor: k * right(*a))
        assert "wrong here" in self_check.failure(32, "fp32", CPU)
    monkeypatch.setattr(autograd, "kernels", None)
    assert "do not run here" in self_check.failure(32, "fp32", CPU)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(1, 7), min_size=1, max_size=8),
    st.integers(1, 16),
    st.integers(1, 40),
    st.integers(1, 60),
)
def test_tiles_and_parts_hold_every_pair_once(counts, block_c, block_e, max_pairs):
    layout = AtomLayout.from_counts(counts)
    tiles = Tiles.of(layout, block_c, block_e)
    nodes, edges = tiles.tile_nodes.tolist(), tiles.tile_edges.tolist()
    rows = tiles.rows.tolist()
    n_pairs = sum(n * (n - 1) for n in counts)
    assert nodes[0] == edges[0] == 0 and nodes[-1] == layout.n_nodes and edges[-1] == n_pairs
    for k in range(tiles.n_tiles):
        n_centres, n_edges = nodes[k + 1] - nodes[k], edges[k + 1] - edges[k]
        assert 1 <= n_centres <= block_c and (n_edges <= block_e or n_centres == 1)
        assert edges[k] == rows[nodes[k]]
    for node in range(layout.n_nodes):
        assert (tiles.first[rows[node] : rows[node + 1]] == node).all()
    end = 0
    starts = layout.starts.tolist()
    for part in tiles.parts(max_pairs):
        assert part.begin == end and part.n_pairs > 0
        end = part.end
        last = part.first_node + part.n_nodes
        assert part.first_node in starts and last in [*starts, layout.n_nodes]
        assert rows[part.first_node] == part.begin and rows[last] == part.end
        inside = [n for s, n in zip(starts, counts, strict=True) if part.first_node <= s < last]
        assert part.n_pairs <= max_pairs or sum(n > 1 for n in inside) == 1
    assert end == n_pairs


def test_triton_is_installed():
    assert importlib.util.find_spec("triton") is not None
