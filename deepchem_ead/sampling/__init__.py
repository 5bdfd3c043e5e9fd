"""Sampling in one loop: schedules, steppers, repeat rules, and guides such as potentials."""

from deepchem_ead.sampling.adaptive import AdaptiveSchedule
from deepchem_ead.sampling.churn import ChurnStepper
from deepchem_ead.sampling.cohort import Cohort
from deepchem_ead.sampling.direct import DirectStepper
from deepchem_ead.sampling.dpm_solver_2s import DPMSolverSinglestep
from deepchem_ead.sampling.grids import GRIDS, resolve_grid
from deepchem_ead.sampling.guides import (
    GUIDES,
    AutoGuidance,
    ClassifierFreeGuidance,
    GradientGuidance,
    Guide,
    GuidedProcess,
    LevelWindow,
    PropertyGuidance,
    evaluations_of,
)
from deepchem_ead.sampling.heun import HeunStepper
from deepchem_ead.sampling.loop import SampleResult, run_cohorts, sample
from deepchem_ead.sampling.noise import MoleculeNoise, NoiseSource
from deepchem_ead.sampling.quotient import QuotientSDEStepper, QuotientStepper
from deepchem_ead.sampling.random_coin import RandomCoinSchedule
from deepchem_ead.sampling.registry import (
    REPEAT_RULES,
    SCHEDULES,
    STEPPERS,
    resolve_repeat_rule,
    resolve_schedule,
    resolve_stepper,
)
from deepchem_ead.sampling.repeat import RepeatRule, hold, langevin, literal, renoise, repaint
from deepchem_ead.sampling.replay import ReplaySchedule
from deepchem_ead.sampling.rtk import RTKLangevinStepper, RTKStepper, RTKUnderdampedStepper
from deepchem_ead.sampling.settled_first import SettledFirstSchedule
from deepchem_ead.sampling.staircase import StaircaseSchedule
from deepchem_ead.sampling.start import Start
from deepchem_ead.sampling.state import (
    Query,
    SamplerState,
    Schedule,
    ScheduleRun,
    Step,
    Transition,
    level_grid,
)
from deepchem_ead.sampling.steppers import (
    DPMSolverStepper,
    EtaStepper,
    MemorylessStepper,
    MoleculeStepper,
    Stepper,
    StepperRun,
)
from deepchem_ead.sampling.synchronous import SynchronousSchedule

__all__ = [
    "GRIDS",
    "GUIDES",
    "REPEAT_RULES",
    "SCHEDULES",
    "STEPPERS",
    "AdaptiveSchedule",
    "AutoGuidance",
    "ChurnStepper",
    "ClassifierFreeGuidance",
    "Cohort",
    "DPMSolverSinglestep",
    "DPMSolverStepper",
    "DirectStepper",
    "EtaStepper",
    "GradientGuidance",
    "Guide",
    "GuidedProcess",
    "HeunStepper",
    "LevelWindow",
    "MemorylessStepper",
    "MoleculeNoise",
    "MoleculeStepper",
    "NoiseSource",
    "PropertyGuidance",
    "Query",
    "QuotientSDEStepper",
    "QuotientStepper",
    "RTKLangevinStepper",
    "RTKStepper",
    "RTKUnderdampedStepper",
    "RandomCoinSchedule",
    "RepeatRule",
    "ReplaySchedule",
    "SampleResult",
    "SamplerState",
    "Schedule",
    "ScheduleRun",
    "SettledFirstSchedule",
    "StaircaseSchedule",
    "Start",
    "Step",
    "Stepper",
    "StepperRun",
    "SynchronousSchedule",
    "Transition",
    "evaluations_of",
    "hold",
    "langevin",
    "level_grid",
    "literal",
    "renoise",
    "repaint",
    "resolve_grid",
    "resolve_repeat_rule",
    "resolve_schedule",
    "resolve_stepper",
    "run_cohorts",
    "sample",
]
