"""The sections of a configuration that say what is done with a model: training and sampling."""

from __future__ import annotations

from dataclasses import dataclass

from deepchem_ead.diffusion import resolve_symmetry
from deepchem_ead.generator.settings import Settings, structural
from deepchem_ead.optim.clipping import CLIPPING_RULES
from deepchem_ead.optim.rate import DECAYS
from deepchem_ead.parts import make_part
from deepchem_ead.sampling import (
    GRIDS,
    LevelWindow,
    resolve_repeat_rule,
    resolve_schedule,
    resolve_stepper,
)
from deepchem_ead.tasks import TaskMixture

PLACEMENTS = ("auto", "host", "resident")
OBJECTIVES = ("noise", "direct")
#: Without so much of the distance to the data a map that returns what it is told has no loss.
LEAST_GUIDE = 0.1


@dataclass(frozen=True)
class FitOptions(Settings):
    """What every model of this package is trained with.

    Attributes
    ----------
    learning_rate : float
    learning_rate_decay : str
        "none", "cosine": from ``learning_rate`` to zero over one call of ``fit``, or "wsd":
        constant, and to zero in the last 30 % of it (see `optim.rate`).
    warmup_steps : int
        Steps of linear warm-up at the start of ``fit``.
    weight_decay : float
        Of AdamW.
    amsgrad : bool
        AdamW keeps the largest second moments (EDM) instead of the recent ones. Only a new run
        heeds it: a restored optimiser brings its own.
    gradient_clipping : bool
        Clip the gradient's norm.
    batch_size : int
    ema_decay : float
        Decay of the exponential moving average of the weights, which is what generates or
        predicts; 0 does so with the last weights.
    seed : int
        Seed of initial weights, shuffling and training noise.
    """

    learning_rate: float = 1e-4
    learning_rate_decay: str = "none"
    warmup_steps: int = 0
    weight_decay: float = 1e-12
    amsgrad: bool = True
    gradient_clipping: bool = structural(True, may_widen=True)
    batch_size: int = 64
    ema_decay: float = 0.9999
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check(
            positive=("learning_rate", "batch_size"),
            not_negative=("warmup_steps", "weight_decay", "seed"),
            shares=("ema_decay",),
            choices={"learning_rate_decay": DECAYS},
        )


@dataclass(frozen=True)
class TrainingOptions(FitOptions):
    """What a generator is trained with beyond `FitOptions`.

    Attributes
    ----------
    objective : str
        "noise": the squared error of the noise (EDM, EAD). "direct": a map from noise to data that
        is applied to its own results (DDDM, see `deepchem_ead.diffusion.direct`).
    guide_floor, huber_width : float
        Of the direct objective: least weight of the distance to the clean molecule, at least 0.1,
        and the distance (Angstrom) below which distances are squared. With a weight below 1/2 an
        estimate that is wrong moves at most ``width u / sqrt(1 - 2 u)`` from one pass to the next.
    tasks : str
        What it learns to be asked for, "free" or a mixture such as "free=0.6,edit=0.4", of which
        each molecule draws one: names in `deepchem_ead.tasks.TASKS` and their shares.
    clipping_rule : str
        Where the gradient's norm is clipped: "edm", at 1.5 times the mean plus 2 standard
        deviations of the last 50 steps, or "median", at twice their median (see
        `optim.clipping`).
    placement : str
        Where training molecules lie. "host": they are read and encoded batch by batch, every one
        once an epoch. "resident": all of them stay on the device, in batches that all have one
        shape (see `ResidentMolecules`). "auto": resident on a GPU where that fits, host elsewhere:
        on a CPU it is as fast. A run that goes on stays where it began.
    dummy_weight : float
        Weight of dummy atoms in the loss.
    composition_weight : float
        Weight in the loss of the squared error of the expected numbers of atoms of each type.
    bond_weight : float
        Weight in the loss of the cross-entropy of bonds, of a model that knows bonds.
    symmetry : str
        What the loss makes of it that a molecule may be turned in any way: "none" (EDM, EAD);
        "quotient", errors that a rotation explains do not count (quotient-space diffusion);
        "averaged", the target is a mean over all orientations; "kabsch", the clean molecule is
        aligned first. See `deepchem_ead.diffusion.symmetry`. Not with ``frame="edm"``.
    """

    objective: str = "noise"
    guide_floor: float = 0.5
    huber_width: float = 0.05
    tasks: str = "free"
    clipping_rule: str = "edm"
    placement: str = "auto"
    dummy_weight: float = 1.0
    composition_weight: float = 0.0
    bond_weight: float = 0.2
    symmetry: str = "none"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check(
            positive=("huber_width",),
            not_negative=("dummy_weight", "composition_weight", "bond_weight"),
            choices={
                "objective": OBJECTIVES,
                "clipping_rule": CLIPPING_RULES,
                "placement": PLACEMENTS,
            },
        )
        if not LEAST_GUIDE <= self.guide_floor <= 1:
            raise ValueError(
                f"guide_floor must lie between {LEAST_GUIDE} and 1, not {self.guide_floor}: with "
                "less, a map that returns the estimate it is told all but has no loss"
            )
        for name, resolve in (("tasks", TaskMixture.read), ("symmetry", resolve_symmetry)):
            try:
                resolve(getattr(self, name))
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from None


@dataclass(frozen=True)
class SamplingDefaults(Settings):
    """How the model generates unless ``generate`` is told otherwise.

    Attributes
    ----------
    sampling_schedule, repeat_rule, stepper : str
        Which atoms lose their noise when, what a stalled atom does, and how an atom gets from its
        level to the next. Options follow a colon: "random-coin:probability=0.6".
    sizes : str
        Who says how many atoms a molecule has: "free", the model where it knows dummy atoms, or
        "drawn", the training data (given the properties asked for, if there are any).
    closed_shell : bool
        Generated molecules have an even number of electrons.
    noise_scale, autoguidance_scale : float
        These arguments of ``generate``: the former for molecules of given sizes, the latter where
        there is a weak model.
    guidance_levels : str
        Levels at which guidance acts, "200-400"; empty for all.
    sampling_steps : int or str
        Its ``steps``, at most ``timesteps``; 0 is all of these. Or a grid by name.
    """

    sampling_schedule: str = "adaptive"
    repeat_rule: str = "repaint"
    sizes: str = "free"
    closed_shell: bool = False
    noise_scale: float = 1.0
    autoguidance_scale: float = 0.0
    guidance_levels: str = ""
    sampling_steps: int | str = 100
    stepper: str = "ancestral"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check(
            not_negative=("noise_scale", "autoguidance_scale"),
            choices={"sizes": ("free", "drawn")},
        )
        for name, resolve in (
            ("sampling_schedule", resolve_schedule),
            ("repeat_rule", resolve_repeat_rule),
            ("stepper", resolve_stepper),
            ("sampling_steps", _check_steps),
            ("guidance_levels", LevelWindow.read),
        ):
            try:
                resolve(getattr(self, name))
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from None


def _check_steps(steps: int | str) -> None:
    if isinstance(steps, str):
        make_part(GRIDS, steps)
    elif steps < 0:
        raise ValueError(f"must not be negative, not {steps}")
