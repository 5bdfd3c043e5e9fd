"""Conformers of many molecules: every one answered for, whether there are any or not.

Molecules whose sources draw faster together are searched for side by side: what all searches under
way ask for is drawn at once, redraws with first attempts, until the first molecule is done.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from rdkit import Chem

from deepchem_ead.conformers.comparison import compare_energies
from deepchem_ead.conformers.ensemble import Ensemble, ensemble_course
from deepchem_ead.conformers.forms import MAX_FORMS, Form, enumerate_forms
from deepchem_ead.conformers.graph import read_graph
from deepchem_ead.conformers.options import ConformerOptions
from deepchem_ead.conformers.rounds import Search, answer_all
from deepchem_ead.conformers.source import MakeSource
from deepchem_ead.errors import MoleculeError

#: Molecules under way at most: those that are done wait for earlier ones, to be answered in order.
_WAITING = 2000


@dataclass(frozen=True)
class Entry:
    """A molecule of the input.

    Attributes
    ----------
    number : int
        Of the record, from 1.
    name : str
        Its own; "" if it has none.
    text : str
        SMILES as written, or canonical.
    mol : rdkit.Chem.Mol, str or None
        None where it cannot be read.
    reason : str
        Why it cannot be read.
    start : rdkit.Chem.Mol, optional
        The same molecule with conformers that take part, and that the source begins at if it can.
    n : int, optional
        Conformers of this molecule, in place of what is asked of all.
    """

    number: int
    name: str
    text: str
    mol: Chem.Mol | str | None
    reason: str = ""
    start: Chem.Mol | None = None
    n: int | None = None


@dataclass(frozen=True)
class Answer:
    """What has become of one form of a molecule.

    Attributes
    ----------
    entry : Entry
    form : str
    ensemble : Ensemble or None
    reason : str
        Why there is none.
    """

    entry: Entry
    form: str
    ensemble: Ensemble | None
    reason: str = ""


def generate_conformers(
    entries: Iterable[Entry],
    make_source: MakeSource,
    options: ConformerOptions,
    forms: Sequence[str] = (),
    max_forms: int = MAX_FORMS,
    use_start: bool = False,
    tick: Callable[[int], None] = lambda n: None,
) -> Iterator[list[Answer]]:
    """Conformers of molecules in their order: what one gets does not depend on the others.

    Parameters
    ----------
    entries : iterable of Entry
        Read as far as is drawn at once.
    make_source : callable
        See `deepchem_ead.conformers.source.MakeSource`. Sources that are a `PooledSource` draw
        together, others one by one.
    options : ConformerOptions
    forms : sequence of str
        See `enumerate_forms`. How their energies compare: see `compare_energies`.
    max_forms : int
    use_start : bool
        Conformers that come with a molecule are its ``start``, and it is told where there are none;
        otherwise a note says that they are not used.
    tick : callable
        Told how many conformers have been found since the last call.

    Yields
    ------
    list of Answer
        One for each form of a molecule.
    """
    rest, begun = iter(entries), deque[_Begun]()
    while True:
        while _has_room(begun) and (entry := next(rest, None)) is not None:
            begun.append(_Begun(entry, make_source, options, forms, max_forms, use_start, tick))
            yield from _finished(begun)
        if not begun:
            return
        for _ in answer_all([search for each in begun for search in each.searches]):
            yield from _finished(begun)


def _has_room(begun: Collection[_Begun]) -> bool:
    """Whether more can be drawn at once with what is under way."""
    return len(begun) < _WAITING and sum(each.asked for each in begun) < 1


def _finished(begun: deque[_Begun]) -> Iterator[list[Answer]]:
    """Answers of the first molecules, as far as they are done, which are taken away."""
    while begun and begun[0].done:
        yield begun.popleft().answers()


class _SearchedForm(NamedTuple):
    """A form of a molecule, the search for its conformers, and what to note of them."""

    label: str
    search: Search[Ensemble]
    notes: list[str]


class _Begun:
    """A molecule of the input, and the searches for conformers of its forms.

    Parameters
    ----------
    entry : Entry
    make_source, options, kinds, max_forms, use_start, tick
        See `generate_conformers`.
    """

    def __init__(
        self,
        entry: Entry,
        make_source: MakeSource,
        options: ConformerOptions,
        kinds: Sequence[str],
        max_forms: int,
        use_start: bool,
        tick: Callable[[int], None],
    ) -> None:
        self._entry, self._options, self._reason = entry, options, entry.reason
        self._forms: list[_SearchedForm] = []
        if entry.n is not None:
            options = replace(options, n=entry.n)
        if entry.mol is None:
            return
        own = _own(entry.mol)
        self._without_start = use_start and own is None and entry.start is None
        begin = own if use_start and entry.start is None else entry.start
        try:
            molecule, name = read_graph(entry.mol)
            forms, more = enumerate_forms(molecule, kinds, max_forms)
        except (MoleculeError, RuntimeError) as error:
            self._reason = str(error)
            return
        for form in forms or [Form(molecule)]:
            graph = read_graph(form.mol)[0] if kinds else molecule
            # The coordinates are those of the molecule as it was given.
            start = begin if form.label == "given" else None
            notes = []
            if own is not None and start is None:
                notes.append("the molecule's own coordinates were not used")
            if more:
                notes.append(f"there are more than {max_forms} forms")
            course = ensemble_course(graph, name, make_source, options, start, tick=tick)
            self._forms.append(_SearchedForm(form.label, Search(course), notes))

    @property
    def searches(self) -> list[Search[Ensemble]]:
        return [form.search for form in self._forms]

    @property
    def asked(self) -> float:
        """Of what is best drawn at once, the share that is waited for."""
        return sum(search.share for search in self.searches)

    @property
    def done(self) -> bool:
        return all(search.request is None for search in self.searches)

    def answers(self) -> list[Answer]:
        """What has become of each form."""
        if not self._forms:
            return [Answer(self._entry, "given", None, self._reason)]
        answers = []
        for label, search, notes in self._forms:
            if search.result is not None:
                search.result.notes += notes
                if self._without_start:
                    search.result.start = "no 3D coordinates came with it to begin at"
            reason = "" if search.error is None else str(search.error)
            answers.append(Answer(self._entry, label, search.result, reason))
        compare_energies([a.ensemble for a in answers if a.ensemble is not None], self._options)
        return answers


def _own(mol: Chem.Mol | str) -> Chem.Mol | None:
    """The molecule, if it comes with 3D coordinates."""
    if isinstance(mol, str) or not any(c.Is3D() for c in mol.GetConformers()):
        return None
    return mol
