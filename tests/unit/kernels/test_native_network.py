"""The whole EGNN in one native call: equal to PyTorch's, independent of the batch, never stale."""

from __future__ import annotations

import pytest
import torch
from denoiser_data import N_IN, N_OUT, network, real_batch
from hypothesis import given, settings
from hypothesis import strategies as st
from native_variants import VARIANTS
from torch.optim.swa_utils import AveragedModel

from deepchem_ead.denoisers import EGNN
from deepchem_ead.diffusion import Seen
from deepchem_ead.diffusion.layout import AtomLayout
from deepchem_ead.kernels import native
from deepchem_ead.kernels.native import build
from deepchem_ead.kernels.native import network as whole_network

# Largest L2 error of dx and of h_out, relative to their size. One bf16 rounding is up to 2e-3.
BOUNDS = {"fp32": 2e-6, "bf16": 5e-3}
# Per component at least; a few atoms' values can cancel to almost nothing (0.1 to 3 are typical).
SMALLEST_SIZE = 0.2


def evaluate(egnn: EGNN, x, h, layout, variant=VARIANTS[0]) -> tuple[torch.Tensor, torch.Tensor]:
    name, precision = variant
    with torch.no_grad():
        return whole_network.evaluate(egnn, x, h, layout, precision, build.load_kernel(name))


def assert_close(egnn: EGNN, x, h, layout, variant) -> None:
    exact = EGNN(
        egnn.in_features, egnn.out_features, egnn.n_layers, egnn.n_features, backend="torch"
    ).double()
    exact.load_state_dict(egnn.state_dict())
    with torch.no_grad():
        expected = exact(Seen(x.double(), h.double(), layout))
    for value, target in zip(evaluate(egnn, x, h, layout, variant), expected, strict=True):
        error = (value - target).norm() / max(target.norm(), SMALLEST_SIZE * target.numel() ** 0.5)
        assert error <= BOUNDS[variant[1]], f"{error:.1e}"


@pytest.mark.parametrize("variant", VARIANTS, ids="-".join)
@pytest.mark.parametrize("n_features", [32, 96, 256])
def test_equals_the_network_in_double_precision(variant, n_features):
    assert_close(network(n_features=n_features), *real_batch(range(8), mixed=True), variant)


@settings(max_examples=15, deadline=None)
@given(
    counts=st.lists(st.integers(1, 30), min_size=1, max_size=10),
    n_in=st.integers(1, 40),
    n_out=st.integers(1, 70),
)
def test_any_sizes(counts, n_in, n_out):
    layout = AtomLayout.from_counts(counts)
    generator = torch.Generator().manual_seed(sum(counts))
    x = 1.5 * torch.randn(layout.n_nodes, 3, generator=generator)
    h = torch.randn(layout.n_nodes, n_in, generator=generator)
    torch.manual_seed(0)
    egnn = EGNN(n_in, n_out, n_layers=2, n_features=32)
    assert_close(egnn, x, h, layout, (VARIANTS[0][0], "fp32"))


@pytest.mark.parametrize("variant", VARIANTS, ids="-".join)
def test_output_is_bitwise_independent_of_batch_and_threads(variant):
    """Also for a molecule so large that all threads share it, or not, by what comes with it."""
    counts = [18, 1, 29, 90, 9, 18, 2, 23]
    layout = AtomLayout.from_counts(counts)
    generator = torch.Generator().manual_seed(0)
    x = 1.5 * torch.randn(layout.n_nodes, 3, generator=generator)
    h = torch.randn(layout.n_nodes, N_IN, generator=generator)
    egnn = network(n_features=64)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        whole = torch.cat(evaluate(egnn, x, h, layout, variant), 1)
        for n in (2, 3, 8):
            torch.set_num_threads(n)
            assert torch.equal(torch.cat(evaluate(egnn, x, h, layout, variant), 1), whole), n
            for start, count in zip(layout.starts.tolist(), counts, strict=True):
                rows = slice(start, start + count)
                alone = evaluate(egnn, x[rows], h[rows], AtomLayout.from_counts([count]), variant)
                assert torch.equal(torch.cat(alone, 1), whole[rows]), (n, count)
    finally:
        torch.set_num_threads(threads)


def test_used_without_gradients_only(monkeypatch):
    calls = []
    original = native.evaluate

    def spy(*arguments):
        calls.append(arguments[-1])
        return original(*arguments)

    monkeypatch.setattr(native, "evaluate", spy)
    egnn, (x, h, layout) = network(backend="native"), real_batch(range(4))
    tracked = torch.cat(egnn(Seen(x, h, layout)), 1)
    assert not calls and tracked.requires_grad
    with torch.no_grad():
        untracked = torch.cat(egnn(Seen(x, h, layout)), 1)
    assert calls == ["fp32"]
    assert (tracked - untracked).abs().max() <= 1e-5


@pytest.mark.parametrize("precision, bound", [("fp32", 1e-5), ("bf16", 1e-2)])
def test_training_step_equals_double_precision(precision, bound):
    """Loss and all gradients, the input coordinates' included."""
    if precision not in build.load_kernel().precisions:
        assert "no native bf16 kernel" in network(precision="bf16").active_backend
        return
    x, h, layout = real_batch(range(12), mixed=True)
    found = {}
    for backend, dtype in (("native", torch.float32), ("torch", torch.float64)):
        egnn = network(n_features=64, dtype=dtype, backend=backend, precision=precision)
        leaf = x.detach().to(dtype).clone().requires_grad_()
        dx, h_out = egnn(Seen(leaf, h.to(dtype), layout))
        (dx.square().sum() + h_out.square().sum()).backward()
        gradient = torch.cat([leaf.grad.flatten(), *(p.grad.flatten() for p in egnn.parameters())])
        found[backend] = (dx.detach(), h_out.detach(), gradient)
    for value, target in zip(found["native"], found["torch"], strict=True):
        assert (value - target).norm() <= bound * target.norm()


def test_weights_are_never_out_of_date():
    """However they change, the next evaluation sees it."""
    x, h, layout = real_batch(range(4))
    egnn = network(backend="native")
    average = AveragedModel(egnn, multi_avg_fn=lambda a, c, n: torch._foreach_lerp_(a, c, 0.5))
    average.update_parameters(egnn)
    optimizer = torch.optim.AdamW(egnn.parameters(), lr=1e-2)

    def outputs(model: EGNN) -> torch.Tensor:
        with torch.no_grad():
            return torch.cat(model(Seen(x, h, layout)), 1)

    def fresh(model: EGNN) -> torch.Tensor:
        copy = EGNN(N_IN, N_OUT, egnn.n_layers, egnn.n_features, backend="native")
        copy.load_state_dict({name: value.clone() for name, value in model.state_dict().items()})
        return outputs(copy)

    seen = [outputs(egnn)]

    def check_changed(model: EGNN) -> None:
        now = outputs(model)
        assert torch.equal(now, fresh(model))
        assert not any(torch.equal(now, before) for before in seen)
        seen.append(now)

    egnn(Seen(x, h, layout))[1].square().sum().backward()
    optimizer.step()
    check_changed(egnn)
    outputs(average.module)
    average.update_parameters(egnn)
    check_changed(average.module)
    egnn.load_state_dict(network(n_layers=2, n_features=32, backend="torch").state_dict())
    egnn.load_state_dict({name: 1.1 * value for name, value in egnn.state_dict().items()})
    check_changed(egnn)
    for parameter in egnn.parameters():  # invisible to autograd's version counters
        parameter.data.mul_(0.9)
        parameter.detach().numpy()[...] += 0.01
    check_changed(egnn)


def test_a_broken_molecule_does_not_touch_the_others():
    x, h, layout = real_batch(range(5))
    egnn = network()
    healthy = torch.cat(evaluate(egnn, x, h, layout), 1)
    bad = layout.index == 2
    x = torch.where(bad.unsqueeze(1), torch.nan, x)
    out = torch.cat(evaluate(egnn, x, h, layout), 1)
    assert torch.equal(out[~bad], healthy[~bad])
    assert out[bad].isnan().all()


def test_non_contiguous_arguments_and_weights():
    x, h, layout = real_batch(range(3))
    egnn = network()
    expected = evaluate(egnn, x, h, layout)
    for linear in (egnn.embedding, egnn.blocks[0].message.edge_mlp[2]):
        linear.weight = torch.nn.Parameter(linear.weight.t().contiguous().t())
        assert not linear.weight.is_contiguous()
    strided = [torch.stack([t, t], -1)[..., 0] for t in (x, h)]
    for value, target in zip(evaluate(egnn, *strided, layout), expected, strict=True):
        assert torch.equal(value, target)


def test_wrong_types_are_refused():
    x, h, layout = real_batch(range(3))
    egnn = network()
    with pytest.raises(ValueError, match="h is torch.float64"):
        evaluate(egnn, x, h.double(), layout)
    with pytest.raises(ValueError, match="a parameter is torch.float64"):
        egnn.blocks.double()
        evaluate(egnn, x, h, layout)


def test_a_molecule_of_500_atoms():
    """All its 249,500 pairs, without an array of them."""
    n = 500
    x = 8.0 * torch.rand(n, 3, generator=torch.Generator().manual_seed(0))
    h = torch.randn(n, N_IN, generator=torch.Generator().manual_seed(1))
    assert_close(network(n_features=32), x, h, AtomLayout.from_counts([n]), VARIANTS[0])
