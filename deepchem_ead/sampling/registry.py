"""Schedules, steppers and repeat rules by name."""

from __future__ import annotations

from typing import Any

from deepchem_ead.sampling.adaptive import AdaptiveSchedule
from deepchem_ead.sampling.random_coin import RandomCoinSchedule
from deepchem_ead.sampling.repeat import REPEAT_RULES, RepeatRule
from deepchem_ead.sampling.replay import ReplaySchedule
from deepchem_ead.sampling.settled_first import SettledFirstSchedule
from deepchem_ead.sampling.staircase import StaircaseSchedule
from deepchem_ead.sampling.state import Schedule
from deepchem_ead.sampling.steppers import STEPPERS, Stepper
from deepchem_ead.sampling.synchronous import SynchronousSchedule

SCHEDULES: dict[str, type] = {
    "synchronous": SynchronousSchedule,
    "staircase": StaircaseSchedule,
    "adaptive": AdaptiveSchedule,
    "settled-first": SettledFirstSchedule,
    "random-coin": RandomCoinSchedule,
    "replay": ReplaySchedule,
}


def resolve_schedule(schedule: str | Schedule) -> Schedule:
    """The schedule of this name with default arguments, or the object itself."""
    found = _resolve("schedule", schedule, SCHEDULES)
    if found is ReplaySchedule:
        raise ValueError("a replay needs levels: pass ReplaySchedule(levels) instead of its name")
    if isinstance(found, type):
        found = found()
    return _require("schedule", found, hasattr(found, "begin"), SCHEDULES)


def resolve_stepper(stepper: str | Stepper) -> Stepper:
    """The stepper of this name, or the object itself."""
    found = _resolve("stepper", stepper, STEPPERS)
    return _require("stepper", found, hasattr(found, "begin"), STEPPERS)


def resolve_repeat_rule(repeat_rule: str | RepeatRule) -> RepeatRule:
    """The repeat rule of this name, or the function itself."""
    found = _resolve("repeat_rule", repeat_rule, REPEAT_RULES)
    return _require("repeat_rule", found, callable(found), REPEAT_RULES)


def _resolve(what: str, value: Any, registry: dict[str, Any]) -> Any:
    if not isinstance(value, str):
        return value
    _require(what, value, value in registry, registry)
    return registry[value]


def _require(what: str, value: Any, valid: bool, registry: dict[str, Any]) -> Any:
    if not valid:
        raise ValueError(f"{what} must be one of {', '.join(registry)} or an object, not {value!r}")
    return value
