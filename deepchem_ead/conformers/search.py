"""Conformers of one molecule that are right: drawn, checked, relaxed, and drawn again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from rdkit import Chem

from deepchem_ead.conformers.amides import SecondaryAmides
from deepchem_ead.conformers.configuration import Configuration
from deepchem_ead.conformers.options import ConformerOptions
from deepchem_ead.conformers.source import Course, Request, Source
from deepchem_ead.errors import MoleculeError
from deepchem_ead.potentials.levels import MMFF94s

#: Conformers drawn in a round for each that is missing, at most.
_MOST = 8
#: Rounds one after another without any geometry, right or wrong, after which none is expected.
_IN_VAIN = 2


@dataclass(frozen=True)
class Conformer:
    """One conformer.

    Attributes
    ----------
    positions : numpy.ndarray
        Angstrom, (n, 3).
    energy : float or None
        kcal/mol at `ConformerOptions.level`.
    origin : {"drawn", "start"}
    """

    positions: np.ndarray
    energy: float | None
    origin: str


@dataclass
class Found:
    """What a search has found.

    Attributes
    ----------
    conformers : list of Conformer
        In the order in which they were drawn.
    drawn, rounds : int
        How many the source was asked for, and how often.
    problems : Counter
        What was wrong with others, and how many.
    """

    conformers: list[Conformer] = field(default_factory=list)
    drawn: int = 0
    rounds: int = 0
    problems: Counter[str] = field(default_factory=Counter)


def in_words(problems: Counter[str]) -> str:
    """Problems and how often they came, the most frequent first."""
    return ", ".join(f"{what} ({count})" for what, count in problems.most_common(5))


class Preparation:
    """Makes conformers of drawn positions: checks, relaxes, checks again, computes the energy.

    Parameters
    ----------
    molecule : rdkit.Chem.Mol
        With all hydrogens.
    options : ConformerOptions

    Raises
    ------
    MoleculeError
        If a level of theory does not know the molecule.
    ImportError, FileNotFoundError
        If it cannot be computed here.
    """

    def __init__(self, molecule: Chem.Mol, options: ConformerOptions) -> None:
        self.molecule, self.options = molecule, options
        self._configuration = Configuration(molecule)
        self._amides = SecondaryAmides(molecule) if options.trans_amides else None
        self._relax, self._energy = options.relax_level, options.level
        for level in (self._relax, self._energy):
            if level is not None:
                level.check(molecule)
        self._first = self._force_field()
        # What is to be relaxed anyway may have long bonds before.
        self._check_bonds = options.check_bonds and self._relax is None

    def _force_field(self) -> MMFF94s | None:
        """What comes before a better level, which leads raw drawings to minima of no ensemble."""
        if self._relax is None or self._relax.name == MMFF94s.name:
            return None
        field = MMFF94s()
        try:
            field.check(self.molecule)
        except MoleculeError:
            return None
        return field

    def __call__(self, positions: np.ndarray, origin: str) -> Conformer | str:
        """The conformer, or what is wrong with it."""
        x, problem = self._checked(np.asarray(positions, np.float64), self._check_bonds)
        if problem is not None:
            return problem
        energy = None
        if self._relax is not None:
            try:
                if self._first is not None:
                    x = self._first.relax(self.molecule, x).positions
                x, energy = self._relax.relax(self.molecule, x)
            except MoleculeError as error:
                return str(error)
            x, problem = self._checked(x, True)
            if problem is not None:
                return f"{problem} after relaxation"
        if self._energy is not None and (energy is None or self._energy is not self._relax):
            try:
                energy = self._energy.energy(self.molecule, x)
            except MoleculeError as error:
                return str(error)
        return Conformer(x, None if self._energy is None else energy, origin)

    def with_configuration(
        self, conformers: Sequence[np.ndarray]
    ) -> tuple[list[np.ndarray], list[str]]:
        """Those of conformers (atoms, 3) that have the right configuration, mirrored if that makes
        them right, and what is wrong with others."""
        checked = [self._configuration.righted(x, check_bonds=False) for x in conformers]
        return (
            [x for x, problem in checked if problem is None],
            [problem for _, problem in checked if problem is not None],
        )

    def _checked(self, x: np.ndarray, check_bonds: bool) -> tuple[np.ndarray, str | None]:
        x, problem = self._configuration.righted(x, check_bonds)
        if problem is None and self._amides is not None:
            problem = self._amides.problem(x)
        return x, problem


def search(
    source: Source,
    prepare: Preparation,
    options: ConformerOptions,
    start: Sequence[np.ndarray] = (),
    tick: Callable[[int], None] = lambda n: None,
) -> Course[Found]:
    """Ask for conformers until enough are right, or all rounds are over.

    Parameters
    ----------
    source : Source
    prepare : Preparation
    options : ConformerOptions
    start : sequence of numpy.ndarray
        Conformers (atoms, 3) that are there already; they count.
    tick : callable
        Told how many conformers have been found since the last call.
    """
    found = Found()

    def take(positions: np.ndarray, origin: str) -> None:
        made = prepare(positions, origin)
        if isinstance(made, str):
            found.problems[made if origin == "drawn" else f"start: {made}"] += 1
        elif len(found.conformers) < options.n:
            found.conformers.append(made)
            tick(1)

    for positions in start:
        take(positions, "start")
    right = returned = in_vain = 0
    for attempt in range(options.tries):
        missing = options.n - len(found.conformers)
        if missing <= 0 or in_vain == _IN_VAIN:
            break
        share = right / returned if returned else 1.0
        wanted = int(np.ceil(missing / max(share, 1 / _MOST)))
        before = len(found.conformers)
        drawn = yield Request(source, wanted, attempt)
        found.drawn += wanted
        found.rounds += 1
        returned += len(drawn)
        in_vain = 0 if len(drawn) else in_vain + 1
        if len(drawn) < wanted:
            found.problems["no geometry was found"] += wanted - len(drawn)
        for positions in drawn:
            if len(found.conformers) < options.n:
                take(positions, "drawn")
        right += len(found.conformers) - before
    return found
