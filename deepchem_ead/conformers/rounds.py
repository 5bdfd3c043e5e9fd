"""Searches for conformers side by side: what all of them ask for is drawn together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Generic, TypeVar

import numpy as np

from deepchem_ead.conformers.source import Course, Pool, PooledSource, Request
from deepchem_ead.errors import MoleculeError

_Found = TypeVar("_Found")


class Search(Generic[_Found]):
    """A search under way, at its first request or at its end.

    Attributes
    ----------
    request : Request or None
        What it waits for; None: it is over.
    result : object or None
        What it has returned.
    error : MoleculeError or None
        What it has ended with instead.
    """

    def __init__(self, course: Course[_Found]) -> None:
        self._course = course
        self.request: Request | None = None
        self.result: _Found | None = None
        self.error: MoleculeError | None = None
        self._advance(lambda: next(course))

    @property
    def pool(self) -> Pool | None:
        """What its request is drawn by together with others'; None: its source draws alone."""
        if self.request is None or not isinstance(self.request.source, PooledSource):
            return None
        return self.request.source.pool

    @property
    def share(self) -> float:
        """How much its request is of what is best drawn at once."""
        if self.request is None:
            return 0.0
        return 1.0 if self.pool is None else self.pool.share(self.request)

    def answer(self, drawn: Sequence[np.ndarray]) -> None:
        """Go on with what was drawn for the request."""
        self._advance(lambda: self._course.send(drawn))

    def draw(self) -> None:
        """Let its source draw, and go on."""
        assert self.request is not None
        source, n, attempt = self.request
        try:
            drawn = source.draw(n, attempt)
        except MoleculeError as error:
            refused = error
            self._advance(lambda: self._course.throw(refused))
        else:
            self.answer(drawn)

    def _advance(self, step: Callable[[], Request]) -> None:
        self.request = None
        try:
            self.request = step()
        except StopIteration as end:
            self.result = end.value
        except MoleculeError as error:
            self.error = error


def answer_all(searches: Sequence[Search]) -> Iterator[Search]:
    """Draw what searches ask for, together as far as they share pools, and let each go on.

    Yields
    ------
    Search
        Each that was not over, in their order, when it has got what it asked for.
    """
    asking = [search for search in searches if search.request is not None]
    pools: dict[int, list[Search]] = {}
    for search in asking:
        if search.pool is not None:
            pools.setdefault(id(search.pool), []).append(search)
    drawn: dict[int, Sequence[np.ndarray]] = {}
    for together in pools.values():
        pool, requests = together[0].pool, [each.request for each in together]
        assert pool is not None
        found = pool.draw([request for request in requests if request is not None])
        drawn |= {id(search): x for search, x in zip(together, found, strict=True)}
    for search in asking:
        if id(search) in drawn:
            search.answer(drawn.pop(id(search)))
        else:
            search.draw()
        yield search
