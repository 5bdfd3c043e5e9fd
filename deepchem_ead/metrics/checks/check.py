"""What a check of one molecule is, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, NamedTuple, Protocol, runtime_checkable

from deepchem_ead.metrics.view import MoleculeView
from deepchem_ead.registry import Registry

#: What a cell of a column may be.
Cell = bool | int | float | str | None


class Column(NamedTuple):
    """A column that a check fills besides its own.

    Attributes
    ----------
    what : str
        What stands there, with its unit.
    summary : {"share", "mean", "median", ""}
        The number that it gives for a set; "": none.
    better : {"higher", "lower", ""}
        Which way this number is better; "": neither, it only differs.
    """

    what: str
    summary: str = ""
    better: str = ""


@dataclass(frozen=True)
class Outcome:
    """What a check says of one molecule.

    Attributes
    ----------
    passed : bool or None
        None: there is nothing in the molecule that it could judge, or it only measures.
    reason : str
        What is wrong, in a few words with numbers.
    columns : mapping of str to value
        Cells of the check's further columns; missing ones are empty.
    """

    passed: bool | None = None
    reason: str = ""
    columns: Mapping[str, Cell] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.passed is not None:  # comparisons of numpy's numbers are no bool
            object.__setattr__(self, "passed", bool(self.passed))


#: There was nothing to judge.
NOTHING = Outcome()


@runtime_checkable
class Check(Protocol):
    """Judges one molecule by itself. A frozen dataclass, whose fields are its options.

    Attributes
    ----------
    name : str
        Its column of passes, and the word in ``reasons`` where it fails.
    columns : mapping of str to Column
        Its further columns.
    judges : bool
        Whether it can fail; otherwise it has no column of passes.
    slow : bool
        More than some milliseconds a molecule.
    packages : tuple of str
        What has to be installed besides the package's own dependencies.
    """

    name: str
    columns: Mapping[str, Column]
    judges: bool
    slow: bool
    packages: tuple[str, ...]

    def __call__(self, view: MoleculeView) -> Outcome:
        """Judge a molecule; where it has no structure (`view.mol` is None), too."""
        ...


class BaseCheck:
    """Defaults of a `Check`; inherit from it or write them down."""

    name = ""
    columns: Mapping[str, Column] = {}
    judges = True
    slow = False
    packages: tuple[str, ...] = ()


def require(packages: tuple[str, ...], what: str) -> None:
    """Import packages of the extra "judge", or say what is missing.

    Raises
    ------
    ImportError
        Names the package and how to install it.
    """
    for package in packages:
        try:
            import_module(package)
        except ImportError as error:
            raise ImportError(
                f"{what} needs {package}, which cannot be imported here ({error}): "
                "pip install 'deepchem_ead[judge]', or leave it out of the suite"
            ) from error


def judged(passed: bool, reason: str = "", **columns: Cell) -> Outcome:
    """An outcome whose reason is kept only where the check fails."""
    return Outcome(passed, "" if passed else reason, columns)


#: Checks by name: classes or objects of them.
CHECKS: Registry[Any] = Registry("check")
