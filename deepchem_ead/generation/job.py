"""From a trained network to molecules, in a batch that is kept full."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from tqdm.auto import tqdm

from deepchem_ead.chem.molecules import MoleculeBatch
from deepchem_ead.diffusion import AtomLayout
from deepchem_ead.generation.given import Given
from deepchem_ead.generation.options import SamplingOptions
from deepchem_ead.generation.request import Request
from deepchem_ead.generation.sizes import check_memory, finds_size, node_counts
from deepchem_ead.generator.config import EADConfig
from deepchem_ead.generator.trained import Generator
from deepchem_ead.parts import read_part
from deepchem_ead.sampling import (
    SCHEDULES,
    Cohort,
    MoleculeNoise,
    RepeatRule,
    Schedule,
    Stepper,
    resolve_grid,
    resolve_repeat_rule,
    resolve_schedule,
    resolve_stepper,
    run_cohorts,
)
from deepchem_ead.sampling.grids import Steps

#: Pairs of atoms computed at once by default: 128 molecules of 29 atoms.
PAIRS_PER_BATCH = 128 * 29**2
#: On a GPU, which has done the work of so few before its next kernel is launched. With a guide,
#: which needs gradients, that should take some GiB.
GPU_PAIRS_PER_BATCH = 8 * PAIRS_PER_BATCH
#: Shares of a batch that come first where molecules are to be kept early.
FIRST_SHARES = (1 / 8, 1 / 4, 1 / 2)


def best_batch(device: torch.device) -> int:
    """Pairs of atoms computed at once by default."""
    return PAIRS_PER_BATCH if device.type == "cpu" else GPU_PAIRS_PER_BATCH


@dataclass(frozen=True)
class GenerationSettings:
    """Resolved `SamplingOptions`: how each step is made, and of how many atoms.

    Besides these there are ``noise``, seed and number of each molecule's random numbers, where they
    are not ``seed`` and the molecule's number in the job; and ``graphs``: whether bonds and charges
    are decoded.
    """

    schedule: Schedule
    stepper: Stepper
    repeat_rule: RepeatRule
    steps: Steps
    seed: int
    batch_size: int | None
    record_levels: bool
    n_atoms: int | Sequence[int] | str | None = None
    start: Given | None = None
    noise: Sequence[tuple[int, int]] | None = None
    graphs: bool = True

    @classmethod
    def resolve(
        cls, config: EADConfig, options: SamplingOptions | None = None
    ) -> GenerationSettings:
        """Check options and fill in what the configuration says.

        A schedule given by name uses the interval C the model was trained with.
        """
        options = options or SamplingOptions()
        batch_size, steps, seed = options.batch_size, options.steps, options.seed
        if batch_size is not None and batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, not {batch_size}")
        if options.start is not None and not isinstance(options.start, Given):
            raise ValueError(
                f"start is a {type(options.start).__name__}, and generate() takes a Given: "
                "edit(mol, keep=...) builds around a part of a molecule, vary(mol) finds neighbours"
            )
        if steps is None:
            steps = config.sampling_steps or config.timesteps
            steps = min(steps, config.timesteps) if isinstance(steps, int) else steps
        if not isinstance(steps, int | str):
            steps = [float(level) for level in steps]
        resolve_grid(steps, config.make_noise_schedule())  # refuses what is none
        if seed is None:
            seed = int(np.random.SeedSequence().generate_state(1)[0])
        elif seed < 0:
            raise ValueError(f"seed must not be negative, not {seed}")
        schedule = config.sampling_schedule if options.schedule is None else options.schedule
        resolved = resolve_schedule(schedule, {"interval": config.interval})
        stepper, noise_scale = options.stepper, options.noise_scale
        stepper = config.stepper if stepper is None else stepper
        said = isinstance(stepper, str) and "noise_scale" in read_part(stepper)[1]
        if said and noise_scale is not None:
            raise ValueError(f"noise_scale={noise_scale} and stepper={stepper!r}: give it once")
        stepper = resolve_stepper(stepper)
        _check_objective(config, stepper)
        free = finds_size(config, options.n_atoms)
        other = free or options.start is not None
        if other and options.stepper is None and hasattr(stepper, "gamma"):
            # The configuration's amplified noise is for molecules from nothing, of given sizes:
            # others come out smaller, or further from what they start from.
            stepper = replace(stepper, gamma=0.0)
        if hasattr(stepper, "noise_scale"):
            # Dummy atoms are the most probable ones: with little noise all atoms become dummies.
            if noise_scale is None and not said and stepper.noise_scale == 1 and not free:
                noise_scale = config.noise_scale
            if noise_scale is not None:
                stepper = replace(stepper, noise_scale=noise_scale)
        elif noise_scale is not None:
            raise ValueError(
                f"noise_scale is a factor of the noise that a stepper adds, and {stepper} adds "
                "none; use stepper='ancestral'"
            )
        return cls(
            resolved,
            stepper,
            resolve_repeat_rule(options.repeat_rule or config.repeat_rule),
            steps,
            int(seed),
            batch_size,
            options.record_levels,
            options.n_atoms,
            options.start,
        )

    def describe(self) -> dict[str, Any]:
        """The settings as plain values."""
        schedule = type(self.schedule)
        return {
            "schedule": SCHEDULES.name_of(schedule) or schedule.__name__,
            "schedule_options": repr(self.schedule),
            "stepper": repr(self.stepper),
            "repeat_rule": getattr(self.repeat_rule, "__name__", repr(self.repeat_rule)),
            "steps": self.steps,
            "seed": self.seed,
        } | ({} if self.start is None else self.start.describe())


def _check_objective(config: EADConfig, stepper: Stepper) -> None:
    """Refuse a stepper for models trained with another objective.

    Raises
    ------
    ValueError
    """
    needed = getattr(stepper, "objective", config.objective)
    if needed != config.objective:
        raise ValueError(
            f"{stepper} takes a model trained with objective={needed!r}, and this one was trained "
            f"with objective={config.objective!r}; use another stepper, or train one, for example "
            "with preset='conformers-qm9-direct'"
        )


class GeneratedPart(NamedTuple):
    """Consecutive molecules of a job, the network evaluations each took, and their levels."""

    molecules: MoleculeBatch
    n_evaluations: np.ndarray
    levels: list[np.ndarray] | None


def generate_batches(
    model: Generator,
    n: int,
    settings: GenerationSettings,
    first: int = 0,
    progress: bool = True,
    callback: Callable[[dict], None] | None = None,
    request: Request | None = None,
    early: bool = False,
) -> Iterator[GeneratedPart]:
    """Generate molecules ``first`` to ``first + n - 1`` of a job, yielding them as they finish.

    Finished molecules leave the batch and waiting ones take their place, so that it stays full
    until none are waiting. Memory is bounded by the batch, whatever n.

    Parameters
    ----------
    model : Generator
    n : int
    settings : GenerationSettings
    first : int
    progress : bool
    callback : callable, optional
        As in `EADModel.generate`.
    request : Request, optional
        Conditions and guidance of the n molecules. Default: none.
    early : bool
        Begin with small batches, so that there are molecules to keep soon. Molecules do not depend
        on the batch.

    Yields
    ------
    GeneratedPart
        In the order of the job.

    Raises
    ------
    ValueError
        At once, for arguments out of range, or if sizes are to be drawn and the model has never
        seen data.
    """
    request = request or Request(model, n)
    indices = np.arange(first, first + n)
    nodes, sizes_fixed = node_counts(
        model, settings.n_atoms, request.values, indices, settings.seed,
        least=None if settings.start is None else settings.start.least(n),
    )  # fmt: skip
    if settings.start is not None:
        settings.start.check(nodes, model.encoding)
    check_memory(model, nodes, settings.batch_size)
    job = _Job(model, settings, indices, nodes, sizes_fixed, request, callback, early)
    return _generate_batches(job, progress)


def _generate_batches(job: _Job, progress: bool) -> Iterator[GeneratedPart]:
    n, network = len(job.indices), job.model.model
    training = network.training
    network.eval()
    job.bar = tqdm(
        total=n,
        desc="generating",
        disable=not progress or n == 0,
        dynamic_ncols=True,
        bar_format="{desc} {percentage:3.0f}%|{bar}| {n:.0f}/{total} molecules "
        "[{elapsed}<{remaining}{postfix}]",
    )
    try:
        kept = getattr(network.sampling_denoiser, "weights_kept", nullcontext)
        with job.bar, kept():
            for cohort in run_cohorts(job.process, network.sampling_denoiser, job.enter):
                yield job.decode(cohort)
    finally:
        network.train(training)


@dataclass
class _UnderWay:
    """A cohort's molecules as rows of the job, in the cohort's order, and their progress shown."""

    rows: np.ndarray
    shown: float = 0.0


class _Job:
    """The molecules that wait, those under way, and how finished ones come out."""

    def __init__(
        self,
        model: Generator,
        settings: GenerationSettings,
        indices: np.ndarray,
        nodes: np.ndarray,
        sizes_fixed: bool,
        request: Request,
        callback: Callable[[dict], None] | None,
        early: bool,
    ) -> None:
        #: Parts that are still to be finished before batches have their full size.
        self._small = len(FIRST_SHARES) if early else 0
        self.model, self.settings, self.indices = model, settings, indices
        self.bar: tqdm | None = None  # while molecules are generated
        self._nodes, self._sizes_fixed = nodes, sizes_fixed
        self._request, self._callback = request, callback
        self.process = request.process(sizes_fixed)
        self._pairs = np.cumsum(nodes.astype(np.int64) ** 2)
        self._next = 0
        self._shown = 0.0
        self._under_way: deque[_UnderWay] = deque()

    def enter(self, counts: torch.Tensor) -> Cohort | None:
        """The next cohort: as many molecules as there is room for beside ``counts`` (k,)."""
        first = self._next
        last = min(first + self._room(counts), len(self.indices))
        if last == first:
            return None
        self._next = last
        # Molecules of equal size side by side are computed fastest.
        rows = first + np.argsort(self._nodes[first:last], kind="stable")
        entry = _UnderWay(rows)
        self._under_way.append(entry)
        model, settings, nodes = self.model, self.settings, self._nodes[rows]
        layout, start = AtomLayout.from_counts(nodes, device=model.device), settings.start
        return Cohort(
            self.process,
            layout,
            model.encoding.n_features,
            self._noise(rows),
            settings.schedule,
            settings.stepper,
            settings.repeat_rule,
            settings.steps,
            self._request.context(rows, self._sizes_fixed),
            lambda step: self._report(entry, step),
            settings.record_levels,
            start=None if start is None else start.start(rows, layout, model.encoding),
        )

    def _noise(self, rows: np.ndarray) -> MoleculeNoise:
        settings, seed, numbers = self.settings, self.settings.seed, self.indices[rows]
        if settings.noise is not None:
            seed, numbers = zip(*(settings.noise[row] for row in rows), strict=True)
        return MoleculeNoise(seed, numbers, self._nodes[rows], device=self.model.device)

    def _room(self, counts: torch.Tensor) -> int:
        if self.settings.batch_size is not None:
            return self.settings.batch_size - len(counts)
        done = self._pairs[self._next - 1] if self._next > 0 else 0
        limit = best_batch(self.model.device)
        if self._small:
            limit = int(FIRST_SHARES[-self._small] * limit)
        room = limit - int(counts.square().sum())
        fitting = int(np.searchsorted(self._pairs, done + room, side="right")) - self._next
        # A molecule that is too large for any batch is computed alone.
        return max(fitting, int(len(counts) == 0))

    def _report(self, entry: _UnderWay, step: dict) -> None:
        self._show(entry, len(entry.rows) * (step["step"] + 1) / step["n_steps"])
        if self._callback is not None:
            self._callback(step | {"molecules": self.indices[entry.rows]})

    def _show(self, entry: _UnderWay, shown: float) -> None:
        # Not more than all of them, by rounding: the bar would complain.
        new = min(shown - entry.shown, len(self.indices) - self._shown)
        self.bar.update(new)
        self._shown += new
        entry.shown = shown

    def decode(self, cohort: Cohort) -> GeneratedPart:
        """What became of a cohort; to be called in the order in which they entered."""
        entry = self._under_way.popleft()
        self._small = max(self._small - 1, 0)
        self._show(entry, len(entry.rows))
        rows, back = entry.rows, np.argsort(entry.rows)
        molecules = self._molecules(cohort, rows)[back]
        levels = None
        if self.settings.record_levels:
            traces = cohort.visited_levels().cpu().split(self._nodes[rows].tolist(), dim=1)
            n_rows = cohort.n_steps.cpu().numpy()[back]
            levels = [traces[k][:rows].numpy() for k, rows in zip(back, n_rows, strict=True)]
        n_evaluations = cohort.n_evaluations.cpu().numpy()[back]
        return GeneratedPart(molecules, n_evaluations, levels)

    def _molecules(self, cohort: Cohort, rows: np.ndarray) -> MoleculeBatch:
        """Those of a cohort, in its own order: ``rows`` of the job."""
        encoding, fixed = self.model.encoding, self._sizes_fixed
        states, layout = cohort.decode().cpu(), cohort.layout.to("cpu")
        numbers, positions = encoding.decode(states, layout, fixed, cohort.placed)
        molecules = MoleculeBatch.from_arrays(numbers, positions, info={"sampled": True})
        if not self.settings.graphs:
            return molecules
        bonds = None if cohort.bonds_hat is None else cohort.bonds_hat.cpu()
        start = self.settings.start
        orders = None if start is None else start.orders(rows, layout, encoding)
        totals = None if start is None else start.totals(rows)
        graphs = encoding.decode_graphs(states, bonds, layout, fixed, orders, totals)
        if graphs is None:
            return molecules
        owner = np.repeat(np.arange(len(molecules)), molecules.counts)
        charges = np.bincount(owner, graphs.formal_charges, len(molecules)).astype(np.int64)
        return replace(molecules, charges=charges, graphs=graphs)
