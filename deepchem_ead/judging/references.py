"""What molecules are compared with, and held-out ones for the ceiling."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from deepchem_ead.judging.inputs import Entry, entries_of
from deepchem_ead.molnet import DATASETS, find_dataset


@dataclass(frozen=True)
class Reference:
    """Known molecules.

    Attributes
    ----------
    name : str
    known : list of Entry
    held_out : list of Entry
        For the ceiling; not among ``others``.
    others : numpy.ndarray
        Rows of ``known`` that held-out molecules are compared with.
    """

    name: str
    known: Sequence[Entry]
    held_out: Sequence[Entry]
    others: np.ndarray


def find_reference(reference: Any, held_out: Any, n: int, seed: int) -> Reference:
    """Known molecules, and as many held-out ones as there are to be judged.

    Parameters
    ----------
    reference
        A data set's name or folder ("qm9": its training part, and its test part is held out), a
        file, or molecules as `entries_of` takes them.
    held_out : optional
        The same. By default, where the reference is no data set, ``n`` of its own molecules, but
        at most half of them; they are compared with the others.
    n : int
        Molecules to be judged.
    seed : int
        Of the choice of held-out molecules.

    Raises
    ------
    FileNotFoundError
        If there is no such data set or file.
    """
    name = "given"
    if isinstance(reference, str | os.PathLike):
        name = Path(reference).name
        data = None if os.path.isfile(reference) else find_dataset(reference)
        if data is not None:
            name = data.name
            train, _, test = data.parts()
            reference, held_out = train, test if held_out is None else held_out
        elif not os.path.exists(reference):
            raise FileNotFoundError(
                f"there is no file {str(reference)!r}; a reference is "
                f"{', '.join(map(repr, DATASETS))}, or a file of molecules"
            )
    known = [entry for entry in entries_of(reference) if entry.molecule is not None]
    random = np.random.default_rng(seed)
    if held_out is not None:
        others = np.arange(len(known))
        own = [entry for entry in entries_of(held_out) if entry.molecule is not None]
        chosen = np.sort(random.permutation(len(own))[:n])
        return Reference(name, known, [own[i] for i in chosen], others)
    order = random.permutation(len(known))
    size = min(n, len(known) // 2)
    chosen, others = np.sort(order[:size]), np.sort(order[size:])
    return Reference(name, known, [known[i] for i in chosen], others)
