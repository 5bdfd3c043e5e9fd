"""The one loop that all schedules, steppers and repeat rules share."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from deepchem_ead.diffusion import AtomLayout, Denoiser, DiffusionProcess
from deepchem_ead.sampling.cohort import Cohort
from deepchem_ead.sampling.grids import Steps
from deepchem_ead.sampling.noise import NoiseSource
from deepchem_ead.sampling.repeat import RepeatRule
from deepchem_ead.sampling.shared_batch import SharedBatch
from deepchem_ead.sampling.start import Start
from deepchem_ead.sampling.state import Schedule
from deepchem_ead.sampling.steppers import Stepper

#: Share of a batch that has to be finished before others take its place.
REFILL_AT = 0.25


class SampleResult(NamedTuple):
    """What came out of a run, and what really happened in it.

    Attributes
    ----------
    states : Tensor, (A, 3 + F)
        Positions (Angstrom, centred on the mean of all nodes) and scaled features.
    n_evaluations : int
        How often the network was called, those of a guidance included.
    levels : Tensor, (n_steps + 1, A), or None
        Levels before each step and at the end, on request; int32 unless some are no integers. There
        is one call for each row, and more if the stepper asks more than once a step.
    molecule_evaluations : Tensor, (B,) int64
        Calls each molecule needed until it was finished, at most ``n_evaluations``.
    bonds : Tensor, (E, K), or None
        Probabilities of the kinds of bonds, of a process that knows bonds.
    """

    states: Tensor
    n_evaluations: int
    levels: Tensor | None
    molecule_evaluations: Tensor
    bonds: Tensor | None = None


@torch.no_grad()
def run_cohorts(
    process: DiffusionProcess,
    denoiser: Denoiser,
    enter: Callable[[Tensor], Cohort | None],
    refill_at: float = REFILL_AT,
) -> Iterator[Cohort]:
    """Denoise cohorts side by side and yield each when it and all before it are finished.

    Every iteration calls the network once, on what each cohort asks for, with the true level of
    every atom. Finished molecules leave the batch, and new cohorts enter it, whenever the share
    ``refill_at`` of the batch's pairs of atoms belongs to finished molecules: rarely enough that
    laying out a batch costs nothing. A molecule's result does not depend on the others if the
    denoiser's does not.

    Parameters
    ----------
    process : DiffusionProcess
    denoiser : callable
    enter : callable
        ``enter(counts)`` returns the next cohort, or None: not now, or no more. ``counts`` (k,)
        int64 are the nodes of each molecule still in the batch. It is asked first of all, and
        whenever the batch is laid out anew; when it returns None to an empty batch, all is done.
    refill_at : float
        In (0, 1]. At 1 molecules leave when all are finished.

    Yields
    ------
    Cohort
        Finished, in the order in which they entered.
    """
    running: deque[Cohort] = deque()
    batch = None
    while True:
        if batch is None or batch.finished_share >= refill_at:
            left = [cohort.layout.counts[cohort.unfinished] for cohort in running]
            cohort = enter(torch.cat(left) if left else torch.empty(0, dtype=torch.int64))
            if cohort is not None:
                running.append(cohort)
            if not running:
                return
            batch = SharedBatch(running)
        batch.advance(process, denoiser)
        while running and running[0].finished:
            yield running.popleft()


@torch.no_grad()
def sample(
    process: DiffusionProcess,
    denoiser: Denoiser,
    layout: AtomLayout,
    n_features: int,
    schedule: str | Schedule = "synchronous",
    stepper: str | Stepper = "ancestral",
    repeat_rule: str | RepeatRule = "literal",
    noise: NoiseSource | None = None,
    steps: Steps | None = None,
    callback: Callable[[dict[str, Any]], None] | None = None,
    record_levels: bool = False,
    progress: Any = None,
    initial_state: Tensor | None = None,
    context: Tensor | None = None,
    start: Start | None = None,
) -> SampleResult:
    """Generate molecules that start and end together.

    Every iteration calls the network once, with the true level of every atom, asks the schedule
    where each atom goes, makes the transitions (for which some steppers call the network again),
    applies the repeat rule to stalled atoms and puts molecules that moved back on their centre.
    Atoms at level 0 do not change any more, and molecules with such atoms stay where they are. When
    all atoms are at level 0 the last evaluation decodes them.

    Parameters
    ----------
    process : DiffusionProcess
    denoiser : callable
    layout : AtomLayout
        Nodes of each molecule.
    n_features : int
        Feature columns F.
    schedule, stepper, repeat_rule : str or object
        See `SCHEDULES`, `STEPPERS` and `REPEAT_RULES`. A name may have options:
        ``"ancestral:eta=0.5"``.
    noise : NoiseSource
        Such as `MoleculeNoise`. Numbers are drawn in the same order for every molecule, whatever
        the batch: for the initial state, for decoding, then in each iteration for the transition
        and, in iterations where the schedule may stall atoms, for the repeat rule.
    steps : int, str or sequence of float, optional
        Number of steps, a grid by name or its levels, see `resolve_grid`. Default: all T levels.
    callback : callable, optional
        Called before each step and at the end with a dictionary: ``step`` (from 0), ``n_steps``
        (the most there can be, decoding included), ``n_evaluations`` (of the network so far),
        ``levels`` (A,), ``w`` and ``x_hat`` (A, 3 + F), ``layout``.
    record_levels : bool
        Return the levels.
    progress : object, optional
        ``progress.update(k)`` is called after k evaluations (a tqdm bar, for example).
    initial_state : Tensor, (A, 3 + F), optional
        State ``w`` to start from at the schedule's first levels. Default: ``noise / alpha``, EDM's
        standard normal latent.
    context : Tensor, (B, K), optional
        What the denoiser is told about each molecule besides its atoms.
    start : Start, optional
        What is known of the molecules: it does not move and comes out as it is, to the last bit.
        Molecules some of whose positions are known come out in the frame of these.

    Returns
    -------
    SampleResult

    Raises
    ------
    ValueError
        If an argument is unknown or does not fit the batch.

    References
    ----------
    EAD, arXiv:2603.10093, Algorithm 2; EDM, arXiv:2203.17003, Algorithm 2. As in EDM's code
    decoding adds noise of level 0 to the estimated positions and reads features off the state at
    level 0.
    """
    if noise is None:
        raise ValueError("noise is required: pass MoleculeNoise(seed, indices, layout.counts)")

    reported = 0

    def report(step: dict[str, Any]) -> None:
        nonlocal reported
        if callback is not None:
            callback(step)
        if progress is not None:
            progress.update(step["n_evaluations"] - reported)
        reported = step["n_evaluations"]

    cohort = Cohort(
        process, layout, n_features, noise, schedule, stepper, repeat_rule, steps, context, report,
        record_levels, initial_state, start,
    )  # fmt: skip
    waiting = iter([cohort])
    for _ in run_cohorts(process, denoiser, lambda counts: next(waiting, None), refill_at=1.0):
        pass
    return SampleResult(
        cohort.decode(), cohort.calls, cohort.visited_levels(), cohort.n_evaluations,
        cohort.bonds_hat,
    )  # fmt: skip
