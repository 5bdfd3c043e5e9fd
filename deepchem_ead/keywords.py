"""Unknown keywords: the one that was meant, or what cannot be done yet and what helps."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterable
from functools import wraps
from typing import TypeVar

LIMITS = "docs/limits.md"

#: What other programs call our keywords.
_CALLED_HERE = {
    "temperature": "noise_scale", "n_samples": "n", "num_samples": "n", "n_molecules": "n",
    "random_state": "seed", "random_seed": "seed", "num_atoms": "n_atoms", "size": "n_atoms",
    "properties": "conditions", "property": "conditions", "targets": "conditions",
    "context": "conditions",
    "epochs": "nb_epoch", "n_epochs": "nb_epoch", "num_epochs": "nb_epoch", "lr": "learning_rate",
    "num_steps": "steps", "n_steps": "steps", "hidden_nf": "n_features", "num_layers": "n_layers",
}  # fmt: skip
#: What other methods do, where a model has learned it.
_ELSEWHERE = {
    "a part of a molecule is kept by model.edit(mol, keep=...)": (
        "scaffold", "keep", "fixed", "fix", "mask", "fragment", "fragments", "inpaint", "linker",
        "core", "substructure", "smarts", "anchor", "partial", "template",
    ),
    "conformers of a molecule are found by model.conformers(mol)": (
        "smiles", "mol", "mols", "molecule", "graph", "inchi", "conformer", "conformers", "confs",
    ),
}  # fmt: skip
_NOT_YET = {
    "no formula can be given": ("formula", "composition", "stoichiometry"),
    "no elements can be chosen or left out": ("elements", "element", "exclude"),
    "no total charge can be asked for": ("charge", "charges", "charged", "ion"),
    "bonds are not given but follow from the positions": ("bonds", "bond", "adjacency", "edges"),
    "models know no surroundings of a molecule": ("pocket", "protein", "receptor", "target"),
}  # fmt: skip
_WHY_NOT = {word: why for why, words in _NOT_YET.items() for word in words}
_DONE_BY = {word: how for how, words in _ELSEWHERE.items() for word in words}

_F = TypeVar("_F", bound=Callable)


class UnknownKeyword(TypeError, ValueError):
    """A function or a configuration was given a keyword that it does not have."""


def hint(name: str, known: Iterable[str]) -> str:
    """What to use instead of an unknown keyword, after "; "; "" if nothing comes to mind."""
    known = list(known)
    name = name.lower()
    if _CALLED_HERE.get(name) in known:
        return f"; did you mean {_CALLED_HERE[name]!r}?"
    typing_errors = difflib.get_close_matches(name, known, n=1, cutoff=0.85)
    how = next((_DONE_BY[word] for word in name.split("_") if word in _DONE_BY), None)
    if how is not None and not typing_errors:
        return f"; {how}: see {LIMITS}"
    why = next((_WHY_NOT[word] for word in name.split("_") if word in _WHY_NOT), None)
    if why is not None and not typing_errors:
        return f"; {why} (yet): see {LIMITS} for what helps"
    close = typing_errors or difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def check_keywords(*forwards: Callable) -> Callable[[_F], _F]:
    """Let a function answer unknown keywords with a hint.

    Parameters
    ----------
    *forwards : callable
        Where its ``**options`` go: their keywords are known, too.
    """

    def decorate(function: _F) -> _F:
        known = [name for f in (function, *forwards) for name in named_keywords(f)]
        known = list(dict.fromkeys(known))

        @wraps(function)
        def checked(*args, **options):
            for name in options:
                if name not in known:
                    raise UnknownKeyword(
                        f"{function.__name__}() has no keyword {name!r}"
                        + (hint(name, known) or f"; it has {', '.join(known)}")
                    )
            return function(*args, **options)

        return checked

    return decorate


def named_keywords(function: Callable) -> list[str]:
    """The keywords that a function names in its signature."""
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    parameters = inspect.signature(function).parameters.values()
    return [p.name for p in parameters if p.kind in named and p.name != "self"]
