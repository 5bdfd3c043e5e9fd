"""The native attention denoiser against PyTorch in float64, and its promises."""

from __future__ import annotations

import ctypes

import pytest
import torch
from attention_data import attention
from denoiser_data import N_IN, real_batch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor

from deepchem_ead.denoisers import AttentionDenoiser
from deepchem_ead.diffusion import Seen
from deepchem_ead.diffusion.layout import AtomLayout
from deepchem_ead.kernels.native import attention_kernel, attention_network, build

if attention_kernel.attention_or_reason("fp32")[0] is None:
    try:
        build.compiler()
        build.best_instruction_set()
    except build.BuildError as error:
        pytest.skip(f"this machine cannot run the kernel: {error}", allow_module_level=True)

BEST = build.best_instruction_set()
NAMES = list(build.INSTRUCTION_SETS)
VARIANTS = [(n, p) for n in NAMES[NAMES.index(BEST) :] for p in build.precisions_of(n)]
PRECISIONS = sorted({precision for _, precision in VARIANTS}, reverse=True)
SIZES = [9, 1, 2, 18, 29, 23, 3]
# Relative L2 error: outputs, and each gradient (a bias's is a sum over atoms that nearly cancels).
BOUNDS = {"fp32": (2e-6, 1e-5), "bf16": (1e-2, 3e-2)}


def batch(counts, seed: int = 0) -> tuple[Tensor, Tensor, AtomLayout]:
    generator = torch.Generator().manual_seed(seed)
    layout = AtomLayout.from_counts(counts)
    x = 1.5 * torch.randn(layout.n_nodes, 3, generator=generator)
    h = torch.randn(layout.n_nodes, N_IN, generator=generator)
    h[:, -1] = torch.rand(layout.n_nodes, generator=generator)
    return x, h, layout


def native(variant: tuple[str, str]):
    """The network as a function of (denoiser, x, h, layout), for one instruction set and format."""
    instructions, precision = variant
    kernel = attention_kernel.load_attention(precision, instructions)

    def run(denoiser, x, h, layout, reference=None):
        return attention_network.evaluate(denoiser, Seen(x, h, layout, reference), kernel)

    return run


def plain(denoiser: AttentionDenoiser, *arguments) -> tuple[Tensor, Tensor]:
    return denoiser(Seen(*arguments))


def outputs_and_gradients(run, denoiser, x, h, layout, reference=None) -> dict[str, Tensor]:
    dtype = next(denoiser.parameters()).dtype
    denoiser.zero_grad()
    x, h = (t.to(dtype).clone().requires_grad_() for t in (x, h))
    told = () if reference is None else (reference.to(dtype),)
    dx, h_out = run(denoiser, x, h, layout, *told)
    generator = torch.Generator().manual_seed(7)
    for_dx, for_h = (torch.randn(t.shape, generator=generator).to(dtype) for t in (dx, h_out))
    ((dx * for_dx).sum() + (h_out * for_h).sum()).backward()
    gradients = {name: p.grad.clone() for name, p in denoiser.named_parameters()}
    return {"dx": dx.detach(), "h_out": h_out.detach(), "x": x.grad, "h": h.grad} | gradients


def compare(variant, x, h, layout, reference=None, stronger: float = 1.0, **network) -> None:
    def of(run, dtype):
        denoiser = attention(backend="torch", dtype=dtype, **network)
        for block in denoiser.blocks:
            block.move.weight.data *= stronger
        return outputs_and_gradients(run, denoiser, x, h, layout, reference)

    expected, found = of(plain, torch.float64), of(native(variant), torch.float32)
    bound, gradient_bound = BOUNDS[variant[1]]
    assert found.keys() == expected.keys()
    for name, target in expected.items():
        limit = bound if name in ("dx", "h_out") else gradient_bound
        # Of a molecule of one atom hardly anything depends on anything.
        size = max(target.norm(), 1e-3 * target.numel() ** 0.5)
        error = ((found[name].double() - target).norm() / size).item()
        if error > limit:  # where PyTorch's own single precision is no better, nothing can be
            own = of(plain, torch.float32)[name]
            limit = max(limit, ((own.double() - target).norm() / size).item())
        assert error <= limit, f"{name}: {error:.1e}"


@pytest.mark.parametrize("variant", VARIANTS, ids="-".join)
@pytest.mark.parametrize(
    "n_features, n_heads", [(192, 12), (64, 8), (64, 4), (128, 16), (96, 3), (64, 1), (32, 1)]
)
def test_matches_pytorch_with_all_gradients(variant, n_features, n_heads):
    compare(variant, *batch(SIZES), n_features=n_features, n_heads=n_heads)


@pytest.mark.parametrize("variant", VARIANTS, ids="-".join)
def test_matches_pytorch_with_a_reference(variant):
    x, h, layout = batch(SIZES)
    compare(variant, x, h, layout, batch(SIZES, seed=1)[0])


@pytest.mark.parametrize("variant", VARIANTS, ids="-".join)
def test_matches_pytorch_where_moves_are_bounded(variant):
    """Moves of about 3 become 60 without the bound, and 20 with it."""
    x, h, layout = batch(SIZES)
    compare(variant, x, h, layout, n_layers=1, stronger=20.0)


@pytest.mark.parametrize("variant", VARIANTS, ids="-".join)
@pytest.mark.parametrize("sigma_column", [None, 3])
def test_matches_pytorch_with_and_without_sigma(variant, sigma_column):
    compare(variant, *batch([12, 7]), sigma_column=sigma_column)


@pytest.mark.parametrize("variant", VARIANTS, ids="-".join)
def test_large_molecule_and_real_ones(variant):
    compare(variant, *batch([5, 131, 2]), n_layers=1)
    compare(variant, *real_batch(range(10), mixed=True))


@settings(max_examples=15, deadline=None)
@example(counts=[2], seed=58)
@example(counts=[2], seed=78)
@given(counts=st.lists(st.integers(1, 30), min_size=1, max_size=12), seed=st.integers(0, 99))
def test_any_sizes(counts, seed):
    """Beside an ordinary molecule: of two atoms alone, all that they do may cancel."""
    compare(VARIANTS[0], *batch([*counts, 18], seed), n_layers=1, n_features=32, n_heads=4)


@pytest.mark.parametrize("variant", VARIANTS, ids="-".join)
def test_distances_beyond_the_radial_features(variant):
    """Far apart, close together and in between: the window of Gaussians ends at both sides."""
    x, h, layout = batch([16])
    x[:, 0] = torch.logspace(-2, 2, 16)
    x[:, 1:] = 0
    compare(variant, x, h, layout, n_layers=1)


@pytest.mark.parametrize("variant", VARIANTS, ids="-".join)
def test_output_is_bitwise_independent_of_threads_batch_and_gradients(variant):
    run, denoiser = native(variant), attention(n_features=96, n_heads=12)
    counts = [18, 1, 29, 9, 70, 18, 2, 23]
    x, h, layout = batch(counts)

    def evaluate(*arguments) -> Tensor:
        return torch.cat(run(denoiser, *arguments), 1)

    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        with torch.no_grad():
            whole = evaluate(x, h, layout)
        for n in (2, 3):
            torch.set_num_threads(n)
            assert torch.equal(evaluate(x, h, layout), whole)
    finally:
        torch.set_num_threads(threads)
    for start, n in zip(layout.starts.tolist(), counts, strict=True):
        rows = slice(start, start + n)
        alone = evaluate(x[rows], h[rows], AtomLayout.from_counts([n]))
        assert torch.equal(alone, whole[rows])


@pytest.mark.parametrize("precision", PRECISIONS)
def test_gradients_are_reproducible_by_any_number_of_threads(precision):
    """What the kernel sums itself; PyTorch's products may depend on the number of threads."""
    run, denoiser = native((BEST, precision)), attention()
    arguments = batch([*SIZES, 60])
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        first = outputs_and_gradients(run, denoiser, *arguments)
        again = outputs_and_gradients(run, denoiser, *arguments)
        torch.set_num_threads(3)
        shared = outputs_and_gradients(run, denoiser, *arguments)
    finally:
        torch.set_num_threads(threads)
    for name, value in first.items():
        assert torch.equal(value, again[name]), name
        assert (value - shared[name]).norm() <= 1e-2 * value.norm(), name
    last = "blocks.1.pair.radial"  # nothing but the kernel's sums lies behind it
    if precision == "fp32":
        assert (first[last] - shared[last]).norm() <= 1e-5 * first[last].norm()


def test_only_what_is_wanted_is_computed():
    """Guidance wants gradients of coordinates only; training has no use for those."""
    x, h, layout = batch(SIZES)
    denoiser, run = attention(), native(VARIANTS[0])
    everything = outputs_and_gradients(run, denoiser, x, h, layout)
    generator = torch.Generator().manual_seed(7)
    dx, h_out = run(denoiser, x, h, layout)
    weights = [torch.randn(t.shape, generator=generator) for t in (dx, h_out)]
    parameters = dict(denoiser.named_parameters())
    found = torch.autograd.grad((dx, h_out), list(parameters.values()), weights)
    for name, gradient in zip(parameters, found, strict=True):
        assert torch.equal(gradient, everything[name]), name
    frozen = attention().requires_grad_(False)
    x = x.requires_grad_()
    outputs = run(frozen, x, h, layout)
    assert torch.equal(torch.autograd.grad(outputs, x, weights)[0], everything["x"])
    parameters["embedding.weight"].requires_grad_(False)
    outputs = run(denoiser, x.detach(), h, layout)
    sum((o * w).sum() for o, w in zip(outputs, weights, strict=True)).backward()


def test_nothing_is_kept_without_gradients(monkeypatch):
    calls = []
    keep = attention_network._keep
    monkeypatch.setattr(attention_network, "_keep", lambda *a: calls.append(a) or keep(*a))
    x, h, layout = batch([5])
    denoiser, run = attention(), native(VARIANTS[0])
    with torch.no_grad():
        outputs = run(denoiser, x, h, layout)
    assert not calls and not any(t.requires_grad for t in outputs)
    run(denoiser, x, h, layout)
    assert len(calls) == 1


def test_changed_weights_are_noticed():
    x, h, layout = batch([5])
    denoiser, run = attention(), native(VARIANTS[0])
    with torch.no_grad():
        before = run(denoiser, x, h, layout)[1]
        denoiser.embedding.weight.data[0, 0] += 1
        assert not torch.equal(run(denoiser, x, h, layout)[1], before)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_broken_molecule_does_not_touch_the_others(precision):
    x, h, layout = batch([5, 6, 7])
    denoiser, run = attention(), native((BEST, precision))
    with torch.no_grad():
        healthy = torch.cat(run(denoiser, x, h, layout), 1)
        x[5:11] = float("nan")
        out = torch.cat(run(denoiser, x, h, layout), 1)
        x, h, layout = batch([5, 6, 7])
        again = torch.cat(run(denoiser, x, h, layout), 1)
    assert torch.equal(out[:5], healthy[:5]) and torch.equal(out[11:], healthy[11:])
    assert torch.isnan(out[5:11]).all()
    assert torch.equal(again, healthy)  # threads keep their work space


@pytest.mark.parametrize("variant", VARIANTS, ids="-".join)
def test_extreme_activations(variant):
    """A softmax of huge logits, silu at its limits: no overflow."""
    x, h, layout = batch([6, 4])
    denoiser = attention()
    for block in denoiser.blocks:
        block.project.weight.data *= 300
    for value in outputs_and_gradients(native(variant), denoiser, x, h, layout).values():
        assert value.isfinite().all()


def test_non_contiguous_inputs_and_parameters():
    x, h, layout = batch([5, 9])
    denoiser, run = attention(), native(VARIANTS[0])
    expected = outputs_and_gradients(run, denoiser, x, h, layout)
    for linear in (denoiser.embedding, denoiser.blocks[0].out, denoiser.blocks[0].move):
        linear.weight.data = linear.weight.data.T.contiguous().T
    strided = [torch.stack([t] * 2, -1)[..., 0] for t in (x, h)]
    found = outputs_and_gradients(run, denoiser, *strided, layout)
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-5, atol=1e-6)


def test_other_types_are_refused():
    x, h, layout = batch([5])
    with pytest.raises(ValueError, match="float64"):
        native(VARIANTS[0])(attention(), x.double(), h, layout)
    with pytest.raises(ValueError, match="float64"):
        native(VARIANTS[0])(attention(dtype=torch.float64), x, h, layout)


def test_structures_have_the_sizes_of_the_header():
    library = attention_kernel.load_attention("fp32").library
    sizes = (ctypes.c_int64 * 4)()  # the last is PairOutputsProblem's
    library.attention_structure_sizes(sizes)
    structures = ("AttentionProblem", "BlockPointers", "AttentionBackwardProblem")
    assert sizes[:3] == [ctypes.sizeof(getattr(attention_kernel, n)) for n in structures]


@pytest.mark.parametrize(
    "n_features, n_heads, reason",
    [(60, 4, "multiples of"), (64, 16, "multiples of"), (320, 20, "at most"), (256, 1, "at most")],
)
def test_sizes_that_pytorch_computes(n_features, n_heads, reason):
    denoiser = AttentionDenoiser(N_IN, 6, 1, n_features, n_heads)
    assert denoiser.active_backend.startswith("torch") and reason in denoiser.active_backend
    x, h, layout = batch([3, 4])
    assert denoiser(Seen(x, h, layout))[1].isfinite().all()


def test_switched_off_by_environment(monkeypatch):
    monkeypatch.setenv("DEEPCHEM_EAD_NATIVE", "0")
    attention_kernel.attention_or_reason.cache_clear()
    try:
        backend = AttentionDenoiser(7, 6, 1, 32, 4).active_backend
    finally:
        attention_kernel.attention_or_reason.cache_clear()
    assert backend == "torch fp32 (disabled by DEEPCHEM_EAD_NATIVE=0)"
