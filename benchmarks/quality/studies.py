"""Which runs a study of the schedules compares.

A run that several studies need has the same name in all of them, so that its molecules are made
once for all studies in one folder.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import NamedTuple

from benchmarks.parts import Runs
from deepchem_ead.generator.config import EADConfig
from deepchem_ead.sampling import (
    REPEAT_RULES,
    AdaptiveSchedule,
    RandomCoinSchedule,
    SettledFirstSchedule,
    StaircaseSchedule,
)
from deepchem_ead.sampling.velocities import VELOCITIES

TITLES = {
    AdaptiveSchedule: "adaptive",
    RandomCoinSchedule: "random coin",
    SettledFirstSchedule: "settled first",
    StaircaseSchedule: "staircase",
}
SYNCHRONOUS = "synchronous"
SYNC_FRACTIONS = (0.0, 0.2, 0.4, 0.6, 0.7, 0.8, 0.9, 0.95)
WINDOWS = (2, 3, 5, 10)
INTERVALS = (3, 9, 15, 29, 58)


class Study(NamedTuple):
    """Runs by name, and the pairs of them whose molecules are compared."""

    runs: Runs
    pairs: list[tuple[str, str]]


class _Builder:
    def __init__(self, config: EADConfig):
        self._interval = config.interval
        self.runs: Runs = {SYNCHRONOUS: {"schedule": "synchronous"}}

    def add(self, kind: type, rule: str | None = "literal", **changed) -> str:
        """Add a run; its name says what differs from the schedule's defaults."""
        options = {"interval": self._interval} | changed
        defaults = {field.name: field.default for field in fields(kind)}
        defaults["interval"] = self._interval
        words = [TITLES[kind]]
        words += [
            name if value is True else f"{name.replace('_', ' ')} {value}"
            for name, value in changed.items()
            if value != defaults[name]
        ]
        run = {"schedule": kind(**options)}
        if rule is not None:
            words.insert(1, rule)
            run["repeat_rule"] = rule
        name = ", ".join(words)
        self.runs[name] = run
        return name


def schedules(config: EADConfig, rule: str) -> Study:
    """Every schedule with the literal rule and with the one that preserves the distribution."""
    build = _Builder(config)
    staircase = build.add(StaircaseSchedule, None)
    pairs = [(staircase, SYNCHRONOUS)]
    for rule in ("literal", "repaint"):
        coin = build.add(RandomCoinSchedule, rule)
        pairs.append((coin, SYNCHRONOUS))
        for name in (
            build.add(AdaptiveSchedule, rule),
            build.add(AdaptiveSchedule, rule, velocity="x0hat"),
            build.add(SettledFirstSchedule, rule),
            build.add(SettledFirstSchedule, rule, reverse=True),
        ):
            pairs += [(name, SYNCHRONOUS), (name, coin)]
    return Study(build.runs, pairs)


def rules(config: EADConfig, rule: str) -> Study:
    """Every repeat rule: adaptive flags, settled atoms first, a coin for each atom or for all."""
    build = _Builder(config)
    pairs = []
    for rule in REPEAT_RULES:
        adaptive, settled, coin = (
            build.add(kind, rule)
            for kind in (AdaptiveSchedule, SettledFirstSchedule, RandomCoinSchedule)
        )
        together = build.add(RandomCoinSchedule, rule, together=True)
        pairs += [(run, SYNCHRONOUS) for run in (coin, adaptive, together)]
        pairs += [(other, coin) for other in (adaptive, settled, together)]
    return Study(build.runs, pairs)


def velocities(config: EADConfig, rule: str) -> Study:
    """Whatever a schedule can look at, against the coin, with the two best repeat rules."""
    build = _Builder(config)
    pairs = []
    for rule in ("literal", "renoise"):
        coin = build.add(RandomCoinSchedule, rule)
        found = [build.add(AdaptiveSchedule, rule, velocity=name) for name in VELOCITIES]
        # Between atoms, fresh noise says nothing.
        found += [
            build.add(SettledFirstSchedule, rule, velocity=name)
            for name in VELOCITIES
            if name != "latent"
        ]
        pairs += [(run, coin) for run in found]
    return Study(build.runs, pairs)


def settled_first(config: EADConfig, rule: str) -> Study:
    """Settled atoms first, and the coin, for several shares of levels done together."""
    build = _Builder(config)
    pairs = []
    for fraction in SYNC_FRACTIONS:
        settled, coin = (
            build.add(kind, rule, sync_fraction=fraction)
            for kind in (SettledFirstSchedule, RandomCoinSchedule)
        )
        pairs += [(settled, SYNCHRONOUS), (settled, coin)]
    return Study(build.runs, pairs)


def _sweep(name: str, values: tuple) -> Callable[[EADConfig, str], Study]:
    def study(config: EADConfig, rule: str) -> Study:
        build = _Builder(config)
        standard = build.add(AdaptiveSchedule, rule)
        found = [build.add(AdaptiveSchedule, rule, **{name: value}) for value in values]
        pairs = [(run, other) for other in (SYNCHRONOUS, standard) for run in found if run != other]
        return Study(build.runs, pairs)

    study.__doc__ = f"The adaptive schedule with {name} of {', '.join(map(str, values))}."
    return study


STUDIES: dict[str, Callable[[EADConfig, str], Study]] = {
    "schedules": schedules,
    "rules": rules,
    "velocities": velocities,
    "settled-first": settled_first,
    "sync-fraction": _sweep("sync_fraction", SYNC_FRACTIONS),
    "window": _sweep("window", WINDOWS),
    "interval": _sweep("interval", INTERVALS),
}
