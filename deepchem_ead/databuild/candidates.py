"""Which molecule a number stands for: MOSES, shuffled, with the smaller sets mixed in.

One in ten molecules comes from the smaller sets until these run out, so that any first part of the
data holds charges, heavy halogens, phosphorus and large molecules.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from rdkit import Chem, rdBase

from deepchem_ead.chem.elements import parse_elements
from deepchem_ead.chem.forms import neutral, physiological
from deepchem_ead.chem.stereo import canonical, open_stereo
from deepchem_ead.databuild.geometry import seed_of
from deepchem_ead.molnet.drugs3d_table import ELEMENTS, FORMS, SOURCES

MIN_HEAVY_ATOMS = 4
MAX_HEAVY_ATOMS = 60
#: Atomic numbers of those that MMFF94s knows.
KNOWN = frozenset(parse_elements(ELEMENTS))
#: Share of MOSES that is taken in its physiological form, where that is another one.
PHYSIOLOGICAL_SHARE = 0.3
#: One molecule in so many is of the smaller sets.
SMALL_EVERY = 10
#: Stereoisomers of a molecule of the smaller sets that leaves stereo open.
ISOMERS = 2


@dataclass(frozen=True)
class Candidate:
    """A molecule to be made.

    Attributes
    ----------
    smiles : str
        One connected molecule; stereo may be open.
    isomer : int
        Number of the stereoisomer to draw.
    source : int
        Number of its `SOURCES`.
    row : int
        In the source, from 0.
    form : int
        Number of its `FORMS`.
    """

    smiles: str
    isomer: int
    source: int
    row: int
    form: int


class Candidates:
    """Candidates by number, from 0: the same whatever is asked for before.

    Parameters
    ----------
    moses : mapping of str to sequence of str
        SMILES by source.
    small : sequence of Candidate
        Those of the smaller sets, in the order in which they are mixed in.
    """

    def __init__(self, moses: Mapping[str, Sequence[str]], small: Sequence[Candidate]):
        self._moses = moses
        self._small = small
        self._sizes = [len(rows) for rows in moses.values()]
        self._sources = [SOURCES.index(name) for name in moses]
        # RandomState: its permutations are the same in all versions of NumPy.
        self._order = np.random.RandomState(0).permutation(sum(self._sizes))

    def __len__(self) -> int:
        return len(self._small) + len(self._order)

    def __getitem__(self, number: int) -> Candidate:
        """The candidate of a number.

        Raises
        ------
        IndexError
            If there are not so many.
        """
        turn, place = divmod(number, SMALL_EVERY)
        before = min(turn + (place > 0), len(self._small))
        if number - before >= len(self._order):
            return self._small[number - len(self._order)]
        if place == 0 and turn < len(self._small):
            return self._small[turn]
        return self._of_moses(int(self._order[number - before]))

    def _of_moses(self, row: int) -> Candidate:
        names = list(self._moses)
        k = 0
        while row >= self._sizes[k]:
            row -= self._sizes[k]
            k += 1
        smiles = self._moses[names[k]][row]
        form = FORMS.index("neutral")
        if seed_of("form", smiles) < PHYSIOLOGICAL_SHARE * 2**31:
            mol = Chem.MolFromSmiles(smiles)
            other = physiological(mol)
            if other is not mol:
                smiles, form = canonical(other), FORMS.index("physiological")
        return Candidate(smiles, 0, self._sources[k], row, form)


def small_candidates(
    sets: Mapping[str, Sequence[str]],
) -> tuple[list[Candidate], Counter[str]]:
    """Candidates of the smaller sets, shuffled, and how many molecules were left out by reason.

    Each molecule is the largest piece of its SMILES, as it is given, neutral and physiological,
    each distinct form once, and in `ISOMERS` stereoisomers where it leaves stereo open.
    """
    found: list[Candidate] = []
    reasons: Counter[str] = Counter()
    seen: set[str] = set()
    for name, rows in sets.items():
        for row, smiles in enumerate(rows):
            mol, reason = _usable(smiles)
            if mol is None:
                reasons[reason] += 1
                continue
            plain = neutral(mol)
            forms = {"given": mol, "neutral": plain, "physiological": physiological(plain)}
            texts = {canonical(forms[form]): form for form in ("given", "physiological", "neutral")}
            for text, form in texts.items():
                if text in seen:
                    reasons["is in the smaller sets already"] += 1
                    continue
                seen.add(text)
                isomers = ISOMERS if open_stereo(Chem.MolFromSmiles(text)) else 1
                found += [
                    Candidate(text, k, SOURCES.index(name), row, FORMS.index(form))
                    for k in range(isomers)
                ]
    order = np.random.RandomState(1).permutation(len(found))
    return [found[k] for k in order], reasons


def _usable(smiles: str) -> tuple[Chem.Mol | None, str]:
    """The largest piece of a SMILES, or None and why it cannot be used."""
    with rdBase.BlockLogs():
        mol = Chem.MolFromSmiles(smiles)
    if mol is None:
        return None, "RDKit cannot read its SMILES"
    mol = max(Chem.GetMolFrags(mol, asMols=True), key=lambda part: part.GetNumHeavyAtoms())
    for atom in mol.GetAtoms():
        atom.SetIsotope(0)
    # Written and read, so that hydrogens which only an isotope had kept become implicit.
    mol = Chem.MolFromSmiles(Chem.MolToSmiles(mol))
    heavy = mol.GetNumHeavyAtoms()
    if heavy < MIN_HEAVY_ATOMS:
        return None, f"fewer than {MIN_HEAVY_ATOMS} heavy atoms"
    if heavy > MAX_HEAVY_ATOMS:
        return None, f"more than {MAX_HEAVY_ATOMS} heavy atoms"
    if {atom.GetAtomicNum() for atom in mol.GetAtoms()} - KNOWN:
        return None, "an element that MMFF94s does not know"
    if not any(atom.GetAtomicNum() == 6 for atom in mol.GetAtoms()):
        return None, "no carbon"
    if any(atom.GetNumRadicalElectrons() for atom in mol.GetAtoms()):
        return None, "unpaired electrons"
    return mol, ""
