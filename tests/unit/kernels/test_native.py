"""The native edge kernel against a direct float64 implementation, and its promises."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from native_variants import INSTRUCTION_SETS, VARIANTS
from torch import Tensor

from deepchem_ead.diffusion.layout import AtomLayout
from deepchem_ead.kernels import native
from deepchem_ead.kernels.edge_weights import EdgeWeights
from deepchem_ead.kernels.native import autograd, build

COORDS_RANGE, NORM_CONSTANT = 15.0, 1.0
FUNCTIONS = ("messages", "coordinate_updates")
QM9_SIZES = [9, 12, 15, 17, 17, 18, 18, 19, 21, 23, 29]
# Relative L2 error: outputs, and each gradient. One bf16 rounding is up to 2^-9 = 2e-3.
BOUNDS = {"fp32": (1e-6, 1e-5), "bf16": (6e-3, 1e-2)}
# A few atoms' values can cancel to almost nothing; errors count relative to this size per component
# then (typical values are 0.3 to 10).
SMALLEST_SIZE = 0.1

PRECISIONS = build.load_kernel().precisions


def _problem(counts, features: int, function: str, seed: int = 0) -> tuple[AtomLayout, dict]:
    """Random tensors of the size they have in a network, distances as in molecules."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator)

    layout = AtomLayout.from_counts(counts)
    atoms, scale = layout.n_nodes, features**-0.5
    tensors = {
        "u": normal(atoms, features),
        "v": normal(atoms, features),
        "x": 1.5 * normal(atoms, 3),
        "x0": 1.5 * normal(atoms, 3),
        "c_d": 0.1 * normal(features),
        "c_0": 0.1 * normal(features),
        "w2": scale * normal(features, features),
        "b2": 0.3 * normal(features),
        "w_out": scale * normal(features),
    }
    if function == "messages":
        tensors["b_out"] = normal(1)
    return layout, tensors


def _arguments(tensors: dict, layout: AtomLayout) -> tuple:
    weights = EdgeWeights(*[tensors.get(name) for name in EdgeWeights._fields])
    return tensors["u"], tensors["v"], tensors["x"], tensors["x0"], layout, weights


def _reference(function: str, u, v, x, x0, layout: AtomLayout, weights: EdgeWeights) -> Tensor:
    """The definition, molecule by molecule, all pairs at once."""
    outputs = []
    for start, n in zip(layout.starts.tolist(), layout.counts.tolist(), strict=True):
        rows = slice(start, start + n)
        diff, diff_0 = x[rows, None] - x[None, rows], x0[rows, None] - x0[None, rows]
        d2, d2_0 = (diff**2).sum(-1, keepdim=True), (diff_0**2).sum(-1, keepdim=True)
        a = u[rows, None] + v[None, rows] + d2 * weights.c_d + d2_0 * weights.c_0
        silu = torch.nn.functional.silu
        m = silu(silu(a) @ weights.w2.T + weights.b2)
        score = (m * weights.w_out).sum(-1, keepdim=True)
        others = ~torch.eye(n, dtype=torch.bool)[..., None]
        if function == "messages":
            terms = torch.sigmoid(score + weights.b_out) * m
        else:
            norm = torch.sqrt(d2 + 1e-8) + NORM_CONSTANT
            terms = COORDS_RANGE * torch.tanh(score) * diff / norm
        outputs.append((terms * others).sum(1))
    return torch.cat(outputs)


def _native(function: str, variant: tuple[str, str] | None = None):
    """The kernel function as _reference's counterpart, for one (instruction set, precision)."""
    instructions, precision = variant or (None, "fp32")

    def run(*arguments):
        return autograd.edge_function(
            *arguments,
            coordinates=function == "coordinate_updates",
            coords_range=COORDS_RANGE,
            norm_constant=NORM_CONSTANT,
            precision=precision,
            kernel=build.load_kernel(instructions),
        )

    return run


def _output_and_gradients(run, layout, tensors, dtype=torch.float32) -> tuple[Tensor, dict]:
    tensors = {name: t.to(dtype).clone().requires_grad_() for name, t in tensors.items()}
    out = run(*_arguments(tensors, layout))
    weight = torch.randn(out.shape, generator=torch.Generator().manual_seed(7))
    (out * weight.to(dtype)).sum().backward()
    return out.detach(), {name: t.grad for name, t in tensors.items()}


def _relative(value: Tensor, expected: Tensor) -> float:
    return ((value.double() - expected).norm() / expected.norm().clamp_min(1e-30)).item()


def _compare(function: str, variant: tuple[str, str], counts, features: int, seed: int = 0) -> None:
    layout, tensors = _problem(counts, features, function, seed)
    expected, expected_grads = _output_and_gradients(
        lambda *a: _reference(function, *a), layout, tensors, torch.float64
    )
    single, single_grads = _output_and_gradients(
        lambda *a: _reference(function, *a), layout, tensors
    )
    out, grads = _output_and_gradients(_native(function, variant), layout, tensors)
    bound, grad_bound = BOUNDS[variant[1]]
    # b_out's gradient is one sum of terms of both signs; its error is that of its largest terms,
    # which b2's gradient measures as well.
    sizes = {name: expected_grads["b2" if name == "b_out" else name].norm() for name in grads}
    for name, value, target, rounded, size, limit in (
        ("output", out, expected, single, expected.norm(), bound),
        *(
            (n, g, expected_grads[n], single_grads[n], sizes[n], grad_bound)
            for n, g in grads.items()
        ),
    ):
        error = (value.double() - target).norm()
        size = max(size, SMALLEST_SIZE * target.numel() ** 0.5)
        # Where terms cancel, no single-precision sum of them can be better than another.
        unavoidable = 3 * (rounded.double() - target).norm()
        assert error <= max(limit * size, unavoidable), f"{name}: {error / size:.1e}"


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("variant", VARIANTS, ids="-".join)
@pytest.mark.parametrize("features", [32, 64, 96, 128, 192, 256])
def test_matches_the_definition_with_all_gradients(function, variant, features):
    _compare(function, variant, QM9_SIZES[::3] + [1, 2, 3], features)


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("variant", VARIANTS, ids="-".join)
def test_molecule_larger_than_tiles_and_bins(function, variant):
    _compare(function, variant, [5, 131, 2], 32)


@settings(max_examples=15, deadline=None)
@example(counts=[2, 2], function="coordinate_updates", seed=79)  # x0's gradient cancels
@given(
    counts=st.lists(st.integers(1, 30), min_size=1, max_size=12),
    function=st.sampled_from(FUNCTIONS),
    seed=st.integers(0, 99),
)
def test_any_sizes(counts, function, seed):
    _compare(function, VARIANTS[0][:1] + ("fp32",), counts, 32, seed)


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("variant", VARIANTS, ids="-".join)
@pytest.mark.parametrize("limit", [0, 200_000])
def test_recomputed_activations_give_the_same_gradients(function, variant, limit, monkeypatch):
    """Above the memory limit nothing is saved, and nothing changes, bf16's rounding included."""
    layout, tensors = _problem(QM9_SIZES, 64, function)
    _, saved = _output_and_gradients(_native(function, variant), layout, tensors)
    monkeypatch.setitem(autograd.SAVED_BYTES_LIMIT, variant[1], limit)
    _, again = _output_and_gradients(_native(function, variant), layout, tensors)
    for name in saved:
        assert torch.equal(saved[name], again[name]), name


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("variant", VARIANTS, ids="-".join)
def test_output_is_bitwise_independent_of_batch_and_threads(function, variant):
    run = _native(function, variant)
    counts = [18, 1, 29, 9, 100, 18, 2, 23]
    layout, tensors = _problem(counts, 64, function)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        whole = run(*_arguments(tensors, layout))
        for n in (2, 3):
            torch.set_num_threads(n)
            assert torch.equal(run(*_arguments(tensors, layout)), whole)
    finally:
        torch.set_num_threads(threads)
    for start, n in zip(layout.starts.tolist(), counts, strict=True):
        rows = slice(start, start + n)
        alone = {k: t[rows] if k in ("u", "v", "x", "x0") else t for k, t in tensors.items()}
        one = AtomLayout.from_counts([n])
        assert torch.equal(run(*_arguments(alone, one)), whole[rows])


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("variant", VARIANTS, ids="-".join)
def test_gradients_are_reproducible(function, variant):
    layout, tensors = _problem([*QM9_SIZES, 80], 64, function)  # threads share the largest
    run = _native(function, variant)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        _, first = _output_and_gradients(run, layout, tensors)
        for n in (1, 2, 4):
            torch.set_num_threads(n)
            _, grads = _output_and_gradients(run, layout, tensors)
            for name in first:
                assert torch.equal(first[name], grads[name]), name
    finally:
        torch.set_num_threads(threads)


def test_no_gradient_mode_saves_nothing(monkeypatch):
    """Also where the weights want gradients, as in sampling from a model being trained."""
    layout, tensors = _problem([5], 32, "messages")
    tensors["w2"].requires_grad_()
    saved = []
    call = autograd._call

    def spy(kernel, function, arguments, scalars):
        saved.append(len(arguments["saved_z"]))
        call(kernel, function, arguments, scalars)

    monkeypatch.setattr(autograd, "_call", spy)
    with torch.no_grad():
        native.messages(*_arguments(tensors, layout))
    native.messages(*_arguments(tensors, layout))
    assert saved == [0, 5 * 4]


def test_output_is_the_same_with_and_without_gradients():
    layout, tensors = _problem(QM9_SIZES, 64, "messages")
    arguments = _arguments(tensors, layout)
    for precision in PRECISIONS:
        plain = native.messages(*arguments, precision=precision)
        tensors["w2"].requires_grad_()
        tracked = native.messages(*arguments, precision=precision)
        with torch.no_grad():
            untracked = native.messages(*arguments, precision=precision)
        tensors["w2"].requires_grad_(False)
        assert tracked.requires_grad and not untracked.requires_grad
        assert torch.equal(plain, tracked) and torch.equal(plain, untracked)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_single_atom_gives_zeros(function):
    layout, tensors = _problem([1, 1], 32, function)
    out, grads = _output_and_gradients(_native(function), layout, tensors)
    assert torch.equal(out, torch.zeros_like(out))
    for grad in grads.values():
        assert torch.equal(grad, torch.zeros_like(grad))


@pytest.mark.parametrize("variant", VARIANTS, ids="-".join)
@pytest.mark.parametrize("function", FUNCTIONS)
def test_coincident_atoms(function, variant):
    """sqrt(d2 + 1e-8) has slope 5e3 at zero: nothing must blow up there."""
    layout, tensors = _problem([7], 32, function)
    tensors["x"][3] = tensors["x"][1]
    tensors["x0"][3] = tensors["x0"][1]
    expected, expected_grads = _output_and_gradients(
        lambda *a: _reference(function, *a), layout, tensors, torch.float64
    )
    single, single_grads = _output_and_gradients(
        lambda *a: _reference(function, *a), layout, tensors
    )
    out, grads = _output_and_gradients(_native(function, variant), layout, tensors)
    bound, grad_bound = BOUNDS[variant[1]]
    assert _relative(out, expected) < bound
    for name in ("u", "v", "x", "x0", "w2"):
        assert _relative(grads[name], expected_grads[name]) < grad_bound


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("variant", VARIANTS, ids="-".join)
def test_extreme_activations(function, variant):
    """silu must go to 0 and to x, tanh and sigmoid to their limits, without overflow."""
    layout, tensors = _problem([6, 4], 32, function)
    tensors["u"] = tensors["u"] * 300
    tensors["w2"] = tensors["w2"] * 30
    doubles = {name: t.double() for name, t in tensors.items()}
    expected = _reference(function, *_arguments(doubles, layout))
    out = _native(function, variant)(*_arguments(tensors, layout))
    assert torch.isfinite(out).all()
    assert _relative(out, expected) < 10 * BOUNDS[variant[1]][0]


@pytest.mark.parametrize("precision", PRECISIONS)
def test_small_scores_keep_their_relative_accuracy(precision):
    """Coordinate read-outs start at 1e-3 (xavier gain 0.001): tanh must not cancel there."""
    layout, tensors = _problem([9, 12], 64, "coordinate_updates")
    tensors["w_out"] *= 1e-3
    doubles = {name: t.double() for name, t in tensors.items()}
    expected = _reference("coordinate_updates", *_arguments(doubles, layout))
    out = native.coordinate_updates(*_arguments(tensors, layout), precision=precision)
    assert _relative(out, expected) < BOUNDS[precision][0]


def test_a_broken_molecule_does_not_touch_the_others():
    layout, tensors = _problem([5, 6, 7], 32, "messages")
    healthy = native.messages(*_arguments(tensors, layout))
    tensors["x"][5:11] = float("nan")
    out = native.messages(*_arguments(tensors, layout))
    assert torch.equal(out[:5], healthy[:5]) and torch.equal(out[11:], healthy[11:])
    assert torch.isnan(out[5:11]).all()


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_broken_batch_leaves_nothing_behind(precision):
    """Threads keep their work space: rows that a later tile leaves idle must not hold old NaN."""
    run = _native("messages", (build.best_instruction_set(), precision))
    layout, tensors = _problem([4], 32, "messages")  # three edges an atom: an idle row in a pair
    _, expected = _output_and_gradients(run, layout, tensors)
    broken_layout, broken = _problem([20], 32, "messages")
    broken["x"][:] = float("nan")
    _output_and_gradients(run, broken_layout, broken)
    _, grads = _output_and_gradients(run, layout, tensors)
    for name in expected:
        assert torch.equal(grads[name], expected[name]), name


def test_non_contiguous_inputs():
    layout, tensors = _problem([5, 9], 32, "messages")
    expected, expected_grads = _output_and_gradients(_native("messages"), layout, tensors)
    strided = dict(tensors)
    for name in ("u", "v", "x", "x0", "w2"):
        strided[name] = torch.stack([tensors[name]] * 2, -1)[..., 0]
        assert not strided[name].is_contiguous()
    leaves = {name: t.detach().requires_grad_() for name, t in strided.items()}
    out = native.messages(*_arguments(leaves, layout))
    weight = torch.randn(out.shape, generator=torch.Generator().manual_seed(7))
    (out * weight).sum().backward()
    assert torch.equal(out, expected)
    for name, grad in expected_grads.items():
        assert torch.equal(leaves[name].grad, grad), name


@pytest.mark.parametrize("function", FUNCTIONS)
def test_frozen_weights_leave_the_atom_gradients_unchanged(function):
    """Guidance wants gradients of coordinates only; the weights' are then not computed."""
    layout, tensors = _problem(QM9_SIZES[:3], 32, function)
    _, all_grads = _output_and_gradients(_native(function), layout, tensors)
    leaves = {n: t.clone().requires_grad_(n in ("u", "x", "x0")) for n, t in tensors.items()}
    out = _native(function)(*_arguments(leaves, layout))
    weight = torch.randn(out.shape, generator=torch.Generator().manual_seed(7))
    (out * weight).sum().backward()
    for name in ("u", "x", "x0"):
        assert torch.equal(leaves[name].grad, all_grads[name]), name
    assert leaves["w2"].grad is None


def test_nothing_is_saved_beyond_the_limit(monkeypatch):
    layout, tensors = _problem([30], 32, "messages")
    tensors["u"].requires_grad_()

    def saved_bytes() -> int:
        total = 0

        def count(tensor: Tensor) -> Tensor:
            nonlocal total
            total += tensor.numel() * tensor.element_size()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(count, lambda t: t):
            native.messages(*_arguments(tensors, layout))
        return total

    inputs = sum(t.numel() * 4 for t in tensors.values()) + 8
    edges = 30 * 29
    assert saved_bytes() == inputs + edges * (32 + 1) * 4
    for kept in (edges - 1, 100, 0):
        monkeypatch.setitem(autograd.SAVED_BYTES_LIMIT, "fp32", (kept + 1) * 32 * 4 - 1)
        assert saved_bytes() == inputs + kept * (32 + 1) * 4


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("u", torch.zeros(9, 32), r"u has shape \(9, 32\), expected \(10, 32\)"),
        ("x", torch.zeros(10, 2), r"x has shape \(10, 2\)"),
        ("w2", torch.zeros(32, 16), r"w2 has shape"),
        ("v", torch.zeros(10, 32, dtype=torch.float64), "v is torch.float64"),
    ],
)
def test_wrong_inputs_are_refused(name, value, message):
    layout, tensors = _problem([4, 6], 32, "messages")
    tensors[name] = value
    with pytest.raises(ValueError, match=message):
        native.messages(*_arguments(tensors, layout))


def test_bias_is_refused_for_coordinate_updates():
    layout, tensors = _problem([4, 6], 32, "messages")
    with pytest.raises(ValueError, match="b_out"):
        native.coordinate_updates(*_arguments(tensors, layout))


def test_other_processors_have_no_instruction_set():
    """The probe has to compile there: what it says is the reason users are told."""
    elsewhere = build.compile_library("cpu_features.cpp", (*build.FLAGS, "-U__x86_64__"))
    assert ctypes.CDLL(str(elsewhere)).cpu_features() == 0


def test_availability():
    assert native.available(128, "fp32")
    assert not native.available(50, "fp32")
    assert native.available(64, "bf16") == ("bf16" in PRECISIONS)
    assert build.best_instruction_set() in native.status()
    with pytest.raises(ValueError, match="'fp16'"):
        native.available(64, "fp16")
    layout, tensors = _problem([4], 40, "messages")
    with pytest.raises(RuntimeError, match="40 features"):
        native.messages(*_arguments(tensors, layout))


@pytest.fixture
def fresh_lookup():
    """Forget the loaded kernel before and after a test that changes the environment."""
    build.kernel_or_reason.cache_clear()
    yield
    build.kernel_or_reason.cache_clear()


def test_switched_off_by_the_environment(monkeypatch, fresh_lookup):
    monkeypatch.setenv("DEEPCHEM_EAD_NATIVE", "0")
    assert not native.available(64, "fp32")
    assert native.status() == "PyTorch (disabled by DEEPCHEM_EAD_NATIVE=0)"


def test_no_compiler_is_reported_once(monkeypatch, fresh_lookup, caplog):
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CXX", raising=False)
    assert not native.available(64, "fp32")
    assert not native.available(128, "fp32")
    assert "no C++ compiler" in native.status()
    assert sum("no C++ compiler" in record.message for record in caplog.records) == 1


def test_unwritable_cache_is_reported(monkeypatch, fresh_lookup, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("DEEPCHEM_EAD_CACHE", str(tmp_path / "file"))
    assert not native.available(64, "fp32")
    assert "cannot build in" in native.status()


def _compiler_script(path, before: str):
    """A compiler that first does something else."""
    real = shutil.which(os.environ.get("CXX", "g++"))
    path.write_text(f'#!/bin/sh\n{before}\nexec {real} "$@"\n')
    path.chmod(0o755)
    return path


def test_compilers_older_than_the_processor(monkeypatch, fresh_lookup, tmp_path):
    """One that knows nothing of AMX: the best of the other instruction sets is used."""
    monkeypatch.setattr(build, "FLAGS", (*build.FLAGS, "-O0"))  # quick to compile; none is run
    old = _compiler_script(
        tmp_path / "old-g++", 'case "$*" in *-mamx*) echo unknown >&2; exit 1;; esac'
    )
    monkeypatch.setenv("DEEPCHEM_EAD_CACHE", str(tmp_path / "one"))
    assert build._compiler_knows(build.AMX_BF16)
    expected = next(name for name in INSTRUCTION_SETS if name != "amx-bf16")
    monkeypatch.setenv("CXX", str(old))
    monkeypatch.setenv("DEEPCHEM_EAD_CACHE", str(tmp_path / "another"))
    assert not build._compiler_knows(build.AMX_BF16)
    assert build.best_instruction_set() == expected
    assert expected in native.status()


def test_parallel_processes_build_once(tmp_path):
    """A slow compiler, two processes: it runs once a library, and nobody loads half a library."""
    slow = _compiler_script(
        tmp_path / "slow-g++",
        f'[ "$1" = --version ] || {{ for last; do :; done; basename $last >> {tmp_path}/runs; '
        f"sleep 0.3; }}",
    )
    code = (
        "import importlib.util, sys\n"
        "sys.argv = ['deepchem-ead']\n"  # which loads nothing of DeepChem
        f"spec = importlib.util.spec_from_file_location('build', {build.__file__!r})\n"
        "build = importlib.util.module_from_spec(spec)\n"
        "sys.modules['build'] = build\n"
        "spec.loader.exec_module(build)\n"
        "print(build.best_instruction_set())\n"
    )
    environment = {**os.environ, "CXX": str(slow), "DEEPCHEM_EAD_CACHE": str(tmp_path / "cache")}
    processes = [
        subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE)
        for _ in range(2)
    ]
    outputs = {p.communicate()[0].decode().strip() for p in processes}
    assert outputs == {build.best_instruction_set()}
    built = (tmp_path / "runs").read_text().split()
    assert len(built) == len(set(built)) > 0
