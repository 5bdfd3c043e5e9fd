"""Schedules, steppers and repeat rules by name.

A text may hold options, ``"adaptive:window=3"``, and other packages can register parts of their own
(`deepchem_ead.registry`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from deepchem_ead.parts import make_part
from deepchem_ead.registry import Registry
from deepchem_ead.sampling.adaptive import AdaptiveSchedule
from deepchem_ead.sampling.churn import ChurnStepper
from deepchem_ead.sampling.direct import DirectStepper
from deepchem_ead.sampling.dpm_solver_2s import DPMSolverSinglestep
from deepchem_ead.sampling.heun import HeunStepper
from deepchem_ead.sampling.quotient import QuotientSDEStepper, QuotientStepper
from deepchem_ead.sampling.random_coin import RandomCoinSchedule
from deepchem_ead.sampling.repeat import RepeatRule, hold, langevin, literal, renoise, repaint
from deepchem_ead.sampling.replay import ReplaySchedule
from deepchem_ead.sampling.rtk import RTKLangevinStepper, RTKStepper, RTKUnderdampedStepper
from deepchem_ead.sampling.settled_first import SettledFirstSchedule
from deepchem_ead.sampling.staircase import StaircaseSchedule
from deepchem_ead.sampling.state import Schedule
from deepchem_ead.sampling.steppers import DPMSolverStepper, EtaStepper, Stepper
from deepchem_ead.sampling.synchronous import SynchronousSchedule

SCHEDULES: Registry[Callable[..., Schedule]] = Registry(
    "schedule",
    {
        "synchronous": SynchronousSchedule,
        "staircase": StaircaseSchedule,
        "adaptive": AdaptiveSchedule,
        "settled-first": SettledFirstSchedule,
        "random-coin": RandomCoinSchedule,
        "replay": ReplaySchedule,
    },
)

STEPPERS: Registry[Stepper | Callable[..., Stepper]] = Registry(
    "stepper",
    {
        "ancestral": EtaStepper(1.0),
        "ddim": EtaStepper(0.0),
        "dpm++2m": DPMSolverStepper(),
        "dpm++2s": DPMSolverSinglestep(),
        "heun": HeunStepper(),
        "churn": ChurnStepper(),
        "rtk": RTKStepper(),
        "rtk-ula": RTKLangevinStepper(),
        "rtk-uld": RTKUnderdampedStepper(),
        "quotient": QuotientStepper(1.0),
        "quotient-ddim": QuotientStepper(0.0),
        "quotient-sde": QuotientSDEStepper(),
        "direct": DirectStepper(),
    },
)

REPEAT_RULES: Registry[RepeatRule | Callable[..., RepeatRule]] = Registry(
    "repeat_rule",
    {rule.__name__: rule for rule in (literal, repaint, hold, langevin, renoise)},
)


def resolve_schedule(
    schedule: str | Schedule, defaults: Mapping[str, Any] | None = None
) -> Schedule:
    """The schedule of this name, or the object itself.

    ``defaults`` are values of options that the text does not give, where the schedule has them.
    """
    if isinstance(schedule, str) and schedule.partition(":")[0].strip() == "replay":
        raise ValueError("a replay needs levels: pass ReplaySchedule(levels) instead of its name")
    found: Schedule = _resolve(schedule, SCHEDULES, lambda part: hasattr(part, "begin"), defaults)
    return found


def resolve_stepper(stepper: str | Stepper, defaults: Mapping[str, Any] | None = None) -> Stepper:
    """The stepper of this name, or the object itself."""
    found: Stepper = _resolve(stepper, STEPPERS, lambda part: hasattr(part, "begin"), defaults)
    return found


def resolve_repeat_rule(repeat_rule: str | RepeatRule) -> RepeatRule:
    """The repeat rule of this name, or the function itself."""
    found: RepeatRule = _resolve(repeat_rule, REPEAT_RULES, callable)
    return found


def _resolve(
    value: Any,
    registry: Registry[Any],
    fits: Callable[[Any], bool],
    defaults: Mapping[str, Any] | None = None,
) -> Any:
    if isinstance(value, str):
        value = make_part(registry, value, defaults)
    elif isinstance(value, type):
        value = value()
    if not fits(value):
        names = ", ".join(registry)
        raise ValueError(f"{registry.what} must be one of {names} or an object, not {value!r}")
    return value
