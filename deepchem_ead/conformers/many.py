"""Conformers of many molecules: every one answered for, whether there are any or not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from rdkit import Chem

from deepchem_ead.conformers.comparison import compare_energies
from deepchem_ead.conformers.ensemble import Ensemble, find_ensemble
from deepchem_ead.conformers.forms import MAX_FORMS, Form, enumerate_forms
from deepchem_ead.conformers.graph import read_graph
from deepchem_ead.conformers.options import ConformerOptions
from deepchem_ead.conformers.source import MakeSource
from deepchem_ead.errors import MoleculeError


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
    """

    number: int
    name: str
    text: str
    mol: Chem.Mol | str | None
    reason: str = ""


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
    """Conformers of molecules, one after another: what one gets does not depend on the others.

    Parameters
    ----------
    entries : iterable of Entry
    make_source : callable
        See `deepchem_ead.conformers.source.MakeSource`.
    options : ConformerOptions
    forms : sequence of str
        See `enumerate_forms`. How their energies compare: see `compare_energies`.
    max_forms : int
    use_start : bool
        Conformers that come with a molecule take part, and are where the source begins if it can;
        otherwise a note says that they are not used.
    tick : callable
        Told how many conformers have been found since the last call.

    Yields
    ------
    list of Answer
        One for each form of a molecule.
    """
    for entry in entries:
        answers = list(_answers(entry, make_source, options, forms, max_forms, use_start, tick))
        compare_energies([a.ensemble for a in answers if a.ensemble is not None], options)
        yield answers


def _answers(
    entry: Entry,
    make_source: MakeSource,
    options: ConformerOptions,
    kinds: Sequence[str],
    max_forms: int,
    use_start: bool,
    tick: Callable[[int], None],
) -> Iterator[Answer]:
    if entry.mol is None:
        yield Answer(entry, "given", None, entry.reason)
        return
    own = _start(entry.mol)
    try:
        molecule, name = read_graph(entry.mol)
        forms, more = enumerate_forms(molecule, kinds, max_forms) if kinds else ([], False)
    except (MoleculeError, RuntimeError) as error:
        yield Answer(entry, "given", None, str(error))
        return
    for form in forms or [Form(molecule)]:
        graph = read_graph(form.mol)[0] if kinds else molecule
        # The coordinates are those of the molecule as it was given.
        start = own if use_start and form.label == "given" else None
        try:
            ensemble = find_ensemble(graph, name, make_source, options, start, tick=tick)
        except MoleculeError as error:
            yield Answer(entry, form.label, None, str(error))
            continue
        if own is not None and start is None:
            ensemble.notes.append("the molecule's own coordinates were not used")
        if more:
            ensemble.notes.append(f"there are more than {max_forms} forms")
        yield Answer(entry, form.label, ensemble)


def _start(mol: Chem.Mol | str) -> Chem.Mol | None:
    """The molecule, if it comes with 3D coordinates."""
    if isinstance(mol, str) or not any(c.Is3D() for c in mol.GetConformers()):
        return None
    return mol
