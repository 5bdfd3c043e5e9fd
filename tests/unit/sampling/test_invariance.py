"""Levels do not depend on where a molecule lies, how it is turned or how its atoms are numbered."""

from __future__ import annotations

import pytest
import torch
from sampling_toys import RecordedNoise, make_process, pair_denoiser, random_rotation

from deepchem_ead.denoisers import EGNN
from deepchem_ead.diffusion import AtomLayout
from deepchem_ead.sampling import (
    AdaptiveSchedule,
    RandomCoinSchedule,
    SettledFirstSchedule,
    sample,
)

COUNTS = [6, 4, 9]


def egnn():
    torch.manual_seed(0)
    return EGNN(in_features=3, out_features=3, n_layers=2, n_features=16).double()


@pytest.mark.parametrize(
    ("denoiser", "repeat_rule", "reflect"),
    [
        (pair_denoiser, "literal", False),
        (pair_denoiser, "repaint", True),
        (pair_denoiser, "hold", True),
        (egnn(), "repaint", True),
    ],
)
@pytest.mark.parametrize(
    "schedule",
    [
        AdaptiveSchedule(sync_fraction=0.2, interval=10),
        AdaptiveSchedule(sync_fraction=0.2, interval=10, velocity="x0hat", window=3),
        RandomCoinSchedule(sync_fraction=0.2, interval=10),
        SettledFirstSchedule(sync_fraction=0.2, interval=10, window=3),
        SettledFirstSchedule(sync_fraction=0.2, interval=10, velocity="environment"),
    ],
)
def test_levels_are_invariant_and_states_equivariant(denoiser, reflect, schedule, repeat_rule):
    layout = AtomLayout.from_counts(COUNTS)
    process = make_process(30)
    n = layout.n_nodes
    rotation = random_rotation(4, reflect)
    generator = torch.Generator().manual_seed(5)
    permutation = torch.cat(
        [torch.randperm(c, generator=generator) for c in COUNTS]
    ) + layout.expand(layout.starts)
    start = 30 * torch.randn(n, 5, generator=generator, dtype=torch.float64)
    translation = layout.expand(torch.randn(3, 3, generator=generator, dtype=torch.float64))
    moved = torch.cat([start[:, :3] @ rotation.T + translation, start[:, 3:]], 1)

    def run(initial_state, noise):
        return sample(
            process, denoiser, layout, 2, schedule, repeat_rule=repeat_rule, noise=noise,
            initial_state=initial_state, record_levels=True,
        )  # fmt: skip

    result = run(start, RecordedNoise(n))
    turned = run(moved[permutation], RecordedNoise(n, rotation=rotation, permutation=permutation))
    assert torch.equal(turned.levels, result.levels[:, permutation])
    expected = torch.cat([result.states[:, :3] @ rotation.T, result.states[:, 3:]], 1)
    scale = expected.abs().max()
    assert (turned.states - expected[permutation]).abs().max() < 1e-9 * scale
    # the levels mean something only if atoms go their own ways
    assert (result.levels.float().std(1) > 0).sum() > 10
