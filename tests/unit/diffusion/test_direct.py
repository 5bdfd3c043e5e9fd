"""The direct objective: distances, weights, what is left out, and what is kept."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sampling_toys import make_process, random_rotation

from deepchem_ead.diffusion import (
    AtomLayout,
    DirectObjective,
    LastEstimate,
    Outputs,
    PositionResidual,
    PreconditionedFrame,
    pseudo_huber,
    random_turns,
    turn,
    turned,
)
from deepchem_ead.diffusion.alignment import aligning_turns
from deepchem_ead.molnet.sample import load_sample
from deepchem_ead.testing.denoisers import DenoiserTests

TABLE, _ = load_sample()
ROWS = [3, 500, 900]
POSITIONS = [torch.tensor(TABLE.numbers_and_positions(row)[1]).double() for row in ROWS]
LAYOUT = AtomLayout.from_counts([len(x) for x in POSITIONS])
GENERATOR = torch.Generator().manual_seed(0)
KINDS = torch.randn(LAYOUT.n_nodes, 2, generator=GENERATOR, dtype=torch.float64)
CLEAN = torch.cat([LAYOUT.center(torch.cat(POSITIONS)), KINDS], 1)
FLOATING = torch.ones(3, dtype=torch.bool)
EXACT = DirectObjective(guide_floor=0.1, width=1e-6)


def last(state, passes=(1, 1, 1), told=(True, True, True)):
    return LastEstimate(state, torch.tensor(passes), torch.tensor(told))


def moved(state, seed=0):
    """Every molecule turned, mirrored or not, and shifted by a motion of its own."""
    generator = torch.Generator().manual_seed(seed)
    shift = torch.randn(3, 3, generator=generator, dtype=torch.float64)
    state = turn(state, random_turns(LAYOUT, generator), LAYOUT).clone()
    state[:, :3] += LAYOUT.expand(shift)
    return state


def test_pseudo_huber_is_a_distance_far_from_0_and_a_square_near_it():
    d = torch.randn(50, 3, generator=GENERATOR, dtype=torch.float64)
    length = d.norm(dim=1)
    torch.testing.assert_close(pseudo_huber(d, 1e-9), length, rtol=1e-6, atol=0)
    torch.testing.assert_close(pseudo_huber(1e-6 * d, 0.3) * 0.6, (1e-6 * length) ** 2)
    turned_d = d @ random_rotation(1, reflect=True).T
    torch.testing.assert_close(pseudo_huber(turned_d, 0.3), pseudo_huber(d, 0.3))
    at_0 = torch.zeros(1, 3, requires_grad=True)
    pseudo_huber(at_0, 0.05).sum().backward()
    assert not at_0.grad.any()


def test_weights_begin_with_the_data_alone_and_keep_a_floor():
    guide, iteration = DirectObjective(guide_floor=0.1).weights(torch.tensor([0, 1, 3, 9, 999]))
    torch.testing.assert_close(guide, torch.tensor([1, 0.5, 0.25, 0.1, 0.1]))
    torch.testing.assert_close(iteration, 1 - guide)


@pytest.mark.parametrize("floor", [0.1, 0.3, 0.6])
def test_below_a_half_the_data_hardly_draw_an_estimate_that_is_far_off(floor):
    """What is best for one coordinate, told 0, with the data 2 Angstrom away."""
    width, x = 0.05, torch.linspace(0, 2.0, 200001, dtype=torch.float64).unsqueeze(1)
    guide, iteration = DirectObjective(floor, width).weights(torch.tensor(999))
    loss = guide * pseudo_huber(x - 2, width) + iteration * pseudo_huber(x, width)
    best = float(x[loss.argmin()])
    if floor < 0.5:
        assert best == pytest.approx(width * floor / (1 - 2 * floor) ** 0.5, rel=5e-3)
    else:
        assert best > 1.9


@pytest.mark.parametrize("mirrored", [False, True])
def test_turns_are_those_of_kabsch(mirrored):
    a, b = torch.randn(2, LAYOUT.n_nodes, 3, generator=GENERATOR, dtype=torch.float64)
    turns = aligning_turns(a, b, LAYOUT, mirrored)
    torch.testing.assert_close(turns @ turns.mT, torch.eye(3).double().expand(3, 3, 3))
    assert mirrored or (torch.linalg.det(turns) > 0).all()
    a, b = LAYOUT.center(a), LAYOUT.center(b)
    found = LAYOUT.sum((turned(a, turns, LAYOUT) - b).square().sum(1))
    counts = LAYOUT.counts.tolist()
    for x, y, distance in zip(a.split(counts), b.split(counts), found, strict=True):
        u, s, vt = np.linalg.svd((x.T @ y).numpy())
        s[2] *= 1 if mirrored else np.sign(np.linalg.det(u @ vt))
        least = x.square().sum() + y.square().sum() - 2 * s.sum()
        assert float(distance) == pytest.approx(float(least), rel=1e-9)


LINE = torch.tensor([[-1.0, 0, 0], [0, 0, 0], [1, 0, 0]])


@pytest.mark.parametrize("x", [0 * LINE, LINE])
def test_atoms_in_one_place_or_on_a_line_are_turned_finitely(x):
    layout, onto = AtomLayout.from_counts([3]), x @ random_rotation(3).T.float()
    turns = aligning_turns(x, onto, layout)
    torch.testing.assert_close(turned(x, turns, layout), onto, atol=1e-6, rtol=0)


def test_motions_of_a_floating_molecule_are_no_error_and_none_is_kept():
    found = moved(CLEAN)
    error, kept = EXACT.score(found, CLEAN, None, FLOATING, LAYOUT)
    assert error.max() < 1e-5
    torch.testing.assert_close(kept, CLEAN)
    # Neither from what is told: it was kept in the frame of the data.
    error, _ = EXACT.score(found, CLEAN, last(moved(CLEAN, 1)), FLOATING, LAYOUT)
    assert error.max() < 1e-5


def test_mirror_images_are_the_same_only_if_they_are_to_be():
    found = CLEAN * torch.tensor([1, 1, -1, 1, 1])
    same, other = (
        DirectObjective(width=1e-6, mirrored=m).score(found, CLEAN, None, FLOATING, LAYOUT)[0]
        for m in (True, False)
    )
    assert same.max() < 1e-5 and (LAYOUT.mean(other) > 0.05).all()


def test_a_molecule_in_its_place_is_compared_there():
    placed = torch.tensor([False, True, True])
    found = CLEAN.clone()
    found[:, :3] += torch.tensor([1.0, 2, 2])
    error, kept = EXACT.score(found, CLEAN, None, placed, LAYOUT)
    here = LAYOUT.expand(placed)
    assert error[here].max() < 1e-5
    torch.testing.assert_close(error[~here], torch.full_like(error[~here], 3.0), atol=1e-5, rtol=0)
    torch.testing.assert_close(kept[~here], found[~here])


def test_the_estimate_counts_where_it_is_told_and_no_gradient_goes_there():
    echo = CLEAN + 0.3 * torch.randn(CLEAN.shape, generator=GENERATOR, dtype=torch.float64)
    echo.requires_grad_()
    earlier = last(echo, passes=(3, 3, 0), told=(True, False, True))
    found = echo.detach().clone().requires_grad_()
    error, kept = EXACT.score(found, CLEAN, earlier, FLOATING, LAYOUT)
    alone, _ = EXACT.score(found, CLEAN, None, FLOATING, LAYOUT)
    ratio = LAYOUT.mean(error) / LAYOUT.mean(alone)
    # f = xb: only the distance to the data is left, with the weight 1 / n of the fourth pass.
    torch.testing.assert_close(ratio, torch.tensor([0.25, 1, 1]).double(), atol=1e-5, rtol=0)
    error.sum().backward()
    assert found.grad.any() and echo.grad is None and not kept.requires_grad


def test_what_the_map_is_told_is_nan_where_nothing_is():
    previous = last(CLEAN, passes=(2, 0, 5), told=(True, True, False)).previous(LAYOUT)
    for k, rows in enumerate(previous.split(LAYOUT.counts.tolist())):
        assert bool(rows.isnan().all()) == (k > 0) and bool(rows.isfinite().all()) == (k == 0)


def _process(**options):
    return make_process(
        100, frame=PreconditionedFrame(1.5), positions=PositionResidual(1.5),
        self_conditioning=True, direct=DirectObjective(), **options,
    )  # fmt: skip


class _Attention(DenoiserTests):
    denoiser, options = "attention", {"n_layers": 2, "n_features": 32}


@pytest.mark.parametrize("shift", [0.0, 5.0])
def test_the_map_turns_with_state_and_estimate_together(shift):
    """f(Q xb + c, Q w + c) = Q f(xb, w) + c, at mixed levels."""
    n_pairs = sum(PreconditionedFrame.pair_columns.values())
    network, process = _Attention().make(n_pair_columns=n_pairs), _process()
    levels = torch.randint(1, 100, (LAYOUT.n_nodes,), generator=GENERATOR)
    eps, previous = torch.randn(2, *CLEAN.shape, generator=GENERATOR, dtype=torch.float64)
    w = process.add_noise(CLEAN, levels, eps)
    q = random_rotation(2, reflect=True)

    def there(state):
        return torch.cat([state[:, :3] @ q.T + shift, state[:, 3:]], 1)

    def f(xb, w):
        padded = _padded(network)
        return process.predict_clean(padded, w, levels, LAYOUT, None, xb)

    plain = f(previous, w)
    torch.testing.assert_close(f(there(previous), there(w)), there(plain), atol=1e-8, rtol=1e-8)
    assert not torch.allclose(f(1.5 * previous, w), plain, atol=1e-3)


def _padded(network):
    """A network of seven columns where the process has fewer."""

    def denoiser(seen):
        more = seen.h.new_zeros(len(seen.h), 7 - seen.h.shape[1])
        return network(seen.replace(h=torch.cat([seen.h, more], 1)))

    return denoiser


def test_estimates_are_told_where_the_state_is():
    """A floating molecule's around its centre, and those of others in their place."""
    process, seen = _process(), []
    levels = torch.full((LAYOUT.n_nodes,), 60)
    levels[0] = 0
    eps = torch.randn(CLEAN.shape, generator=GENERATOR, dtype=torch.float64)

    def watching(seen_):
        seen.append(seen_)
        return Outputs(torch.zeros_like(seen_.x), seen_.h)

    process.loss(watching, CLEAN, levels, eps, LAYOUT, earlier=last(2 * CLEAN))
    told = seen[0].reference
    first = LAYOUT.index == 0
    torch.testing.assert_close(told[first], 2 * CLEAN[first, :3])
    w = process.add_noise(CLEAN, levels, eps)[:, :3]
    apart = LAYOUT.mean(told) - LAYOUT.mean(w)
    assert apart[1:].abs().max() < 1e-9
    torch.testing.assert_close(LAYOUT.center(told), 2 * CLEAN[:, :3])
