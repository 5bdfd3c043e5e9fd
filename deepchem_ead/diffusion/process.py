"""The diffusion process: noising, denoising and the training loss, for any per-atom levels."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from deepchem_ead.diffusion.asked import Asked, Estimate, Estimator
from deepchem_ead.diffusion.bond_noise import BondNoise, told_evidence
from deepchem_ead.diffusion.bonds import Bonds, bond_error, bond_probabilities, told_bonds
from deepchem_ead.diffusion.channels import by_column, channel, joined, level_of, shifted
from deepchem_ead.diffusion.direct import DirectObjective, LastEstimate
from deepchem_ead.diffusion.feature_targets import FeatureTarget, NoiseTarget
from deepchem_ead.diffusion.frames import Frame
from deepchem_ead.diffusion.kernels import forward_step
from deepchem_ead.diffusion.layout import AtomLayout
from deepchem_ead.diffusion.level_features import LEVEL_FEATURES
from deepchem_ead.diffusion.position_targets import PositionNoise, PositionTarget
from deepchem_ead.diffusion.schedule import NoiseSchedule
from deepchem_ead.diffusion.seen import Denoiser, Seen
from deepchem_ead.diffusion.stereo import Stereo, told_sides
from deepchem_ead.diffusion.symmetry import NoSymmetry, Symmetry

#: Numbers of atoms are told in quarters, as EDM's scale of types has them in sums of features.
COUNT_SCALE = 0.25


class EarlierState(NamedTuple):
    """A state a little noisier than that to be denoised, as a sampler would come from.

    Attributes
    ----------
    levels : Tensor, (A,)
        At least those of the state.
    eps : Tensor, (A, 3 + F)
        Independent standard normal draws of the noise in which the two differ.
    told : Tensor, (B,) bool
        Molecules whose estimate from there the denoiser is told.
    bond_eps : Tensor, (E, K), optional
        As ``eps``, of bonds that have noise; the same for both directions of a pair.
    """

    levels: Tensor
    eps: Tensor
    told: Tensor
    bond_eps: Tensor | None = None

    def to(self, device: torch.device | str) -> EarlierState:
        """The same on another device."""
        bond_eps = None if self.bond_eps is None else self.bond_eps.to(device)
        levels, eps, told, _ = self
        return EarlierState(levels.to(device), eps.to(device), told.to(device), bond_eps)


@dataclass(frozen=True, eq=False)
class DiffusionProcess(Estimator):
    """Positions and features under noise whose level each atom has for itself.

    States are flat tensors (A, 3 + F) in variance-exploding form, ``w = x + tau eps``: positions in
    Angstrom first, then scaled features.

    Attributes
    ----------
    schedule : NoiseSchedule
    frame : Frame
        How translations are dealt with.
    features : FeatureTarget
        What the denoiser says about features.
    positions : PositionTarget
        What it says about positions.
    level_features : str
        How the denoiser is told an atom's level, see `LEVEL_FEATURES`.
    self_conditioning : bool
        The denoiser is also told the previous estimate of the clean data: its features, and its
        positions as the reference whose distances it sees.
    composition : bool
        Every node is also told sums over its molecule: of what the feature target makes of noisy
        features (for types, the number of atoms of each kind as far as it shows) and of the
        features of the previous estimate. A denoiser whose nodes take means over the others could
        not count.
    composition_weight : float
        Weight of the feature target's composition error in the loss. 0 without one.
    symmetry : Symmetry
        What the loss makes of it that a molecule may be turned in any way. Only with a frame that
        is exact at unequal levels.
    channel_levels : bool
        The denoiser is told the level of an atom's kind beside that of its position.
    bonds : bool
        The denoiser is told what is known of the bonds and says the rest (see `bonds`).
    bond_weight : float
        Weight in the loss of the cross-entropy of a molecule's bonds.
    direct : DirectObjective, optional
        What the positions' error is instead of that of their noise. It is not told its earlier
        estimates of bonds.
    stereo : bool
        The denoiser is told what is given of the stereo (see `stereo`).
    bond_noise : BondNoise, optional
        Bonds that are not given have noise (see `bond_noise`): the denoiser is told what noisy rows
        of pairs say, too, and says what the rest of the molecule does.

    References
    ----------
    Self-conditioning: Chen et al. (Analog Bits), arXiv:2208.04202, sec. 3.2.
    """

    schedule: NoiseSchedule
    frame: Frame
    features: FeatureTarget = NoiseTarget()
    positions: PositionTarget = PositionNoise()
    level_features: str = "linear"
    self_conditioning: bool = False
    composition: bool = False
    composition_weight: float = 0.0
    symmetry: Symmetry = NoSymmetry()
    channel_levels: bool = False
    bonds: bool = False
    bond_weight: float = 1.0
    direct: DirectObjective | None = None
    stereo: bool = False
    bond_noise: BondNoise | None = None

    def to(self, device: torch.device | str) -> DiffusionProcess:
        """The same process with its tables on another device."""
        return replace(self, schedule=self.schedule.to(device), features=self.features.to(device))

    def draw_noise(self, eps: Tensor, layout: AtomLayout) -> Tensor:
        """The noise of the process from independent standard normal draws (A, 3 + F)."""
        noise_x = self.frame.noise(channel(eps, "positions"), layout)
        return joined(noise_x, channel(eps, "kinds"))

    def add_noise(self, clean: Tensor, levels: Tensor, noise: Tensor) -> Tensor:
        """``w = x + tau eps`` for clean data (A, 3 + F) and levels (A,) or (A, C)."""
        return clean + self._tau_columns(levels, clean) * noise

    def tau_at(self, levels: Tensor) -> Tensor:
        """Noise-to-signal ratios: the schedule's, but 0 at level 0 where that means known."""
        tau = self.schedule.tau_at(levels)
        return torch.where(levels > 0, tau, 0.0) if self.frame.exact else tau

    def _tau_columns(self, levels: Tensor, w: Tensor) -> Tensor:
        """Noise-to-signal ratios to multiply a state with, (A, 1) or (A, 3 + F)."""
        return by_column(self.tau_at(levels).to(w.dtype), w.shape[1])

    def estimate(self, denoiser: Denoiser, asked: Asked) -> Estimate:
        """The denoiser's estimate.

        The denoiser sees variance-preserving features, then what the feature target makes of them
        (nothing where noise is predicted), then what it is told about the level of
        each node (EDM: ``t / T``, the same number for all nodes), then the molecule's row of
        ``context`` (B, K), if there is one.

        Levels are (A,), or (A, C): see `channels`. Frame and position target, and what the denoiser
        is told about levels without ``channel_levels``, go by those of the positions.
        """
        eps_x, h_out, pairs_out = self._outputs(denoiser, asked)
        w = asked.w
        tau = self.schedule.tau_at(level_of(asked.levels, "kinds")).to(w.dtype).unsqueeze(1)
        noise_h = self.features.noise(h_out, channel(w, "kinds"), tau, asked.layout)
        bonds = None if pairs_out is None else bond_probabilities(pairs_out, asked.bonds)
        return Estimate(joined(eps_x, noise_h), bonds)

    def _outputs(self, denoiser: Denoiser, asked: Asked) -> tuple[Tensor, Tensor, Tensor | None]:
        """Estimated noise of the positions (A, 3), and what is said about features and bonds."""
        w, levels, layout, previous = asked.w, asked.levels, asked.layout, asked.previous
        # Every use takes its own view: the order in which gradients add up is part of the bits.
        level_x = level_of(levels, "positions")
        tau, alpha = self.tau_at(level_x), self.schedule.alpha_at(level_x).to(w.dtype)
        level_h, alpha_h = level_x, alpha
        if levels.dim() > 1:
            level_h = level_of(levels, "kinds")
            alpha_h = self.schedule.alpha_at(level_h).to(w.dtype)
        # The smallest noise stands for none where types are weighed against each other.
        tau_h = self.schedule.tau_at(level_h).to(w.dtype).unsqueeze(1)
        x = self.frame.network_input(channel(w, "positions"), tau, alpha, layout)
        level = LEVEL_FEATURES[self.level_features](level_x, self.schedule).to(w.dtype)
        evidence = self.features.evidence(channel(w, "kinds"), tau_h)
        scaled = channel(w, "kinds") * alpha_h.unsqueeze(1)
        inputs, reference = [scaled, evidence, level], None
        if self.channel_levels:
            inputs.append(LEVEL_FEATURES[self.level_features](level_h, self.schedule).to(w.dtype))
        if asked.context is not None:
            inputs.append(layout.expand(asked.context))
        if self.self_conditioning and previous is None:
            estimated = torch.zeros_like(scaled)
            inputs += [estimated, estimated[:, :1]]
        elif self.self_conditioning and previous is not None:
            known = previous[:, :1].isfinite()
            estimated = torch.where(known, channel(previous, "kinds"), 0.0)
            inputs += [estimated, known.to(w.dtype)]
            shown = self.frame.estimate_input(channel(previous, "positions"), alpha, layout)
            reference = torch.where(known, shown, x)
        if self.composition:
            inputs.append(layout.expand(layout.sum(evidence)) * COUNT_SCALE)
            if self.self_conditioning:
                inputs.append(layout.expand(layout.sum(estimated)))
        share = level_x.to(torch.float64) / self.schedule.timesteps
        step, distances = (
            self.frame.step(tau),
            self.frame.pairs(channel(w, "positions"), tau, layout),
        )
        step = None if step is None else step.to(w.dtype)
        of_pairs = [] if distances is None else [distances]
        if self.bonds:
            learned = self.self_conditioning and self.direct is None
            before = asked.previous_bonds if learned else None
            of_pairs.append(told_bonds(asked.bonds, before, layout, w))
        if self.bond_noise is not None:
            of_pairs.append(told_evidence(asked.bonds, layout, w))
        stereo = asked.stereo if self.stereo else None
        if self.stereo:
            of_pairs.append(told_sides(stereo, layout, w))
        pairs = torch.cat(of_pairs, 1) if of_pairs else None
        columns, wanted = torch.cat(inputs, 1), asked.wants_bonds
        seen = Seen(x, columns, layout, reference, share, step, pairs, stereo, wanted)
        out = denoiser(seen)
        dx, h_out = out
        eps_x = self.positions.noise(dx, channel(w, "positions"), tau, layout)
        pairs_out = out.pairs if self.bonds else None
        return self.frame.project(eps_x, tau, layout), h_out, pairs_out

    def loss(
        self,
        denoiser: Denoiser,
        clean: Tensor,
        levels: Tensor,
        eps: Tensor,
        layout: AtomLayout,
        node_weight: Tensor | None = None,
        context: Tensor | None = None,
        earlier: EarlierState | LastEstimate | None = None,
        bonds: Bonds | None = None,
        stereo: Stereo | None = None,
    ) -> Tensor:
        """Denoising loss of each molecule: error of the noise per degree of freedom.

        ``sum_i weight_i (k_i |eps_hat_i - eps_i|^2 + error_i) / ((3 + F) n)`` with the noise of the
        positions, projected by the frame (see `symmetry` for what else it may be compared with),
        the position target's weight k, and the feature target's
        error, which is again a squared error of noise where that is what is predicted. The
        composition error of a molecule, times ``composition_weight``, and the error of its bonds,
        times ``bond_weight``, are added to the sum over its atoms. With the direct objective its
        error takes the place of that of the positions' noise.

        Parameters
        ----------
        denoiser : callable
        clean : Tensor, (A, 3 + F)
        levels : Tensor, (A,) or (A, C)
            What is at level 0 counts nothing in a frame where that means known.
        eps : Tensor, (A, 3 + F)
            Independent standard normal draws.
        layout : AtomLayout
        node_weight : Tensor, (A,), optional
            Weight of each node, 1 by default.
        context : Tensor, (B, K), optional
            What the denoiser is told about each molecule.
        earlier : EarlierState or LastEstimate, optional
            Where the previous estimate comes from that the denoiser is told, in a process with
            self-conditioning, or with the direct objective that estimate. No gradients go through
            it.
        bonds : Bonds, optional
            In a process that knows bonds: those of the clean molecules.
        stereo : Stereo, optional
            In a process that is told: what is given of theirs.

        Returns
        -------
        Tensor, (B,)

        References
        ----------
        EAD, arXiv:2603.10093, eq. 11; the normalisation is EDM's (arXiv:2203.17003, code).
        """
        loss, _ = self.loss_and_estimate(
            denoiser, clean, levels, eps, layout, node_weight, context, earlier, bonds, stereo
        )
        return loss

    def loss_and_estimate(
        self,
        denoiser: Denoiser,
        clean: Tensor,
        levels: Tensor,
        eps: Tensor,
        layout: AtomLayout,
        node_weight: Tensor | None = None,
        context: Tensor | None = None,
        earlier: EarlierState | LastEstimate | None = None,
        bonds: Bonds | None = None,
        stereo: Stereo | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """The loss (B,), and with the direct objective the estimate (A, 3 + F) to be kept."""
        noise = self.draw_noise(eps, layout)
        w = self.add_noise(clean, levels, noise)
        if self.bond_noise is not None and bonds is not None:
            bonds = self.bond_noise.noised(bonds, self._bond_precision(levels, layout))
        asked = Asked(w, levels, layout, context, bonds=bonds, stereo=stereo)
        if isinstance(earlier, LastEstimate):
            asked = asked.replace(
                previous=self._beside(earlier.previous(layout), w, levels, layout)
            )
        elif earlier is not None:
            asked = self._told_earlier(earlier, denoiser, asked)
        eps_x, h_out, pairs_out = self._outputs(denoiser, asked)
        tau = self.tau_at(level_of(levels, "positions"))
        tau_h = self.schedule.tau_at(level_of(levels, "kinds")).to(w.dtype).unsqueeze(1)
        target_x = self.frame.project(channel(noise, "positions"), tau, layout)
        told = h_out, channel(w, "kinds"), tau_h, channel(noise, "kinds")
        missed = self.symmetry.missed(eps_x, target_x, channel(clean, "positions"), tau, layout)
        weight = self.positions.weight(tau).to(w.dtype)
        error_h = self.features.error(*told)
        if self.frame.exact:
            error_h = error_h * (level_of(levels, "kinds") > 0)
        error_x, found = weight * missed.square().sum(1), None
        if self.direct is not None:
            last = earlier if isinstance(earlier, LastEstimate) else None
            noise_h = self.features.noise(h_out, channel(w, "kinds"), tau_h, layout)
            found = self.clean(asked, joined(eps_x, noise_h))
            floating = self._floating(levels, layout)
            error_x, found = self.direct.score(found, clean, last, floating, layout)
        error = error_x + error_h
        if node_weight is not None:
            error = error * node_weight
        error = layout.sum(error)
        if self.composition_weight > 0:
            composition_error = self.features.composition_error(*told, layout)
            error = error + self.composition_weight * composition_error
        if pairs_out is not None and bonds is not None:
            error = error + self.bond_weight * bond_error(pairs_out, bonds, layout)
        return error / (layout.counts.to(clean.dtype) * clean.shape[1]), found

    def _bond_precision(self, levels: Tensor, layout: AtomLayout) -> Tensor:
        """What noisy rows of pairs are worth, (E,), where the levels 0 are what is known."""
        assert self.bond_noise is not None
        known = self.tau_at(levels) == 0
        known = known if known.dim() == 1 else known.all(1)
        return self.bond_noise.precision(levels, known, self.schedule, layout)

    def _floating(self, levels: Tensor, layout: AtomLayout) -> Tensor:
        """Molecules (B,) bool of which no position is known."""
        return layout.min(self.tau_at(level_of(levels, "positions"))) > 0

    def _beside(self, state: Tensor, w: Tensor, levels: Tensor, layout: AtomLayout) -> Tensor:
        """A state (A, 3 + F) around the centre of ``w`` where molecules float."""
        apart = layout.mean(channel(w, "positions")) - layout.mean(channel(state, "positions"))
        floating = self._floating(levels, layout).unsqueeze(1)
        return shifted(state, layout.expand(torch.where(floating, apart, 0.0)))

    @torch.no_grad()
    def _told_earlier(self, earlier: EarlierState, denoiser: Denoiser, asked: Asked) -> Asked:
        """The question with the estimate from a noisier state, where it is told."""
        w, layout = asked.w, asked.layout
        noise = self.draw_noise(earlier.eps, layout)
        states = asked.levels, earlier.levels
        tau_s, tau_t = (by_column(self.tau_at(levels), w.shape[1]) for levels in states)
        before = asked.replace(w=forward_step(w, tau_s, tau_t, noise), levels=earlier.levels)
        if self.bond_noise is not None and asked.bonds is not None and earlier.bond_eps is not None:
            u_s, u_t = (self._bond_precision(levels, layout) for levels in states)
            noisier = self.bond_noise.noisier(asked.bonds, u_s, u_t, earlier.bond_eps)
            before = before.replace(bonds=noisier)
        found = self.estimate(denoiser, before)
        told = layout.expand(earlier.told).unsqueeze(1)
        asked = asked.replace(
            previous=torch.where(told, self.clean(before, found.noise), torch.nan)
        )
        if found.bonds is None:
            return asked
        bonds = torch.where(told[layout.pairs.first], found.bonds, torch.nan)
        return asked.replace(previous_bonds=bonds)
