"""The preconditioned frame: known atoms are seen as they are beside others at any level."""

from __future__ import annotations

import pytest
import torch
from sampling_toys import make_process, random_rotation

from deepchem_ead.denoisers import DENOISERS, InputColumns
from deepchem_ead.diffusion import (
    AtomLayout,
    Outputs,
    PositionResidual,
    PreconditionedFrame,
    QuotientFrame,
    channel,
    joined,
    shifted,
)
from deepchem_ead.sampling import MoleculeNoise, Start, sample

TOP = 1000
SCALE = 1.5
COUNTS = [6, 4, 5]
LAYOUT = AtomLayout.from_counts(COUNTS)
#: Known atoms beside pure noise; no atom known; all known.
LEVELS = torch.tensor([0, 0, 0, TOP, TOP, 700, 300, 310, 290, TOP, 0, 0, 0, 0, 0])
KNOWN = LEVELS == 0


def process(frame=None, **options):
    frame = frame or PreconditionedFrame(SCALE)
    return make_process(TOP, frame, positions=PositionResidual(SCALE), **options)


def noisy(levels=LEVELS, seed=0, **options):
    generator = torch.Generator().manual_seed(seed)
    clean, eps = torch.randn(2, 15, 5, generator=generator, dtype=torch.float64)
    clean = shifted(clean, torch.tensor([40.0, -30, 20]).double())
    return clean, process(**options).add_noise(clean, levels, eps), eps


def network(name, dtype=torch.float64, n_in=3):
    """With random weights whose moves are not next to nothing."""
    torch.manual_seed(0)
    cls = DENOISERS[name]
    columns = InputColumns({"features": n_in}, pairs=PreconditionedFrame.pair_columns)
    made = cls.build(columns, 2, cls.Options(n_layers=2, n_features=32)).to(dtype)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return made.eval()


def watching(told):
    def denoiser(seen):
        told.append(seen)
        return Outputs(torch.ones_like(seen.x), torch.ones_like(seen.h))

    return denoiser


@pytest.mark.parametrize("level", [1, 300, 700, TOP])
@pytest.mark.parametrize("name", ["attention", "egnn"])
def test_equal_levels_are_karras(name, level):
    """c_skip y + c_out F(c_in y) around the centre; the input, and the distances times c_in."""
    levels = torch.full((15,), level)
    _, w, _ = noisy(levels)
    tau = process().schedule.tau[level]
    y = channel(w, "positions") - LAYOUT.expand(LAYOUT.mean(channel(w, "positions")))
    total = SCALE**2 + tau**2
    c_skip, c_in, c_out = SCALE**2 / total, total.rsqrt(), SCALE * tau * total.rsqrt()
    told, net = [], network(name)

    def denoiser(seen):
        told.append((seen, net(seen)))
        return told[-1][1]

    with torch.no_grad():
        x_hat = process().predict_clean(denoiser, w, levels, LAYOUT)
    (seen, out), = told  # fmt: skip
    torch.testing.assert_close(LAYOUT.center(seen.x), c_skip * y, rtol=0, atol=1e-10)
    torch.testing.assert_close(seen.step, c_out.expand(15), rtol=1e-12, atol=0)
    expected = c_skip * y - c_out * LAYOUT.center(out.dx)
    found = LAYOUT.center(channel(x_hat, "positions"))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)
    i, j = LAYOUT.pairs
    scaled = c_in * (y[i] - y[j]).norm(dim=1) / 2**0.5
    centres = torch.linspace(0, 4, 16, dtype=torch.float64)
    gaussians = torch.exp(-0.5 * ((scaled[:, None] - centres) / (4 / 15)) ** 2)
    torch.testing.assert_close(seen.pairs, gaussians, rtol=0, atol=1e-6)


def test_the_input_is_the_posterior_mean_of_a_cloud():
    """y_i ~ N(m, s^2 + tau_i^2), a flat prior over m: Gaussian algebra, any levels above 0."""
    levels = torch.tensor([3, 400, TOP, 20, 800, 640, 300, 310, 290, TOP, 1, 2, 3, 4, 5])
    _, w, _ = noisy(levels)
    told = []
    process().predict_noise(watching(told), w, levels, LAYOUT)
    tau2 = process().schedule.tau[levels] ** 2
    y = channel(w, "positions")
    origin = y.mean(0)
    for rows in torch.arange(15).split(COUNTS):
        n = len(rows)
        # x_i ~ N(m, s^2) with any m has the precision (1 - 11^T / n) / s^2.
        one = torch.ones(n, n, dtype=torch.float64)
        precision = (torch.eye(n).double() - one / n) / SCALE**2
        told_by_y = torch.diag(1 / tau2[rows])
        expected = (
            torch.linalg.solve(precision + told_by_y, told_by_y @ (y[rows] - origin)) + origin
        )
        assert (told[0].x[rows] - expected).abs().max() < 1e-8
        weight = 1 / (SCALE**2 + tau2[rows, None])
        centre = (weight * y[rows]).sum(0) / weight.sum()
        exact = centre + SCALE**2 * weight * (y[rows] - centre)
        torch.testing.assert_close(told[0].x[rows], exact, rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", ["attention", "egnn", "transformer"])
def test_estimates_are_equivariant_at_mixed_levels(name):
    """Shifts, turns and reflections, and renumbering, with 0 beside T in one molecule."""
    net = network(name)
    _, w, _ = noisy()
    generator = torch.Generator().manual_seed(2)
    order = torch.cat([torch.randperm(c, generator=generator) for c in COUNTS])
    order = order + LAYOUT.expand(LAYOUT.starts)
    move = LAYOUT.expand(torch.randn(3, 3, generator=generator, dtype=torch.float64))
    for reflect in (False, True):
        rotation = torch.eye(3).double() if name == "transformer" else random_rotation(7, reflect)

        def transform(state, rotation=rotation):
            turned = joined(channel(state, "positions") @ rotation.T, channel(state, "kinds"))
            return shifted(turned, move)[order]

        with torch.no_grad():
            x_hat = process().predict_clean(net, w, LEVELS, LAYOUT)
            ours = process().predict_clean(net, transform(w), LEVELS[order], LAYOUT)
        assert (ours - transform(x_hat)).abs().max() < 1e-8


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", ["attention", "egnn"])
def test_known_atoms_have_no_noise_and_stay_where_they_are(name, dtype):
    clean, w, _ = noisy()
    assert torch.equal(w[KNOWN], clean[KNOWN]) and (w[~KNOWN] != clean[~KNOWN]).all()
    w = w.to(dtype)
    with torch.no_grad():
        x_hat = process().predict_clean(network(name, dtype), w, LEVELS, LAYOUT)
    assert torch.equal(x_hat[KNOWN], w[KNOWN]) and (x_hat[~KNOWN] != w[~KNOWN]).all()


def seen_fragment(frame):
    """Distances of three known atoms beside others at T: as they are, and as the network sees."""
    told = []
    _, w, _ = noisy(frame=frame)
    process(frame).predict_noise(watching(told), w, LEVELS, LAYOUT)
    return torch.pdist(channel(w, "positions")[:3]), torch.pdist(told[0].x[:3])


def test_a_known_fragment_is_seen_unscaled_beside_noise():
    true, seen = seen_fragment(PreconditionedFrame(SCALE))
    torch.testing.assert_close(seen, true, rtol=1e-12, atol=0)
    true, seen = seen_fragment(QuotientFrame())  # which is what it is for
    assert (seen < 0.004 * true).all()


@pytest.mark.parametrize("by_channel", [False, True])
@pytest.mark.parametrize(("schedule", "stepper"), [("adaptive", "heun"), ("staircase", "dpm++2m")])
def test_a_known_fragment_returns_to_the_last_bit(schedule, stepper, by_channel):
    clean = noisy()[0].float()
    known = torch.tensor([1, 1, 1, 0, 0, 0, *[0] * 4, *[1] * 5], dtype=torch.bool)
    levels = torch.where(known, 0, TOP)
    levels = torch.stack([levels, torch.full_like(levels, TOP)], 1) if by_channel else levels
    told = []
    net = network("attention", torch.float32)

    def denoiser(seen):
        told.append(seen)
        return net(seen)

    states = sample(
        process(), denoiser, LAYOUT, 2, schedule, stepper, steps=6, start=Start(clean, levels),
        noise=MoleculeNoise(0, range(3), LAYOUT.counts),
    ).states  # fmt: skip
    positions = channel(states, "positions")
    assert torch.equal(positions[known], channel(clean, "positions")[known])
    assert states.isfinite().all()
    distances = torch.pdist(channel(clean, "positions")[:3])
    for seen in told[:3]:
        torch.testing.assert_close(torch.pdist(seen.x[:3]), distances, rtol=0, atol=1e-5)


def test_the_loss_leaves_known_rows_out():
    clean, _, eps = noisy()
    levels = torch.stack([LEVELS, LEVELS.roll(2)], 1)

    def loss(changed_x, changed_h):
        def denoiser(seen):
            dx, h = torch.zeros_like(seen.x), torch.zeros_like(seen.h[:, :2])
            return Outputs(dx + changed_x.double()[:, None], h + changed_h.double()[:, None])

        return process().loss(denoiser, clean, levels, eps, LAYOUT)

    nothing = torch.zeros(15)
    plain = loss(nothing, nothing)
    assert torch.equal(loss((levels[:, 0] == 0).float(), (levels[:, 1] == 0).float()), plain)
    one = torch.eye(15)[5]
    assert (levels[5] > 0).all()
    assert (loss(one, nothing) != plain)[0] and (loss(nothing, one) != plain)[0]


def test_kinds_are_told_their_own_level():
    told = []
    levels = torch.stack([LEVELS, LEVELS.flip(0)], 1)
    made = process(channel_levels=True, level_features="linear")
    _, w, _ = noisy(levels)
    made.predict_noise(watching(told), w, levels, LAYOUT)
    made.predict_noise(watching(told), w, LEVELS, LAYOUT)
    shares = torch.stack([told[0].h[:, -2], told[0].h[:, -1]], 1)
    torch.testing.assert_close(shares, levels.double() / TOP)
    assert torch.equal(told[1].h[:, -2], told[1].h[:, -1])
    plain = []
    process().predict_noise(watching(plain), w, levels, LAYOUT)
    assert torch.equal(plain[0].h, told[0].h[:, :-1])
