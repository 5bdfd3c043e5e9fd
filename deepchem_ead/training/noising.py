"""What is drawn for a batch: dummy atoms, hidden conditions, levels, noise; reproducibly."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from deepchem_ead.diffusion import AtomLayout, EarlierState, sample_levels, turn_at_random
from deepchem_ead.generator.config import EADConfig
from deepchem_ead.generator.encoding import EncodedMolecules

#: How much noisier, as a share of all levels, the state of an earlier estimate is at most.
EARLIER_SHARE = 0.04


def training_nodes(
    counts: np.ndarray, config: EADConfig, step: int
) -> tuple[np.ndarray, np.ndarray]:
    """Nodes of each molecule (B,) and which molecules have no dummy atoms and are flagged so (B,).

    They depend on seed and step only. Only for models of variable size.
    """
    # The last word keeps these draws apart from others of the same seed and step.
    return _draw_nodes(counts, config, np.random.default_rng([config.seed, step, 1]))


def evaluation_nodes(
    counts: np.ndarray, config: EADConfig, rows: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """As `training_nodes`, but each molecule's draw depends on seed and row in the dataset only."""
    drawn = [
        _draw_nodes(counts[k : k + 1], config, np.random.default_rng([config.seed, row, 1]))
        for k, row in enumerate(rows.tolist())
    ]
    nodes, fixed = zip(*drawn, strict=True)
    return np.concatenate(nodes), np.concatenate(fixed)


def training_conditions(n_molecules: int, config: EADConfig, step: int) -> np.ndarray:
    """Which properties each molecule is trained with, (B, P) bool; the others are hidden.

    With the probability ``p_uncond`` none. Otherwise k of the P properties with a probability
    proportional to 1 / k: any subset is seen, and often the few that somebody asks for. It depends
    on seed and step only.
    """
    rng = np.random.default_rng([config.seed, step, 2])
    n_conditions = len(config.condition_names)
    bounds = subset_bounds(n_conditions)
    number = 1 + (rng.random((n_molecules, 1)) >= bounds).sum(1)
    number[rng.random(n_molecules) < config.p_uncond] = 0
    rank = rng.random((n_molecules, n_conditions)).argsort(1).argsort(1)
    return rank < number[:, None]


def subset_bounds(n_conditions: int) -> np.ndarray:
    """Where a uniform draw passes from one number of properties to the next, (P - 1,)."""
    share = 1 / np.arange(1, n_conditions + 1)
    return (share.cumsum() / share.sum())[:-1]


def training_noise(
    encoded: EncodedMolecules, config: EADConfig, step: int
) -> tuple[Tensor, Tensor]:
    """Levels (A,) and standard normal draws (A, 3 + F) that depend on seed and step only.

    So a training run needs no state of a random generator to be continued.
    """
    generator = keyed_generator(config.seed, step)
    levels = _draw_levels(encoded.layout, encoded.is_dummy, config, generator)
    return levels, torch.randn(encoded.clean.shape, generator=generator)


def training_clean(
    encoded: EncodedMolecules, config: EADConfig, step: int, equivariant: bool
) -> Tensor:
    """Clean data (A, 3 + F), turned at random for a network that is not equivariant.

    It depends on seed and step only.
    """
    if equivariant:
        return encoded.clean
    generator = keyed_generator(config.seed, step, 4)
    return turn_at_random(encoded.clean, encoded.layout, generator)


def training_earlier(
    encoded: EncodedMolecules, levels: Tensor, config: EADConfig, step: int
) -> EarlierState | None:
    """Where the estimate comes from that a self-conditioned network is told in this step.

    None in half of the steps, so that the network can do without; it saves time to draw this for
    the whole batch. It depends on seed and step only.
    """
    generator = keyed_generator(config.seed, step, 3)
    n = encoded.layout.n_molecules
    tells, ahead = torch.rand(2, n, generator=generator)
    if not config.self_conditioning or tells[0] < 0.5:
        return None
    levels = earlier_levels(levels, encoded.layout, ahead, config.timesteps)
    eps = torch.randn(encoded.clean.shape, generator=generator)
    return EarlierState(levels, eps, torch.ones(n, dtype=torch.bool))


def earlier_levels(levels: Tensor, layout: AtomLayout, ahead: Tensor, timesteps: int) -> Tensor:
    """Levels (A,) of a state a sampler may come from to ``levels``.

    All atoms of a molecule are ``EARLIER_SHARE u^2`` of the levels further up, whole numbers, for
    uniform draws u (``ahead``, (B,)): few levels, as in a run of many steps, more often than many.
    """
    further = ((EARLIER_SHARE * timesteps + 1) * ahead.square()).floor().to(levels.dtype)
    return (levels + layout.expand(further)).clamp_max(timesteps)


def evaluation_noise(
    encoded: EncodedMolecules, config: EADConfig, rows: np.ndarray
) -> tuple[Tensor, Tensor]:
    """Levels and draws of each molecule that depend on seed and row in the dataset only.

    Parameters
    ----------
    rows : ndarray, (B,) int64
        Row of each input molecule in its dataset.
    """
    levels, eps = [], []
    layout, width = encoded.layout, encoded.clean.shape[1]
    ends = (layout.starts + layout.counts).tolist()
    for row, start, end in zip(rows[encoded.order], layout.starts.tolist(), ends, strict=True):
        generator = keyed_generator(config.seed, int(row))
        dummy = None if encoded.is_dummy is None else encoded.is_dummy[start:end]
        levels.append(_draw_levels([end - start], dummy, config, generator))
        eps.append(torch.randn((end - start, width), generator=generator))
    return torch.cat(levels), torch.cat(eps)


def _draw_nodes(
    counts: np.ndarray, config: EADConfig, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    fixed = rng.random(len(counts)) < config.p_fixed_size
    full = np.full_like(counts, config.max_atoms)
    padded = full if config.dummy_padding == "full" else rng.integers(counts, full, endpoint=True)
    return np.where(fixed, counts, padded), fixed


def node_weights(is_dummy: Tensor | None, config: EADConfig) -> Tensor | None:
    """Weight of each node (A,) in the loss; None if all have the weight 1."""
    if is_dummy is None or config.dummy_weight == 1:
        return None
    return torch.where(is_dummy, config.dummy_weight, 1.0)


def keyed_generator(*key: int) -> torch.Generator:
    """A generator whose numbers depend on the key only."""
    # PyTorch's CPU generator uses 32 bits of its seed, so the key has to be hashed into them.
    return torch.Generator().manual_seed(int(np.random.SeedSequence(key).generate_state(1)[0]))


def _draw_levels(layout, is_dummy, config: EADConfig, generator: torch.Generator) -> Tensor:
    return sample_levels(
        layout,
        config.timesteps,
        config.interval,
        is_dummy,
        config.p_sync,
        generator,
        config.level_power,
    )
