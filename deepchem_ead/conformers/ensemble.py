"""The ensemble of a molecule: what a search has found, ranked, pruned and selected."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from rdkit import Chem

from deepchem_ead.conformers.graph import check_graph, open_centres, positions_of
from deepchem_ead.conformers.options import ConformerOptions
from deepchem_ead.conformers.search import Conformer, Found, Preparation, in_words, search
from deepchem_ead.conformers.source import Course, MakeSource, Source, drawn_alone
from deepchem_ead.errors import MoleculeError
from deepchem_ead.metrics.rmsd import best_rmsds, graph_matches, heavy_positions
from deepchem_ead.potentials.levels import GAS_CONSTANT, placed

#: Matches of a graph with itself that pruning looks at.
_MATCHES = 10_000


@dataclass
class Ensemble:
    """Conformers of a molecule, and how they came about.

    Attributes
    ----------
    mol : rdkit.Chem.Mol
        With the conformers (ids from 0), in the order of their energies where there are any. A
        conformer has the properties ``origin``, ``energy`` (kcal/mol), ``relative_energy``
        (kcal/mol above the lowest) and ``weight`` (Boltzmann's, of the conformers here).
    energies : numpy.ndarray or None
        kcal/mol, (conformers,).
    method : str
        Where the conformers come from.
    relaxed, energy_level : str or None
        Names of levels of theory.
    drawn : int
        How many were drawn for these.
    problems : Counter
        What was wrong with those that were drawn again.
    pruned, outside, not_kept : int
        Conformers that pruning, the energy window and ``keep`` have left out.
    start : str
        What came of the conformers that were given; "" if none were.
    compared : str
        The forms of the molecule that energies are compared with; "" if there is no other.
    form_free_energy : float or None
        kcal/mol above the form that the molecule prefers at a pH, of the lowest conformers; see
        `deepchem_ead.conformers.protonation`.
    notes : list of str
        What else there is to know.
    """

    mol: Chem.Mol
    energies: np.ndarray | None
    method: str
    relaxed: str | None
    energy_level: str | None
    drawn: int
    problems: Counter[str]
    pruned: int = 0
    outside: int = 0
    not_kept: int = 0
    start: str = ""
    compared: str = ""
    form_free_energy: float | None = None
    notes: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return self.mol.GetNumConformers()

    def told(self) -> dict[str, str]:
        """How it came about, as text by name; what there is nothing to say of is left out."""
        counts = {"drawn": self.drawn, "pruned": self.pruned, "outside_window": self.outside,
                  "not_kept": self.not_kept}  # fmt: skip
        texts = {
            "method": self.method,
            "relaxed": self.relaxed or "no",
            "energy_level": self.energy_level,
            "compared": self.compared,
            **{name: str(count) for name, count in counts.items() if count},
            "redrawn": in_words(self.problems),
            "start": self.start,
            "notes": "; ".join(self.notes),
        }
        return {name: text for name, text in texts.items() if text}


def find_ensemble(
    molecule: Chem.Mol,
    name: str,
    make_source: MakeSource,
    options: ConformerOptions,
    start: Chem.Mol | None = None,
    complete: bool = False,
    tick: Callable[[int], None] = lambda n: None,
) -> Ensemble:
    """Conformers of a molecule: generate, check, relax, energies, prune, select.

    Parameters
    ----------
    molecule : rdkit.Chem.Mol
        With all hydrogens; see `deepchem_ead.conformers.graph.read_graph`.
    name : str
        What messages call it.
    make_source : callable
        See `deepchem_ead.conformers.source.MakeSource`.
    options : ConformerOptions
    start : rdkit.Chem.Mol, optional
        The same molecule with conformers that take part, and that the source begins at if it can.
    complete : bool
        Fail if fewer than ``options.n`` conformers are right in the end; otherwise a note says so.
    tick : callable
        Told how many conformers have been found since the last call.

    Raises
    ------
    MoleculeError
        If the molecule cannot be done, or no conformer (or, with ``complete``, not all) is right.
    """
    return drawn_alone(ensemble_course(molecule, name, make_source, options, start, complete, tick))


def ensemble_course(
    molecule: Chem.Mol,
    name: str,
    make_source: MakeSource,
    options: ConformerOptions,
    start: Chem.Mol | None = None,
    complete: bool = False,
    tick: Callable[[int], None] = lambda n: None,
) -> Course[Ensemble]:
    """What `find_ensemble` does, from request to request."""
    check_graph(molecule, name)
    source = make_source(molecule, name)
    try:
        prepare = Preparation(molecule, options)
        given = [] if start is None else positions_of(molecule, start)
        source, said = _begun(source, prepare, given)
    except MoleculeError as error:
        raise MoleculeError(f"{name}: {error}") from None
    found = yield from search(source, prepare, options, given, tick)
    if not found.conformers or (complete and len(found.conformers) < options.n):
        raise MoleculeError(
            f"{name}: {len(found.conformers)} of {options.n} conformers are right after "
            f"{found.rounds} rounds, {found.drawn} drawn; of the others: "
            f"{in_words(found.problems)}; ask for fewer, or allow more tries"
        )
    ensemble = _selected(molecule, found, options)
    ensemble.method, ensemble.start = source.method, said
    if len(found.conformers) < options.n:
        ensemble.notes.append(
            f"{len(found.conformers)} of {options.n} conformers are right after {found.rounds} "
            "rounds"
        )
    if note := open_centres(molecule):
        ensemble.notes.append(f"{note}: conformers may be different stereoisomers")
    return ensemble


def _begun(source: Source, prepare: Preparation, given: Sequence[np.ndarray]) -> tuple[Source, str]:
    """The source, begun at given conformers if it can, and what to say of it."""
    if not given:
        return source, ""
    right, problems = prepare.with_configuration(given)
    turned = sum(all(x is not own for own in given) for x in right)
    also = f"; {turned} of {len(given)} showed the mirror image and were mirrored" if turned else ""
    begun = source.starting_at(right or given)
    if begun is None:
        return source, (
            f"{source.method} does not begin at coordinates: those given take part as conformers"
            f"{also}"
        )
    if not right:
        raise MoleculeError(f"start: nothing can begin at it, since {problems[0]}")
    return begun[0], begun[1] + also


def _selected(molecule: Chem.Mol, found: Found, options: ConformerOptions) -> Ensemble:
    chosen = found.conformers
    relaxed, level = options.relax_level, options.level
    ranked = level is not None
    if ranked:
        chosen = sorted(chosen, key=_energy)
    every = len(chosen)
    if ranked and options.window is not None:
        lowest = _energy(chosen[0])
        chosen = [c for c in chosen if _energy(c) - lowest <= options.window]
    outside = every - len(chosen)
    kept = _distinct(molecule, chosen, options.prune)
    pruned = len(chosen) - len(kept)
    chosen = kept[: options.keep]
    mol = Chem.Mol(molecule)
    for k, each in enumerate(chosen):
        conformer = placed(molecule, each.positions).GetConformer()
        conformer.SetId(k)
        conformer.SetProp("origin", each.origin)
        mol.AddConformer(conformer)
    energies = np.array([_energy(c) for c in chosen]) if ranked else None
    ensemble = Ensemble(
        mol, energies, "", relaxed.name if relaxed else None, level.name if level else None,
        found.drawn, found.problems, pruned, outside, len(kept) - len(chosen),
    )  # fmt: skip
    if energies is not None:
        set_energies([ensemble], options.temperature)
        if ensemble.relaxed is None:
            ensemble.notes.append("energies are of geometries that were not relaxed")
    return ensemble


def _energy(conformer: Conformer) -> float:
    assert conformer.energy is not None
    return conformer.energy


def _distinct(molecule: Chem.Mol, chosen: Sequence[Conformer], nearest: float) -> list[Conformer]:
    """The first of all that are nearer to each other than this."""
    if nearest <= 0:
        return list(chosen)
    matches = graph_matches(molecule, molecule, _MATCHES)
    heavy = np.concatenate([heavy_positions(placed(molecule, c.positions)) for c in chosen])
    kept: list[int] = []
    for k in range(len(chosen)):
        if not kept or best_rmsds(heavy[k : k + 1], heavy[kept], matches).min() >= nearest:
            kept.append(k)
    return [chosen[k] for k in kept]


def set_energies(ensembles: Sequence[Ensemble], temperature: float) -> None:
    """Write energies, those above the lowest of all, and Boltzmann weights onto conformers."""
    values = [np.asarray(e.energies) for e in ensembles]
    lowest = min(v.min() for v in values)
    factors = [np.exp(-(v - lowest) / (GAS_CONSTANT * temperature)) for v in values]
    total = sum(f.sum() for f in factors)
    for ensemble, energies, factor in zip(ensembles, values, factors, strict=True):
        for conformer, energy, weight in zip(
            ensemble.mol.GetConformers(), energies, factor / total, strict=True
        ):
            conformer.SetDoubleProp("energy", float(energy))
            conformer.SetDoubleProp("relative_energy", float(energy - lowest))
            conformer.SetDoubleProp("weight", float(weight))
