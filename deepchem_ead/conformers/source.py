"""What draws conformers: anything that gives positions for a molecule's atoms."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import NamedTuple, Protocol, TypeVar, runtime_checkable

import numpy as np
from rdkit import Chem


class Source(Protocol):
    """Draws conformers of one molecule.

    Attributes
    ----------
    method : str
        What the output says of where conformers come from.
    """

    method: str

    def draw(self, n: int, attempt: int) -> Sequence[np.ndarray]:
        """At most ``n`` conformers, positions (atoms, 3) in Angstrom; others in each attempt."""

    def starting_at(self, conformers: Sequence[np.ndarray]) -> tuple[Source, str] | None:
        """A source that begins at conformers (atoms, 3), one after another, and what to say of it.

        None: this source begins at nobody's coordinates.
        """


#: Source of a molecule with all hydrogens, which messages call by a name.
#: Raises MoleculeError for molecules that it cannot draw.
MakeSource = Callable[[Chem.Mol, str], Source]


class Request(NamedTuple):
    """What a search asks a source for: the arguments of `Source.draw`."""

    source: Source
    n: int
    attempt: int


class Pool(Protocol):
    """Draws conformers of several molecules at once."""

    def share(self, request: Request) -> float:
        """How much of what is best drawn at once a request is, above 0."""

    def draw(self, requests: Sequence[Request]) -> list[list[np.ndarray]]:
        """What the sources of the requests would draw alone, to the last bit."""


@runtime_checkable
class PooledSource(Protocol):
    """A source that draws faster together with those of other molecules."""

    pool: Pool


_Found = TypeVar("_Found")
#: A search that asks for conformers, is given them, and returns something in the end.
Course = Generator[Request, Sequence[np.ndarray], _Found]


def drawn_alone(course: Course[_Found]) -> _Found:
    """What a search returns whose sources draw one by one."""
    try:
        request = next(course)
        while True:
            request = course.send(request.source.draw(request.n, request.attempt))
    except StopIteration as end:
        found: _Found = end.value
        return found
