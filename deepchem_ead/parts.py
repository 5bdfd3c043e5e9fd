"""Parts with options, written as one text: ``"ancestral:eta=0.5,noise_scale=0.9"``.

The same text in Python, in YAML files and on the command line.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import Field, fields, is_dataclass, replace
from inspect import isclass
from typing import Any

from deepchem_ead.keywords import named_keywords
from deepchem_ead.registry import Registry

_WORDS = {"true": True, "false": False, "none": None}
_KINDS = {"bool": bool, "int": int, "float": (int, float), "str": str, "None": type(None)}


def read_part(text: str) -> tuple[str, dict[str, Any]]:
    """Name and options of ``NAME`` or ``NAME:OPTION=VALUE,...``.

    Values are whole or decimal numbers, true, false, none, or words.

    Raises
    ------
    ValueError
        If an option has no value, or is given twice.

    Examples
    --------
    >>> read_part("adaptive:window=3,velocity=x0hat")
    ('adaptive', {'window': 3, 'velocity': 'x0hat'})
    """
    name, colon, rest = text.partition(":")
    options: dict[str, Any] = {}
    for assignment in rest.split(",") if colon else ():
        option, equals, value = (part.strip() for part in assignment.partition("="))
        if not (option and equals and value):
            raise ValueError(f"{text!r}: options follow the name as in name:option=value,other=2")
        if option in options:
            raise ValueError(f"{text!r}: {option} is given twice")
        options[option] = _value(value)
    return name.strip(), options


def make_part(registry: Registry, text: str, defaults: Mapping[str, Any] | None = None) -> Any:
    """The part that a text names, with its options.

    Parameters
    ----------
    registry : Registry
        Of dataclasses, of objects of such classes, or of functions, which have no options.
    text : str
        See `read_part`.
    defaults : mapping of str to value, optional
        Values of options that the text does not give, as far as the part has them.

    Raises
    ------
    ValueError
        If there is no such part or option, or the value is of another type or out of range.
    """
    name, given = read_part(text)
    part = registry[name]
    known = {f.name: f for f in fields(part) if f.init} if is_dataclass(part) else {}
    for option, value in given.items():
        if option not in known:
            known_ones = _listed(option, known)
            raise ValueError(f"{registry.what} {name!r} has no option {option!r}; {known_ones}")
        _check_type(f"{option} of {registry.what} {name!r}", known[option], value)
    options = {k: v for k, v in (defaults or {}).items() if k in known} | given
    if isclass(part):
        return part(**options)
    return replace(part, **options) if options else part


def call_part(registry: Registry, text: str, *arguments: Any) -> Any:
    """What the function that a text names returns for ``arguments`` and its options.

    Raises
    ------
    ValueError
        If there is no such part or option, or a value is refused.
    """
    name, given = read_part(text)
    function = registry[name]
    known = named_keywords(function)[len(arguments) :]
    for option in given:
        if option not in known:
            known_ones = _listed(option, known)
            raise ValueError(f"{registry.what} {name!r} has no option {option!r}; {known_ones}")
    try:
        return function(*arguments, **given)
    except TypeError as error:
        raise ValueError(f"{registry.what} {text!r}: {error}") from error


def _value(text: str) -> Any:
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _listed(option: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(option, known, n=1)
    hint = f" (did you mean {close[0]!r}?)" if close else ""
    return f"it has {', '.join(known) or 'none'}{hint}"


def _check_type(what: str, field: Field, value: Any) -> None:
    """Options are of plain types; fields of others cannot be written as text."""
    allowed = [kind.strip() for kind in str(field.type).split("|")]
    kinds = [_KINDS.get(kind, ()) for kind in allowed]
    fits = isinstance(value, tuple(kinds)) and (not isinstance(value, bool) or "bool" in allowed)
    if not fits:
        raise ValueError(f"{what} must be of type {' or '.join(allowed)}, not {value!r}")
