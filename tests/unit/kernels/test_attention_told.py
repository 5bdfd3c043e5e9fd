"""The native attention denoiser told columns of pairs and steps, and saying something of pairs."""

from __future__ import annotations

import pytest
import torch
from attention_data import attention
from denoiser_data import N_IN
from native_variants import VARIANTS
from torch import Tensor

from deepchem_ead.denoisers.handedness import N_COLUMNS, Centres
from deepchem_ead.diffusion import Seen, Stereo
from deepchem_ead.diffusion.layout import AtomLayout
from deepchem_ead.kernels.native import attention_kernel

SIZES = [9, 1, 2, 18, 29, 23, 3]
# As in test_attention_native.py: outputs, and each gradient.
BOUNDS = {"fp32": (2e-6, 1e-5), "bf16": (1e-2, 3e-2)}


def seen(counts, n_columns: int, dtype=torch.float32, wanted=()) -> Seen:
    """Molecules with all that can be told; columns are not the same for (i, j) and (j, i)."""
    generator = torch.Generator().manual_seed(0)
    layout = AtomLayout.from_counts(counts)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    x, h = 1.5 * draw(layout.n_nodes, 3), draw(layout.n_nodes, N_IN)
    told = {
        "x": x, "h": h, "reference": x + 0.1 * draw(*x.shape), "step": 0.3 * draw(len(x)).abs(),
        "pairs": draw(len(layout.pairs.first), n_columns),
    }  # fmt: skip
    told = {name: value.to(dtype) for name, value in told.items()}
    for name in wanted:
        told[name].requires_grad_()
    return Seen(layout=layout, **told)


def native(denoiser, variant):
    """The same network, computed by the kernel of one instruction set and format."""
    kernel = attention_kernel.load_attention(variant[1], variant[0])
    denoiser._kernel = lambda x: kernel
    return denoiser


def outputs_and_gradients(denoiser, told: Seen) -> dict[str, Tensor]:
    out = denoiser(told)
    outputs = {"dx": out.dx, "h_out": out.h}
    if out.pairs is not None:
        outputs["pair outputs"] = out.pairs
    generator = torch.Generator().manual_seed(7)
    loss = sum(
        (t * torch.randn(t.shape, generator=generator).to(t.dtype)).sum() for t in outputs.values()
    )
    inputs = {name: getattr(told, name) for name in ("x", "h", "step", "pairs")}
    inputs = {name: t for name, t in inputs.items() if t is not None and t.requires_grad}
    inputs |= {name: p for name, p in denoiser.named_parameters() if p.requires_grad}
    found = torch.autograd.grad(loss, list(inputs.values()))
    return {n: t.detach() for n, t in outputs.items()} | dict(zip(inputs, found, strict=True))


@pytest.mark.parametrize("variant", VARIANTS, ids="-".join)
@pytest.mark.parametrize(
    "n_columns, n_outputs, options",
    [
        (22, 5, {}), (1, 0, {}), (17, 2, {"n_features": 128, "n_heads": 16}),
        (64, 3, {"n_features": 32, "n_heads": 1, "n_layers": 1}),
    ],
)  # fmt: skip
def test_matches_pytorch_with_all_gradients(variant, n_columns, n_outputs, options):
    options = {"n_pair_columns": n_columns, "n_pair_outputs": n_outputs} | options
    wanted = ("x", "h", "step", "pairs")
    exact = attention(backend="torch", dtype=torch.float64, **options)
    expected = outputs_and_gradients(exact, seen(SIZES, n_columns, torch.float64, wanted))
    fast = native(attention(**options), variant)
    found = outputs_and_gradients(fast, seen(SIZES, n_columns, wanted=wanted))
    bound, gradient_bound = BOUNDS[variant[1]]
    assert found.keys() == expected.keys()
    for name, target in expected.items():
        limit = bound if name in ("dx", "h_out", "pair outputs") else gradient_bound
        error = float((found[name].double() - target).norm() / target.norm())
        assert error <= limit, f"{name}: {error:.1e}"


def handed(dtype=torch.float32, **options):
    """A network whose moves of tagged neighbours are not 0, as they are to begin with."""
    denoiser = attention(n_pair_columns=5, n_pair_outputs=3, stereo=True, **options)
    for gates in (denoiser.handedness.first, denoiser.handedness.last):
        gates.out.weight.data.normal_(std=0.3)
    return denoiser.to(dtype)


def tagged(told: Seen) -> Seen:
    """With a tag of every other atom of molecules that are large enough."""
    layout, generator = told.layout, torch.Generator().manual_seed(3)
    n = layout.n_nodes
    counts = layout.counts[layout.index].unsqueeze(1)
    places = torch.randint(0, 100, (n, 1), generator=generator) + torch.arange(4)
    tags = (torch.arange(n) % 2) * (2 * (torch.arange(n) % 3 > 0).long() - 1)
    tags = tags.masked_fill(counts[:, 0] < 4, 0)
    return told.replace(stereo=Stereo(places % counts, tags, Stereo.nothing(layout).sides))


@pytest.mark.parametrize("variant", VARIANTS, ids="-".join)
def test_tags_of_centres_match_pytorch_with_all_gradients(variant):
    wanted = ("x", "h", "step", "pairs")
    exact = handed(backend="torch", dtype=torch.float64)
    expected = outputs_and_gradients(exact, tagged(seen(SIZES, 5, torch.float64, wanted)))
    fast = native(handed(), variant)
    found = outputs_and_gradients(fast, tagged(seen(SIZES, 5, wanted=wanted)))
    bound, gradient_bound = BOUNDS[variant[1]]
    for name, target in expected.items():
        limit = bound if name in ("dx", "h_out", "pair outputs") else gradient_bound
        error = float((found[name].double() - target).norm() / target.norm())
        assert error <= limit, f"{name}: {error:.1e}"
    plain = fast(seen(SIZES, 5)).dx
    assert (plain - found["dx"]).norm() > 0.01 * plain.norm()


def test_new_gates_change_nothing():
    """A network that has not learned of tags computes what it computed without them."""
    before, after = (
        native(attention(n_pair_columns=5, n_pair_outputs=3, stereo=stereo), VARIANTS[0])
        for stereo in (False, True)
    )
    state = after.state_dict() | before.state_dict()
    for name in ("embedding.weight", "condition.0.weight"):
        state[name] = torch.nn.functional.pad(state[name], (0, N_COLUMNS))
    after.load_state_dict(state)
    told = seen(SIZES, 5)
    with torch.no_grad():
        expected = before(told)
        for molecules in (told, tagged(told)):
            found = after(molecules)
            assert torch.equal(torch.cat(found, 1), torch.cat(expected, 1))
            assert torch.equal(found.pairs, expected.pairs)


@pytest.mark.parametrize("variant", VARIANTS, ids="-".join)
def test_weights_are_packed_once_where_they_do_not_change(variant, monkeypatch):
    denoiser, told, kept = native(handed(n_heads=8), variant), tagged(seen([18, 1, 9], 5)), []
    keep = attention_kernel.AttentionKernel.keep

    def counted(self, problem):
        kept.append(problem)
        return keep(self, problem)

    monkeypatch.setattr(attention_kernel.AttentionKernel, "keep", counted)

    def outputs() -> Tensor:
        with torch.no_grad():
            out = denoiser(told)
        return torch.cat([*(t.flatten() for t in out), out.pairs.flatten()])

    before = outputs()
    with denoiser.weights_kept():
        assert torch.equal(outputs(), before) and torch.equal(outputs(), before)
        assert len(kept) == 1
        with torch.no_grad():
            denoiser.blocks[1].out.weight.mul_(2)
        changed = outputs()
        assert not torch.equal(changed, before) and len(kept) == 2
        assert denoiser(told).dx.requires_grad and len(kept) == 2
    assert torch.equal(outputs(), changed) and len(kept) == 2


def test_atoms_without_tags_need_not_be_looked_at(monkeypatch):
    """Without gradients only tagged centres are; to the last bit it is the same."""
    denoiser, told = native(handed(n_heads=8), VARIANTS[0]), tagged(seen([18, 1, 29, 4], 5))
    none = told.replace(stereo=told.stereo._replace(tags=torch.zeros_like(told.stereo.tags)))

    def outputs() -> list[Tensor]:
        with torch.no_grad():
            return [torch.cat(denoiser(molecules), 1) for molecules in (told, none)]

    few = outputs()
    looked = Centres.of
    monkeypatch.setattr(Centres, "of", lambda *arguments: torch.enable_grad()(looked)(*arguments))
    assert all(map(torch.equal, few, outputs())) and not torch.equal(*few)


@pytest.mark.parametrize("variant", VARIANTS, ids="-".join)
def test_bitwise_independent_of_threads_and_batch(variant):
    denoiser = native(handed(n_heads=8), variant)
    counts = [18, 1, 29, 9, 40, 2]
    told = tagged(seen(counts, 5))

    def evaluate(molecules: Seen) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            out = denoiser(molecules)
        return torch.cat(out, 1), out.pairs

    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        whole = evaluate(told)
        torch.set_num_threads(3)
        assert all(map(torch.equal, evaluate(told), whole))
    finally:
        torch.set_num_threads(threads)
    pair = 0
    for start, n in zip(told.layout.starts.tolist(), counts, strict=True):
        rows, edges = slice(start, start + n), slice(pair, pair + n * (n - 1))
        alone = Seen(
            told.x[rows], told.h[rows], AtomLayout.from_counts([n]), told.reference[rows],
            step=told.step[rows], pairs=told.pairs[edges],
            stereo=Stereo(*(t[rows] for t in told.stereo[:2]), told.stereo.sides[edges]),
        )  # fmt: skip
        assert torch.equal(evaluate(alone)[0], whole[0][rows])
        assert torch.equal(evaluate(alone)[1], whole[1][edges])
        pair = edges.stop


def test_gradients_are_reproducible_and_only_what_is_wanted_is_computed():
    denoiser = native(attention(n_pair_columns=4, n_pair_outputs=2), VARIANTS[0])
    everything = outputs_and_gradients(denoiser, seen(SIZES, 4, wanted=("x", "h", "step", "pairs")))
    for wanted in ((), ("pairs",), ("x", "step")):
        again = outputs_and_gradients(denoiser, seen(SIZES, 4, wanted=wanted))
        for name, value in again.items():
            assert torch.equal(value, everything[name]), name
    denoiser.requires_grad_(False)  # as under guidance by a property
    guided = outputs_and_gradients(denoiser, seen(SIZES, 4, wanted=("x", "pairs")))
    for name in ("x", "pairs"):
        assert torch.equal(guided[name], everything[name])


def test_zeros_told_are_nothing_told():
    denoiser = native(attention(n_pair_columns=4), VARIANTS[0])
    told = seen(SIZES, 4)
    with torch.no_grad():
        nothing = torch.cat(denoiser(told.replace(pairs=None)), 1)
        zeros = torch.cat(denoiser(told.replace(pairs=0 * told.pairs)), 1)
        assert torch.equal(zeros, nothing)
        assert not torch.equal(torch.cat(denoiser(told), 1), nothing)


def test_what_does_not_fit_is_refused_and_more_columns_are_pytorchs():
    denoiser, told = attention(n_pair_columns=4, n_pair_outputs=2), seen(SIZES, 4)
    assert denoiser.active_backend == "native fp32"
    for wrong in ({"pairs": told.pairs[1:]}, {"pairs": told.pairs[:, 1:]},
                  {"step": told.step[1:]}, {"reference": told.reference[1:]},
                  {"stereo": Stereo.nothing(AtomLayout.from_counts([3]))}):  # fmt: skip
        with pytest.raises(ValueError, match="fit"):
            denoiser(told.replace(**wrong))
    many = attention(n_pair_columns=65)
    assert many.active_backend == "torch fp32 (65 columns of pairs; takes at most 64)"
    assert torch.cat(many(seen([3, 4], 65)), 1).isfinite().all()
