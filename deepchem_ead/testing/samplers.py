"""What every schedule, stepper and repeat rule promises, as a class of tests to inherit from."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from deepchem_ead.diffusion import AtomLayout, channel, joined, shifted
from deepchem_ead.sampling import MoleculeNoise, SampleResult, sample
from deepchem_ead.testing.toys import (
    RecordedNoise,
    bond_denoiser,
    make_process,
    pair_denoiser,
    random_rotation,
)

_COUNTS = [6, 1, 4, 9]
_TIMESTEPS = 20
#: Variance of the bond and of the feature of `bond_denoiser`.
_VARIANCE = 0.5**2


class SamplerTests:
    """Inherit, set what is to be tested, and pytest holds it to the contract.

    Attributes
    ----------
    schedule, stepper, repeat_rule : str or object
        As `sample` takes them.
    bias : float or None
        Largest relative error of the variance of a known distribution that a run of 100 steps may
        have beyond chance. None: it does not draw from the model's distribution.
    symmetric : bool
        Which atom goes when does not depend on how atoms are numbered.

    Examples
    --------
    >>> class TestMine(SamplerTests):
    ...     schedule, stepper = "adaptive:sync_fraction=0.5", "heun"
    """

    schedule: ClassVar[Any] = "synchronous"
    stepper: ClassVar[Any] = "ancestral"
    repeat_rule: ClassVar[Any] = "repaint"
    bias: ClassVar[float | None] = 0.05
    symmetric: ClassVar[bool] = True

    def test_levels_fall_from_the_highest_to_0(self):
        for steps in (None, 1, 7):
            levels = self._run(_COUNTS, steps=steps).levels
            assert (levels[0] == _TIMESTEPS).all() and (levels[-1] == 0).all()
            assert (levels.diff(dim=0) <= 0).all() and levels[:-1].any(1).all()

    def test_results_are_finite_and_repeatable(self):
        first, second = (self._run(_COUNTS) for _ in range(2))
        assert first.states.isfinite().all() and torch.equal(first.states, second.states)

    def test_every_evaluation_is_counted(self):
        calls, told = [], []

        def counting(seen):
            calls.append(seen.layout)
            return pair_denoiser(seen)

        class Bar:
            n = 0

            def update(self, n):
                self.n += n

        bar = Bar()
        result = self._run(_COUNTS, denoiser=counting, progress=bar, callback=told.append)
        assert result.n_evaluations == bar.n == len(calls) == told[-1]["n_evaluations"]
        assert result.molecule_evaluations.max() <= len(calls)
        assert [step["step"] for step in told] == list(range(len(result.levels)))
        assert len(told) <= told[0]["n_steps"]

    def test_a_molecule_does_not_depend_on_its_company(self):
        together = self._run(_COUNTS)
        states, levels = (
            together.states.split(_COUNTS), together.levels.split(_COUNTS, dim=1)
        )  # fmt: skip
        for index, count in enumerate(_COUNTS):
            alone = self._run([count], MoleculeNoise(0, [index], [count]))
            assert torch.equal(alone.states, states[index])
            assert torch.equal(alone.levels, levels[index][: len(alone.levels)])
            assert alone.n_evaluations == int(together.molecule_evaluations[index])

    def test_atoms_at_level_0_do_not_move(self):
        seen = []
        self._run(_COUNTS, callback=seen.append)
        for before, after in zip(seen[:-1], seen[1:], strict=True):
            frozen = before["levels"] == 0
            assert torch.equal(before["w"][frozen], after["w"][frozen])

    def test_levels_are_invariant_and_states_equivariant(self):
        layout = AtomLayout.from_counts(_COUNTS)
        generator = torch.Generator().manual_seed(5)
        order = torch.arange(layout.n_nodes)
        if self.symmetric:
            order = torch.cat([torch.randperm(n, generator=generator) for n in _COUNTS])
            order += layout.expand(layout.starts)
        rotation = random_rotation(4, reflect=True)
        start = 30 * torch.randn(layout.n_nodes, 5, generator=generator, dtype=torch.float64)
        shift = torch.randn(len(_COUNTS), 3, generator=generator, dtype=torch.float64)
        moved = shifted(_turned(start, rotation), layout.expand(shift))
        n = layout.n_nodes
        plain = self._run(_COUNTS, RecordedNoise(n), initial_state=start)
        noise = RecordedNoise(n, rotation=rotation, permutation=order)
        turned = self._run(_COUNTS, noise, initial_state=moved[order])
        assert torch.equal(turned.levels, plain.levels[:, order])
        expected = _turned(plain.states, rotation)[order]
        error = (turned.states - expected).abs().max() / expected.abs().max()
        assert error < 1e-9, f"states differ by {float(error):.1e}"

    def test_a_known_distribution_comes_out(self):
        if self.bias is None:
            return
        counts = [2] * 600
        states = self._run(
            counts,
            RecordedNoise(2 * len(counts), seed=3),
            timesteps=100,
            n_features=1,
            denoiser=bond_denoiser(make_process(100), _VARIANCE, _VARIANCE),
            record_levels=False,
        ).states
        bonds = channel(states[0::2] - states[1::2], "positions")
        features = channel(states, "kinds")
        for what, values in (("bond", bonds), ("feature", features)):
            error = float(values.var()) / _VARIANCE - 1
            allowed = 3 * (2 / values.numel()) ** 0.5 + self.bias
            assert abs(error) < allowed, f"variance of the {what} is off by {error:+.1%}"

    def _run(
        self, counts, noise=None, denoiser=pair_denoiser, timesteps=_TIMESTEPS, n_features=2,
        record_levels=True, **options,
    ) -> SampleResult:  # fmt: skip
        noise = noise or MoleculeNoise(0, range(len(counts)), counts)
        return sample(
            make_process(timesteps), denoiser, AtomLayout.from_counts(counts), n_features,
            self.schedule, self.stepper, self.repeat_rule, noise, record_levels=record_levels,
            **options,
        )  # fmt: skip


def _turned(state: Tensor, rotation: Tensor) -> Tensor:
    return joined(channel(state, "positions") @ rotation.T, channel(state, "kinds"))
