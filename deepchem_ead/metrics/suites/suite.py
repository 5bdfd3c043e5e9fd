"""Suites: which checks and numbers make a report, declared in YAML."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from importlib import resources
from inspect import isclass
from pathlib import Path
from typing import Any

import yaml

from deepchem_ead.metrics.checks import CHECKS
from deepchem_ead.metrics.checks.check import Check, require
from deepchem_ead.metrics.comparisons import COMPARISONS
from deepchem_ead.metrics.comparisons.comparison import Comparison
from deepchem_ead.metrics.sets import SETS
from deepchem_ead.metrics.sets.number import SetNumbers
from deepchem_ead.registry import Registry

_SECTIONS = ("checks", "comparisons", "sets")


@dataclass(frozen=True)
class Suite:
    """Checks of molecules, comparisons with a reference, and numbers of sets.

    Attributes
    ----------
    name : str
    checks : tuple of Check
    comparisons : tuple of Comparison
    sets : tuple of SetNumbers
    uncounted : frozenset of str
        Checks and comparisons whose failure is told but leaves a molecule sound.
    """

    name: str
    checks: tuple[Check, ...] = ()
    comparisons: tuple[Comparison, ...] = ()
    sets: tuple[SetNumbers, ...] = ()
    uncounted: frozenset[str] = frozenset()

    @property
    def judging(self) -> tuple[Any, ...]:
        """Checks and comparisons: what fills columns."""
        return (*self.checks, *self.comparisons)

    @property
    def parts(self) -> tuple[Any, ...]:
        """Checks, comparisons and numbers of sets."""
        return (*self.judging, *self.sets)

    def require(self) -> None:
        """Import what its parts need, or raise ImportError, naming it."""
        for part in self.parts:
            require(part.packages, f"{part.name} of the suite {self.name!r}")

    def without_reference(self) -> Suite:
        """Without what compares with molecules of a reference."""
        comparisons = tuple(each for each in self.comparisons if "reference" not in each.needs)
        sets = tuple(each for each in self.sets if "reference" not in each.needs)
        return replace(self, comparisons=comparisons, sets=sets)

    @property
    def of_molecules(self) -> tuple[Check | Comparison, ...]:
        """What fills the columns of molecules: checks, then comparisons."""
        return (*self.checks, *self.comparisons)

    @property
    def features(self) -> tuple[str, ...]:
        """What comparisons and numbers read of the molecules."""
        parts: list[Any] = [*self.comparisons, *self.sets]
        return tuple(dict.fromkeys(name for part in parts for name in part.features))

    @property
    def whole_features(self) -> tuple[str, ...]:
        """What is read of every molecule of the reference."""
        return _of_reference(
            [*self.comparisons, *(each for each in self.sets if each.whole_reference)]
        )

    @property
    def part_features(self) -> tuple[str, ...]:
        """What is read of a sample of the reference."""
        return _of_reference([each for each in self.sets if not each.whole_reference])

    def only_columns(self) -> Suite:
        """Without numbers of sets."""
        return replace(self, sets=())


def _of_reference(parts: Sequence[Any]) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for part in parts:
        if "reference" in part.needs:
            own = part.reference_features
            found.update(dict.fromkeys(part.features if own is None else own))
    return tuple(found)


def load_suite(suite: Any) -> Suite:
    """A suite by its name, from a file, or from its sections.

    Parameters
    ----------
    suite : str, path, mapping or Suite
        "fast", "standard", "full"; a YAML file; or ``{"checks": [...], "comparisons": [...],
        "sets": [...]}``, where an entry is a name, or ``{name: {option: value}}``. The option
        ``counts: false`` of a check says that its failure leaves a molecule sound, and
        ``include: NAME`` that the sections add to another suite.

    Raises
    ------
    ValueError
        Unknown suite, section, part or option; says which there are.
    FileNotFoundError
        If there is no such file.
    """
    if isinstance(suite, Suite):
        return suite
    if isinstance(suite, Mapping):
        return _build("given", suite)
    path = Path(suite)
    if path.suffix in (".yaml", ".yml"):
        return _build(path.stem, _read(path.read_text(encoding="utf-8"), str(path)))
    own = resources.files("deepchem_ead.metrics.suites").joinpath(f"{suite}.yaml")
    if not own.is_file():
        raise ValueError(
            f"unknown suite {str(suite)!r}; choose {', '.join(suite_names())}, or name a YAML file"
        )
    return _build(str(suite), _read(own.read_text(encoding="utf-8"), str(suite)))


def suite_names() -> list[str]:
    """Suites that come with the package, the fastest first."""
    return ["fast", "standard", "full"]


def _read(text: str, source: str) -> Mapping[str, Any]:
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"{source} is no YAML: {error}") from error
    if not isinstance(found, Mapping):
        raise ValueError(f"{source}: a suite has the sections {', '.join(_SECTIONS)}")
    return found


def _build(name: str, sections: Mapping[str, Any]) -> Suite:
    unknown = [key for key in sections if key not in (*_SECTIONS, "include")]
    if unknown:
        raise ValueError(
            f"suite {name!r} has a section {unknown[0]!r}; there are include, "
            f"{', '.join(_SECTIONS)}"
        )
    base = load_suite(sections["include"]) if "include" in sections else Suite(name)
    uncounted = set(base.uncounted)
    found: dict[str, tuple] = {}
    for section, registry in (("checks", CHECKS), ("comparisons", COMPARISONS), ("sets", SETS)):
        parts = {part.name: part for part in getattr(base, section)}
        for entry in sections.get(section) or ():
            part, counts = _part(registry, entry, name)
            parts[part.name] = part
            uncounted = uncounted - {part.name} if counts else uncounted | {part.name}
        found[section] = tuple(parts.values())
    return Suite(name, **found, uncounted=frozenset(uncounted))


def _part(registry: Registry, entry: Any, suite: str) -> tuple[Any, bool]:
    """A check or number with its options, and whether its failures count."""
    if isinstance(entry, Mapping) and len(entry) == 1:
        ((name, options),) = entry.items()
        options = dict(options or {})
    elif isinstance(entry, str):
        name, options = entry, {}
    else:
        raise ValueError(f"suite {suite!r}: {entry!r} is neither a name nor {{name: options}}")
    counts = options.pop("counts", True)
    part = registry[name]
    known = _options(part)
    for option in options:
        if option not in known:
            has = ", ".join(known) or "none"
            raise ValueError(f"{registry.what} {name!r} has no option {option!r}; it has {has}")
    if isclass(part):
        return part(**options), bool(counts)
    return (replace(part, **options) if options else part), bool(counts)


def describe(parts: Sequence[Any]) -> list[dict[str, Any]]:
    """Parts with all their options, as plain values."""
    return [
        {"name": part.name} | {name: getattr(part, name) for name in _options(part)}
        for part in parts
    ]


def _options(part: Any) -> list[str]:
    return [f.name for f in fields(part)] if is_dataclass(part) else []


def digest(value: Any) -> str:
    """A short name of plain values."""
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
