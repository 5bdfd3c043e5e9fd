"""Elements: symbols, atomic numbers and the ordered vocabularies that models are built on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from deepchem_ead.chem.bond_tables import VOCABULARIES
from deepchem_ead.errors import MoleculeError

MAX_ATOMIC_NUMBER = 118

#: Element lists of the two data sets of the field, in the type order of EDM (arXiv:2203.17003).
PRESETS = {name: ",".join(symbols) for name, symbols in VOCABULARIES.items()}

# Written out, so that a configuration can be read where RDKit is not installed.
_SYMBOLS = (
    "",
    *"""
    H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se
    Br Kr Rb Sr Y Zr Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb
    Dy Ho Er Tm Yb Lu Hf Ta W Re Os Ir Pt Au Hg Tl Pb Bi Po At Rn Fr Ra Ac Th Pa U Np Pu Am Cm
    Bk Cf Es Fm Md No Lr Rf Db Sg Bh Hs Mt Ds Rg Cn Nh Fl Mc Lv Ts Og
    """.split(),
)
#: Atomic number of every element symbol.
SYMBOL_NUMBERS = {symbol: z for z, symbol in enumerate(_SYMBOLS) if z}


def symbol_of(number: int) -> str:
    """Element symbol of an atomic number.

    Parameters
    ----------
    number : int
        Atomic number, 1 to 118.

    Raises
    ------
    MoleculeError
        If there is no such element.

    Examples
    --------
    >>> symbol_of(17)
    'Cl'
    """
    if not 1 <= number <= MAX_ATOMIC_NUMBER:
        raise MoleculeError(f"{number} is not an atomic number (1 to {MAX_ATOMIC_NUMBER})")
    return _SYMBOLS[number]


def number_of(symbol: str) -> int:
    """Atomic number of an element symbol; upper and lower case are accepted alike.

    Raises
    ------
    MoleculeError
        If there is no such element.

    Examples
    --------
    >>> number_of("Cl"), number_of("CL"), number_of("c")
    (17, 17, 6)
    """
    number = SYMBOL_NUMBERS.get(symbol) or SYMBOL_NUMBERS.get(symbol.strip().capitalize())
    if number is None:
        raise MoleculeError(f"{symbol!r} is not an element symbol (such as 'C' or 'Cl')")
    return number


def parse_elements(elements: str | Iterable[str | int]) -> tuple[int, ...]:
    """Read an element list into atomic numbers, keeping its order.

    Parameters
    ----------
    elements : str or iterable of str or int
        Comma-separated symbols, the name of a preset (``"qm9"`` or ``"geom"``), or an iterable of
        symbols and atomic numbers.

    Returns
    -------
    tuple of int
        Atomic numbers in the order given.

    Raises
    ------
    ValueError
        If the list is empty, names an unknown element, or names an element twice.

    Examples
    --------
    >>> parse_elements("H,C,N,O,F")
    (1, 6, 7, 8, 9)
    >>> parse_elements(["C", 17])
    (6, 17)
    """
    if isinstance(elements, str):
        entries: list[str | int] = list(PRESETS.get(elements.strip().lower(), elements).split(","))
    else:
        entries = list(elements)
    numbers: list[int] = []
    for entry in entries:
        if isinstance(entry, str):
            text = entry.strip()
            if not text:
                raise ValueError(
                    f"elements={elements!r} has an empty entry; write symbols separated by single "
                    f"commas, such as 'H,C,N,O,F', or a preset: {', '.join(PRESETS)}"
                )
            try:
                number = number_of(text)
            except MoleculeError as error:
                raise ValueError(
                    f"elements={elements!r}: {error}; write symbols separated by commas, such as "
                    f"'H,C,N,O,F', or a preset: {', '.join(PRESETS)}"
                ) from None
        else:
            number = int(entry)
            if number != entry or not 1 <= number <= MAX_ATOMIC_NUMBER:
                raise ValueError(
                    f"elements={elements!r}: {entry} is not an atomic number "
                    f"(1 to {MAX_ATOMIC_NUMBER})"
                )
        if number in numbers:
            raise ValueError(f"elements={elements!r} names {symbol_of(number)} twice")
        numbers.append(number)
    if not numbers:
        raise ValueError("elements is empty: name at least one element, such as 'H,C,N,O,F'")
    return tuple(numbers)


@dataclass(frozen=True)
class Vocabulary:
    """The ordered elements a model knows; the position in the list is the type index.

    Parameters
    ----------
    numbers : tuple of int
        Distinct atomic numbers.

    Examples
    --------
    >>> vocabulary = Vocabulary.parse("qm9")
    >>> vocabulary.symbols
    ('H', 'C', 'N', 'O', 'F')
    >>> vocabulary.index_of(np.array([6, 1, 9])).tolist()
    [1, 0, 4]
    """

    numbers: tuple[int, ...]
    _index: np.ndarray = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "numbers", parse_elements(self.numbers))
        index = np.full(MAX_ATOMIC_NUMBER + 1, -1, dtype=np.int64)
        index[list(self.numbers)] = np.arange(len(self.numbers))
        index.flags.writeable = False
        object.__setattr__(self, "_index", index)

    @classmethod
    def parse(cls, elements: str | Iterable[str | int]) -> Vocabulary:
        """Vocabulary of an element list or a preset, as :func:`parse_elements` reads it."""
        return cls(parse_elements(elements))

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def symbols(self) -> tuple[str, ...]:
        """Element symbols in type order."""
        return tuple(symbol_of(z) for z in self.numbers)

    def contains(self, numbers: np.ndarray) -> np.ndarray:
        """Whether each atomic number is in the vocabulary: bool array of the same shape."""
        numbers = np.asarray(numbers, dtype=np.int64)
        known = (numbers >= 1) & (numbers <= MAX_ATOMIC_NUMBER)
        return known & (self._index[np.where(known, numbers, 0)] >= 0)

    def index_of(self, numbers: np.ndarray, offsets: np.ndarray | None = None) -> np.ndarray:
        """Type index of every atom.

        Parameters
        ----------
        numbers : numpy.ndarray
            Atomic numbers, shape (A,).
        offsets : numpy.ndarray, optional
            Atom offsets of the molecules, shape (N+1,); only used to name the molecule in errors.

        Returns
        -------
        numpy.ndarray
            int64, shape (A,), values in [0, len(self)).

        Raises
        ------
        MoleculeError
            If an element is not in the vocabulary; names the molecule, the atom and the element.
        """
        numbers = np.asarray(numbers, dtype=np.int64)
        unknown = np.flatnonzero(~self.contains(numbers))
        if unknown.size:
            atom = int(unknown[0])
            value = int(numbers[atom])
            name = symbol_of(value) if 1 <= value <= MAX_ATOMIC_NUMBER else f"atomic number {value}"
            where = f"atom {atom}"
            if offsets is not None:
                molecule = int(np.searchsorted(offsets, atom, side="right")) - 1
                where = f"molecule {molecule}, atom {atom - int(offsets[molecule])}"
            raise MoleculeError(
                f"{where}: {name} is not among the elements {','.join(self.symbols)}; remove such "
                "molecules or use a vocabulary that holds the element"
            )
        return self._index[numbers]


def formula_of(numbers: np.ndarray) -> str:
    """Sum formula in Hill order: carbon, hydrogen, then the others by name."""
    symbols, counts = np.unique([symbol_of(int(z)) for z in numbers], return_counts=True)
    first = ("C", "H") if "C" in symbols else ()
    order = sorted(
        zip(symbols.tolist(), counts.tolist(), strict=True),
        key=lambda item: (first.index(item[0]) if item[0] in first else 2, item[0]),
    )
    return "".join(symbol + (str(count) if count > 1 else "") for symbol, count in order)
