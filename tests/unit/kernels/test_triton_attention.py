"""The pair operation in Triton, interpreted on the CPU, against PyTorch in float64."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest
import torch
from attention_data import attention
from denoiser_data import real_batch, results_and_gradients
from hypothesis import given, settings
from hypothesis import strategies as st

from deepchem_ead.diffusion import AtomLayout, Seen
from deepchem_ead.kernels.pair_attention import PairInputs, PairWeights, pair_attention
from deepchem_ead.kernels.triton import attention as fused
from deepchem_ead.kernels.triton import attention_ranges

# Read when the kernels are imported, which nothing does before the tests below.
os.environ["TRITON_INTERPRET"] = "1"
from deepchem_ead.kernels.triton import attention_autograd, attention_check  # noqa: E402

CPU = torch.device("cpu")
LAUNCHES = {name: getattr(attention_autograd, name) for name in ("FORWARD", "CENTRE", "NEIGHBOUR")}
NODES = ["q", "k", "v", "own", "other", "x", "x0"]
WEIGHTS = ["radial", "radial_input", "logits", "gates"]
NAMES = ["values", "pairs", "vectors", *NODES, *WEIGHTS]


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """Few programs and few operations: interpreted, each costs the same, whatever its size."""
    monkeypatch.setattr(attention_ranges, "LEAST_ATOMS", 16)
    monkeypatch.setattr(attention_autograd, "CENTRE_PROGRAMS", 2)
    for name in LAUNCHES:
        monkeypatch.setattr(attention_autograd, name, attention_autograd.Launch(16, 16))


def problem(counts, n_heads=4, width=16, n_pair_features=16, dtype=torch.float32):
    """Arrays of a layout's atoms that are columns of one array, as in a network, and weights."""
    generator = torch.Generator().manual_seed(0)
    layout = AtomLayout.from_counts(counts)
    f, p = n_heads * width, n_pair_features
    nodes = torch.randn(layout.n_nodes, 3 * f + 2 * p, generator=generator).to(dtype)
    x, x0 = torch.randn(2, layout.n_nodes, 3, generator=generator)
    torch.manual_seed(0)
    weights = PairWeights(p, n_heads)
    weights.backend = "triton"
    return [*nodes.split([f, f, f, p, p], 1), x, x0], layout, weights


def evaluate(arrays, layout, weights):
    """Results and gradients of a sum that weighs them all."""
    inputs = [t.detach().requires_grad_() for t in arrays]
    out = pair_attention(PairInputs(*inputs, layout), weights)
    signs = [torch.linspace(-1, 2, t.numel(), dtype=t.dtype).view(t.shape) for t in out]
    leaves = [*inputs, *weights.parameters()]
    return [*out, *torch.autograd.grad(out, leaves, signs)]


@pytest.mark.parametrize(
    "counts, n_heads, width, n_pair_features",
    [([1, 3, 2], 12, 16, 32), ([3, 1], 6, 16, 32), ([18], 2, 8, 16), ([3], 5, 7, 64)],
)
def test_equals_pytorch_in_float32(counts, n_heads, width, n_pair_features):
    sizes = n_heads * width, n_heads, n_pair_features
    errors = attention_check.relative_errors(*sizes, tuple(counts), CPU)
    for name, error in zip(NAMES, errors.tolist(), strict=True):
        assert error < (1e-6 if name in NAMES[:3] else 1e-5), name


def test_gradients_without_those_of_the_input_positions(monkeypatch):
    for name, launch in LAUNCHES.items():  # as on a GPU
        monkeypatch.setattr(attention_autograd, name, launch)
    errors = attention_check.relative_errors(24, 3, 16, (3,), CPU, with_x0=False)
    assert len(errors) == len(NAMES) - 1 and errors.max() < 1e-5


@pytest.mark.parametrize("counts, with_x0", [((3, 1, 2), True), ((4, 3), False)])
def test_columns_of_pairs_equal_pytorch_with_all_gradients(counts, with_x0):
    names = [n for n in NAMES if with_x0 or n != "x0"]
    at = names.index("radial")
    names = [*names[:at], "columns", *names[at:], "told"]
    errors = attention_check.relative_errors(16, 2, 16, counts, CPU, with_x0, 5)
    for name, error in zip(names, errors.tolist(), strict=True):
        assert error < (1e-6 if name in NAMES[:3] else 1e-5), name


def test_columns_of_one_array_and_programs_of_several_atoms_reproducibly():
    arrays, layout, weights = problem([1, 3, 1], 2)
    assert arrays[0].stride(0) > arrays[0].shape[1] and layout.n_nodes > 2 * 2
    once, again = (evaluate(arrays, layout, weights) for _ in range(2))
    weights.backend = "torch"
    expected = evaluate([t.double() for t in arrays], layout, weights.double())
    for name, a, b, c in zip(NAMES, once, again, expected, strict=True):
        assert torch.equal(a, b), name
        assert (a.double() - c).norm() < 1e-5 * c.norm(), name


def test_bfloat16_numbers_of_atoms_with_gradients_of_their_kind():
    arrays, layout, weights = problem([3], 2, dtype=torch.bfloat16)
    found = evaluate(arrays, layout, weights)
    expected = evaluate([t.float() for t in arrays], layout, weights)
    for name, a, b in zip(NAMES, found, expected, strict=True):
        rounded = name in ("q", "k", "v", "own", "other")
        assert a.dtype == (torch.bfloat16 if rounded else torch.float32), name
        assert (a - b).norm() <= (8e-3 if rounded else 0) * b.norm(), name
    with pytest.raises(ValueError, match="float32 or bfloat16"):
        fused.pair_attention(PairInputs(arrays[0].float(), *arrays[1:], layout), weights)


def test_single_and_coincident_atoms_and_large_logits():
    arrays, layout, weights = problem([1, 3, 1, 2], 2)
    arrays[5][1:4] = 0.0
    arrays[0][:4] *= 300
    alone = [0, 4]
    found = evaluate(arrays, layout, weights)
    for name, t in zip(NAMES, found, strict=True):
        assert t.isfinite().all(), name
        if name not in WEIGHTS:
            assert torch.equal(t[alone], torch.zeros_like(t[alone])), name
    assert found[1][1:4].abs().sum() > 0


def test_a_single_other_atom_has_all_the_attention_however_small_its_logit():
    arrays, layout, weights = problem([2], 1)
    q, k, v = arrays[:3]
    q.copy_(-1000 * k.flip(0))
    values, _, _ = pair_attention(PairInputs(*arrays, layout), weights)
    assert torch.equal(values, v.flip(0))


def test_molecules_do_not_see_each_other():
    arrays, layout, weights = problem([3, 2])
    found = pair_attention(PairInputs(*arrays, layout), weights)
    pair = PairInputs(*(t[3:] for t in arrays), AtomLayout.from_counts([2]))
    single = pair_attention(pair, weights)
    assert all(torch.equal(a[3:], b) for a, b in zip(found, single, strict=True))


def test_network_on_real_molecules():
    x, h, layout = real_batch([3], mixed=True)
    outputs = []
    for backend in ("torch", "triton"):
        denoiser = attention(n_layers=1, n_features=32, n_heads=2, backend=backend)
        outputs.append(results_and_gradients(denoiser, x, h, layout))
    assert not torch.equal(outputs[0][0], outputs[1][0])
    for found, expected in zip(*reversed(outputs), strict=True):
        assert (found - expected).norm() <= 1e-5 * expected.norm()


def test_backend_is_named_and_refuses_what_it_cannot_do(monkeypatch):
    assert attention(backend="triton", precision="bf16").active_backend == "triton bf16"
    assert attention().active_backend.startswith(("native", "torch"))  # on the CPU, unless asked
    with pytest.raises(RuntimeError, match="64 heads are more than 32"):
        attention(n_heads=64, backend="triton").active_backend  # noqa: B018
    x, h, layout = real_batch([0], torch.float64)
    with pytest.raises(RuntimeError, match="computes float32, not torch.float64"):
        attention(dtype=torch.float64, backend="triton")(Seen(x, h, layout))
    assert "24 pair features" in fused.why_not(64, 4, 24, CPU)
    assert "more than 128 atoms" in fused.why_not(64, 4, 32, CPU, 256)
    assert "written for NVIDIA GPUs" in attention().to("meta").active_backend
    with pytest.raises(RuntimeError, match="native kernel computes on the CPU, not on meta"):
        attention(backend="native").to("meta").active_backend  # noqa: B018
    monkeypatch.setenv("TRITON_INTERPRET", "0")
    with pytest.raises(RuntimeError, match="Triton needs a GPU"):
        attention(backend="triton")(Seen(x.float(), h.float(), layout))
    monkeypatch.setenv("DEEPCHEM_EAD_TRITON", "0")
    assert "DEEPCHEM_EAD_TRITON" in fused.why_not(64, 4, 32, CPU)


def test_on_a_gpu_it_is_chosen_unless_pytorch_is_asked_for(monkeypatch, caplog):
    gpu = torch.device("cuda", 0)
    monkeypatch.setattr(fused, "why_no_kernels", lambda device: "")
    monkeypatch.setattr(fused, "_failure", lambda *_: "")
    arrays, layout, weights = problem([2])
    x = type("OnGPU", (), {"dtype": torch.float32, "device": gpu})()
    inputs = PairInputs(*arrays[:5], x, x, layout)
    choices = {}
    for weights.backend in ("auto", "torch", "native", "triton"):
        choices[weights.backend] = fused.computes(inputs, weights)
    assert choices == {"auto": True, "torch": False, "native": False, "triton": True}
    weights.backend = "auto"
    assert fused.computes(replace(inputs, told=torch.zeros(2, 1)), weights)
    large = replace(inputs, layout=AtomLayout.from_counts([2, 129]))
    fused._log_once.cache_clear()
    with caplog.at_level("INFO"):
        assert not any(fused.computes(large, weights) for _ in range(2))
    assert caplog.text.count("more than 128 atoms") == 1
    monkeypatch.setattr(fused, "_failure", lambda *_: "wrong here")
    assert not fused.computes(inputs, weights)


def test_self_check_passes_here_and_notices_wrong_and_failing_kernels(monkeypatch):
    sizes = 8, 1, 16, CPU, 0
    assert attention_check.failure(*sizes) == ""
    monkeypatch.setattr(attention_autograd, "kernels", None)
    assert "do not run here" in attention_check.failure(*sizes)
    for error in (0.1, float("nan")):
        errors = torch.tensor([1e-6, error])
        monkeypatch.setattr(attention_check, "relative_errors", lambda *_, e=errors: e)
        assert "wrong here" in attention_check.failure(*sizes)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 70), min_size=1, max_size=12), st.booleans())
def test_ranges_hold_every_atom_once_in_large_enough_blocks(counts, sort):
    counts = sorted(counts) if sort else counts
    layout = AtomLayout.from_counts(counts)
    parts = attention_ranges.ranges(layout)
    assert 1 <= len(parts) <= attention_ranges.MOST_RANGES
    assert parts[0].first == 0 and parts[-1].end == layout.n_nodes
    assert all(a.end == b.first for a, b in zip(parts, parts[1:], strict=False))
    for start, count in zip(layout.starts.tolist(), counts, strict=True):
        (part,) = (r for r in parts if r.first <= start < r.end)
        assert count <= part.block and start + count <= part.end
    assert attention_ranges.largest_block(layout) < max(2 * max(counts), 17)
