"""What is drawn for a batch: dummy atoms, hidden conditions, levels, noise; reproducibly."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from deepchem_ead.diffusion import (
    BOND_KINDS,
    AtomLayout,
    Bonds,
    EarlierState,
    Shown,
    Stereo,
    among,
    bonds_of_pairs,
    channel,
    random_turns,
    sample_levels,
    stereo_of,
    turn,
    unordered,
)
from deepchem_ead.generator.config import EADConfig
from deepchem_ead.generator.encoding import EncodedMolecules
from deepchem_ead.tasks import TaskMixture, TrainingBatch

#: How much noisier, as a share of all levels, the state of an earlier estimate is at most.
EARLIER_SHARE = 0.04

#: What the numbers of a step depend on beside the seed: the number of the step, or a generator of
#: the device on which they are needed, which its owner has seeded for the step.
Key = int | torch.Generator


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


def noised(encoded: EncodedMolecules, config: EADConfig, key: Key, equivariant: bool) -> dict:
    """What `EADNetwork.forward` takes of a training batch, but for what molecules are told.

    Wherever the molecules lie: nothing here waits for their device if ``key`` is its generator.

    Parameters
    ----------
    encoded : EncodedMolecules
    config : EADConfig
    key : int or torch.Generator
        See `Key`.
    equivariant : bool
        Of the denoiser; one that is not is trained on molecules turned at random.
    """
    levels, eps, bonded = training_noise(encoded, config, key)
    earlier = training_earlier(encoded, levels, config, key)
    turns = None if equivariant else random_turns(encoded.layout, _generator(config, key, 4))
    clean = encoded.clean if turns is None else turn(encoded.clean, turns, encoded.layout)
    return {
        "clean": clean,
        "turns": turns,
        "levels": levels,
        "eps": eps,
        "earlier": earlier,
        "told": training_told(encoded, config, key),
        "layout": encoded.layout,
        "node_weight": node_weights(encoded.is_dummy, config),
        "bonds": training_bonds(encoded, bonded, training_bond_eps(encoded, config, key)),
        # Of what is seen: turns may be mirrored.
        "stereo": training_stereo(replace(encoded, clean=clean), bonded, config, key),
    }


def training_noise(
    encoded: EncodedMolecules, config: EADConfig, key: Key
) -> tuple[Tensor, Tensor, Tensor]:
    """What is drawn for a batch depends on seed and step only.

    So a training run needs no state of a random generator to be continued.

    Returns
    -------
    levels : Tensor, (A,) or (A, C)
    eps : Tensor, (A, 3 + F)
        Standard normal.
    bonded : Tensor, (A,) bool
        Atoms among which bonds are given.
    """
    generator = _generator(config, key)
    levels = _draw_levels(encoded.layout, encoded.is_dummy, config, generator)
    clean = encoded.clean
    eps = torch.randn(clean.shape, generator=generator, device=clean.device)
    batch = TrainingBatch(clean, levels, encoded.is_dummy, encoded.layout)
    mixture = TaskMixture.read(config.tasks)
    levels, bonded = mixture.draw_for(batch, _generator(config, key, 5))
    return levels, eps, bonded


def training_bonds(encoded: EncodedMolecules, bonded: Tensor, eps: Tensor | None) -> Bonds | None:
    """The bonds of a batch, given among these atoms (A,) bool; None in a model without bonds.

    ``eps`` (E, K) is drawn for their noise, in a model where they have some.
    """
    if encoded.bonds is None:
        return None
    kinds = bonds_of_pairs(encoded.bonds, encoded.layout)
    return Bonds(kinds, among(bonded, encoded.layout) & (kinds >= 0), eps=eps)


def training_bond_eps(encoded: EncodedMolecules, config: EADConfig, key: Key) -> Tensor | None:
    """What is drawn for the noise of bonds, (E, K), depends on seed and step only."""
    if not config.bond_noise:
        return None
    return _drawn_for_pairs(encoded.layout, _generator(config, key, 7))


def evaluation_bond_eps(
    encoded: EncodedMolecules, config: EADConfig, rows: np.ndarray
) -> Tensor | None:
    """As `training_bond_eps`; what is drawn for a molecule depends on seed and row only."""
    if not config.bond_noise:
        return None
    drawn = zip(rows[encoded.order].tolist(), encoded.layout.counts.tolist(), strict=True)
    return torch.cat(
        [
            _drawn_for_pairs(AtomLayout.from_counts([n]), keyed_generator(config.seed, row, 7))
            for row, n in drawn
        ]
    )


def _drawn_for_pairs(layout: AtomLayout, generator: torch.Generator) -> Tensor:
    """Standard normal numbers (E, K), the same for both directions of a pair."""
    numbers = unordered(layout)
    shape = len(numbers) // 2, len(BOND_KINDS)
    return torch.randn(shape, generator=generator, device=numbers.device)[numbers]


def training_stereo(
    encoded: EncodedMolecules, bonded: Tensor, config: EADConfig, key: Key | None
) -> Stereo | None:
    """What is told of the stereo of a batch whose bonds are given among these atoms (A,) bool.

    Tags are what the molecules are, and every atom that may be a centre has one, whether its
    neighbours differ or not: what a tag means is the same. In half of the molecules all are told,
    in the others a random share, as graphs do not always specify everything. It depends on seed and
    step only; without a key all are told. None in a model that is told nothing.
    """
    if encoded.centres is None or encoded.bonds is None:
        return None
    layout, shown = encoded.layout, None
    if key is not None:
        generator = _generator(config, key, 6)
        device = encoded.clean.device
        draws = torch.rand(layout.n_nodes, generator=generator, device=device)
        share = 2 * torch.rand(layout.n_molecules, generator=generator, device=device)
        shown = Shown(share.clamp_max(1), draws)
    positions = channel(encoded.clean, "positions")
    return stereo_of(positions, encoded.bonds, encoded.centres, layout, bonded, shown)


def training_earlier(
    encoded: EncodedMolecules, levels: Tensor, config: EADConfig, key: Key
) -> EarlierState | None:
    """Where the estimate comes from that a self-conditioned network is told in this step.

    None in half of the steps, so that the network can do without; it saves time to draw this for
    the whole batch. The host of a device's generator cannot know it: half of the molecules of
    every batch are told then. It depends on seed and step only.
    """
    if not config.self_conditioning or config.objective == "direct":
        return None
    generator = _generator(config, key, 3)
    n, device = encoded.layout.n_molecules, encoded.clean.device
    tells, ahead = torch.rand(2, n, generator=generator, device=device)
    if isinstance(key, int):
        if tells[0] < 0.5:
            return None
        tells = torch.ones(n)
    levels = earlier_levels(levels, encoded.layout, ahead, config)
    eps = torch.randn(encoded.clean.shape, generator=generator, device=device)
    bond_eps = _drawn_for_pairs(encoded.layout, generator) if config.bond_noise else None
    return EarlierState(levels, eps, tells >= 0.5, bond_eps)


def training_told(encoded: EncodedMolecules, config: EADConfig, key: Key) -> Tensor | None:
    """Molecules (B,) bool that are told their last estimate, with the direct objective: half.

    It depends on seed and step only.
    """
    if config.objective != "direct":
        return None
    generator, n = _generator(config, key, 6), encoded.layout.n_molecules
    return torch.rand(n, generator=generator, device=encoded.clean.device) < 0.5


def earlier_levels(levels: Tensor, layout: AtomLayout, ahead: Tensor, config: EADConfig) -> Tensor:
    """Levels of a state a sampler may come from to ``levels``, (A,) or (A, C).

    All atoms of a molecule are ``EARLIER_SHARE u^2`` of the levels further up, whole numbers, for
    uniform draws u (``ahead``, (B,)): few levels, as in a run of many steps, more often than many.
    What is at level 0 where that can mean known has been there before.
    """
    further = ((EARLIER_SHARE * config.timesteps + 1) * ahead.square()).floor().to(levels.dtype)
    further = layout.expand(further)
    further = further.unsqueeze(1) if levels.dim() > 1 else further
    earlier = (levels + further).clamp_max(config.timesteps)
    if config.frame == "preconditioned" or not TaskMixture.read(config.tasks).is_free:
        earlier = earlier.masked_fill(levels == 0, 0)
    return earlier


def evaluation_noise(
    encoded: EncodedMolecules, config: EADConfig, rows: np.ndarray
) -> tuple[Tensor, Tensor, Tensor]:
    """What is drawn for each molecule depends on seed and row in the dataset only.

    Parameters
    ----------
    rows : ndarray, (B,) int64
        Row of each input molecule in its dataset.

    Returns
    -------
    levels : Tensor, (A,) or (A, C)
    eps : Tensor, (A, 3 + F)
    bonded : Tensor, (A,) bool
        Atoms among which bonds are given.
    """
    levels, eps, bonded, mixture = [], [], [], TaskMixture.read(config.tasks)
    layout, width = encoded.layout, encoded.clean.shape[1]
    ends = (layout.starts + layout.counts).tolist()
    for row, start, end in zip(rows[encoded.order], layout.starts.tolist(), ends, strict=True):
        generator = keyed_generator(config.seed, int(row))
        dummy = None if encoded.is_dummy is None else encoded.is_dummy[start:end]
        layout = AtomLayout.from_counts([end - start])
        drawn = _draw_levels(layout, dummy, config, generator)
        eps.append(torch.randn((end - start, width), generator=generator))
        batch = TrainingBatch(encoded.clean[start:end], drawn, dummy, layout)
        key = keyed_generator(config.seed, int(row), 5)
        of_task, given = mixture.draw_for(batch, key)
        levels.append(of_task)
        bonded.append(given)
    return torch.cat(levels), torch.cat(eps), torch.cat(bonded)


def _draw_nodes(
    counts: np.ndarray, config: EADConfig, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    fixed = rng.random(len(counts)) < config.p_fixed_size
    most = config.most_nodes(counts)
    padded = most if config.dummy_padding == "full" else rng.integers(counts, most, endpoint=True)
    return np.where(fixed, counts, padded), fixed


def node_weights(is_dummy: Tensor | None, config: EADConfig) -> Tensor | None:
    """Weight of each node (A,) in the loss; None if all have the weight 1."""
    if is_dummy is None or config.dummy_weight == 1:
        return None
    return torch.where(is_dummy, config.dummy_weight, 1.0)


def _generator(config: EADConfig, key: Key, *kind: int) -> torch.Generator:
    return key if isinstance(key, torch.Generator) else keyed_generator(config.seed, key, *kind)


def keyed_generator(*key: int) -> torch.Generator:
    """A generator whose numbers depend on the key only."""
    return torch.Generator().manual_seed(seed_of(*key))


def seed_of(*key: int) -> int:
    """A seed that depends on the key only."""
    # PyTorch's CPU generator uses 32 bits of its seed, so the key has to be hashed into them.
    return int(np.random.SeedSequence(key).generate_state(1)[0])


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
