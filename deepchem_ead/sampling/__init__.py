"""Sampling: schedules, steppers and repeat rules in one loop."""

from deepchem_ead.sampling.adaptive import AdaptiveSchedule
from deepchem_ead.sampling.autoguidance import AutoGuidance
from deepchem_ead.sampling.cohort import Cohort
from deepchem_ead.sampling.guidance import (
    ClassifierFreeGuidance,
    GradientGuidance,
    GuidedProcess,
    PropertyGuidance,
    evaluations_of,
)
from deepchem_ead.sampling.loop import SampleResult, run_cohorts, sample
from deepchem_ead.sampling.noise import MoleculeNoise, NoiseSource
from deepchem_ead.sampling.random_coin import RandomCoinSchedule
from deepchem_ead.sampling.registry import (
    SCHEDULES,
    resolve_repeat_rule,
    resolve_schedule,
    resolve_stepper,
)
from deepchem_ead.sampling.repeat import (
    REPEAT_RULES,
    RepeatRule,
    hold,
    langevin,
    literal,
    renoise,
    repaint,
)
from deepchem_ead.sampling.replay import ReplaySchedule
from deepchem_ead.sampling.settled_first import SettledFirstSchedule
from deepchem_ead.sampling.staircase import StaircaseSchedule
from deepchem_ead.sampling.state import SamplerState, Schedule, ScheduleRun, Step, level_grid
from deepchem_ead.sampling.steppers import STEPPERS, DPMSolverStepper, EtaStepper, Stepper
from deepchem_ead.sampling.synchronous import SynchronousSchedule

__all__ = [
    "REPEAT_RULES",
    "SCHEDULES",
    "STEPPERS",
    "AdaptiveSchedule",
    "AutoGuidance",
    "ClassifierFreeGuidance",
    "Cohort",
    "DPMSolverStepper",
    "EtaStepper",
    "GradientGuidance",
    "GuidedProcess",
    "MoleculeNoise",
    "NoiseSource",
    "PropertyGuidance",
    "RandomCoinSchedule",
    "RepeatRule",
    "ReplaySchedule",
    "SampleResult",
    "SamplerState",
    "Schedule",
    "ScheduleRun",
    "SettledFirstSchedule",
    "StaircaseSchedule",
    "Step",
    "Stepper",
    "SynchronousSchedule",
    "evaluations_of",
    "hold",
    "langevin",
    "level_grid",
    "literal",
    "renoise",
    "repaint",
    "resolve_repeat_rule",
    "resolve_schedule",
    "resolve_stepper",
    "run_cohorts",
    "sample",
]
