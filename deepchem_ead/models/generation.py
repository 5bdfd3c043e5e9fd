"""From a trained network to molecules, batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from tqdm.auto import tqdm

from deepchem_ead.chem.molecules import MoleculeBatch
from deepchem_ead.diffusion import AtomLayout
from deepchem_ead.models.config import EADConfig
from deepchem_ead.sampling import (
    SCHEDULES,
    MoleculeNoise,
    RepeatRule,
    Schedule,
    Stepper,
    resolve_repeat_rule,
    resolve_schedule,
    resolve_stepper,
    sample,
)

if TYPE_CHECKING:
    from deepchem_ead.models.ead import EADModel

#: Pairs of atoms computed at once by default: 128 molecules of 29 atoms.
PAIRS_PER_BATCH = 128 * 29**2


@dataclass(frozen=True)
class GenerationSettings:
    """Resolved arguments of `EADModel.generate`."""

    schedule: Schedule
    stepper: Stepper
    repeat_rule: RepeatRule
    steps: int
    seed: int
    batch_size: int | None
    record_levels: bool

    @classmethod
    def resolve(
        cls,
        config: EADConfig,
        schedule="adaptive",
        stepper="ancestral",
        repeat_rule=None,
        steps: int | None = None,
        seed: int | None = None,
        batch_size: int | None = None,
        record_levels: bool = False,
    ) -> GenerationSettings:
        """Check the arguments of ``generate`` and fill in what the configuration says.

        A schedule given by name uses the interval C the model was trained with.
        """
        if batch_size is not None and batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, not {batch_size}")
        steps = config.timesteps if steps is None else steps
        if not 1 <= steps <= config.timesteps:
            raise ValueError(f"steps must lie between 1 and {config.timesteps}, not {steps}")
        if seed is None:
            seed = int(np.random.SeedSequence().generate_state(1)[0])
        elif seed < 0:
            raise ValueError(f"seed must not be negative, not {seed}")
        named = isinstance(schedule, str)
        resolved = resolve_schedule(schedule)
        if named and hasattr(resolved, "interval"):
            resolved = replace(resolved, interval=config.interval)
        return cls(
            resolved,
            resolve_stepper(stepper),
            resolve_repeat_rule(repeat_rule or config.repeat_rule),
            steps,
            int(seed),
            batch_size,
            record_levels,
        )

    def describe(self) -> dict[str, Any]:
        """The settings as plain values."""
        names = {cls: name for name, cls in SCHEDULES.items()}
        return {
            "schedule": names.get(type(self.schedule), type(self.schedule).__name__),
            "schedule_options": repr(self.schedule),
            "stepper": repr(self.stepper),
            "repeat_rule": self.repeat_rule.__name__,
            "steps": self.steps,
            "seed": self.seed,
        }


class GeneratedPart(NamedTuple):
    """Consecutive molecules of a job, and what their run took."""

    molecules: MoleculeBatch
    n_evaluations: int
    levels: list[np.ndarray] | None


def generate_batches(
    model: EADModel,
    n: int,
    settings: GenerationSettings,
    n_atoms: int | Sequence[int] | None = None,
    first: int = 0,
    progress: bool = True,
    callback: Callable[[dict], None] | None = None,
) -> Iterator[GeneratedPart]:
    """Generate molecules ``first`` to ``first + n - 1`` of a job, yielding batches as they finish.

    Raises
    ------
    ValueError
        At once, for arguments out of range, or if sizes are to be drawn and the model has never
        seen data.
    """
    if n < 0:
        raise ValueError(f"n must not be negative, not {n}")
    indices = np.arange(first, first + n)
    sizes = _node_counts(model.config, model.model.size_counts, n_atoms, indices, settings.seed)
    pairs = np.mean(sizes.astype(np.float64) ** 2) if n else 1
    batch_size = settings.batch_size or max(1, int(PAIRS_PER_BATCH // pairs))
    # With sizes given or drawn every node is an atom, also in a model that knows dummy atoms.
    sizes_fixed = n_atoms is not None or not model.config.variable_size
    job = (indices, sizes, sizes_fixed, batch_size)
    return _generate_batches(model, settings, *job, progress, callback)


def _generate_batches(
    model, settings, indices, sizes, sizes_fixed, batch_size, progress, callback
) -> Iterator[GeneratedPart]:
    n = len(indices)
    training = model.model.training
    model.model.eval()
    bar = tqdm(
        total=n,
        desc="generating",
        disable=not progress or n == 0,
        dynamic_ncols=True,
        bar_format="{desc} {percentage:3.0f}%|{bar}| {n:.0f}/{total} molecules "
        "[{elapsed}<{remaining}{postfix}]",
    )
    try:
        with bar:
            for start in range(0, n, batch_size):
                batch = slice(start, start + batch_size)
                yield _generate_batch(
                    model, settings, indices[batch], sizes[batch], sizes_fixed, bar, callback
                )
    finally:
        model.model.train(training)


def _generate_batch(model, settings, indices, sizes, sizes_fixed, bar, callback) -> GeneratedPart:
    # Molecules of equal size side by side are computed fastest.
    order = np.argsort(sizes, kind="stable")
    layout = AtomLayout.from_counts(sizes[order], device=model.device)
    done = 0.0

    def on_step(step: dict) -> None:
        nonlocal done
        now = len(sizes) * (step["step"] + 1) / step["n_steps"]
        bar.update(now - done)
        done = now
        if callback is not None:
            callback(step)

    result = sample(
        model.model.process,
        model.model.sampling_denoiser,
        layout,
        model.encoding.n_features,
        settings.schedule,
        settings.stepper,
        settings.repeat_rule,
        MoleculeNoise(settings.seed, indices[order], sizes[order], device=model.device),
        steps=settings.steps,
        callback=on_step,
        record_levels=settings.record_levels,
    )
    bar.update(len(sizes) - done)
    numbers, positions = model.encoding.decode(result.states.cpu(), layout, sizes_fixed)
    molecules = MoleculeBatch.from_arrays(numbers, positions)
    levels = None
    back = np.argsort(order)
    if result.levels is not None:
        traces = result.levels.cpu().split(sizes[order].tolist(), dim=1)
        levels = [traces[k].numpy() for k in back]
    return GeneratedPart(molecules[back], result.n_evaluations, levels)


def _node_counts(
    config: EADConfig, size_counts: torch.Tensor, n_atoms, indices: np.ndarray, seed: int
) -> np.ndarray:
    """Nodes of each molecule: given, all of the model's, or drawn from the histogram."""
    if n_atoms is not None:
        sizes = np.asarray(n_atoms, dtype=np.int64)
        if sizes.ndim > 0 and sizes.shape != indices.shape:
            raise ValueError(f"n_atoms has {sizes.size} entries for {len(indices)} molecules")
        sizes = np.broadcast_to(sizes, indices.shape)
        bad = (sizes < 1) | (sizes > config.max_atoms)
        if bad.any():
            raise ValueError(
                f"n_atoms must lie between 1 and {config.max_atoms} (max_atoms of the model), "
                f"not {sizes[bad][0]}"
            )
        return sizes
    if config.variable_size:
        return np.full(len(indices), config.max_atoms)
    counts = size_counts.cpu().numpy().astype(np.float64)
    if not counts.any():
        raise ValueError(
            "the model has seen no data to draw molecule sizes from; fit it first or pass n_atoms"
        )
    thresholds = np.cumsum(counts) / counts.sum()
    # The third word keeps these draws apart from the molecule's noise.
    draws = [np.random.default_rng([seed, int(i), 1]).random() for i in indices]
    return np.searchsorted(thresholds, draws, side="right")
