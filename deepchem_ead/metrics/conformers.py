"""Conformers of given molecules beside reference ensembles: coverage and matching, both ways.

With R reference conformers and G generated ones of a molecule and the smallest RMSDs d,

    COV recall(t) = |{r : min_g d(r, g) < t}| / R        AMR recall = mean_r min_g d(r, g)

and precision the same with the two exchanged [1]_. Sets of molecules have the mean and the median
of their molecules.

References
----------
.. [1] Ganea et al., "GeoMol: Torsional Geometric Generation of Molecular 3D Conformer Ensembles",
   NeurIPS 2021 (arXiv:2106.07802).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from rdkit import Chem, rdBase

from deepchem_ead.errors import MoleculeError
from deepchem_ead.keywords import check_keywords
from deepchem_ead.metrics.checks.check import require
from deepchem_ead.metrics.rmsd import MAX_MATCHES, best_rmsds, graph_matches, heavy_positions
from deepchem_ead.metrics.text_table import aligned
from deepchem_ead.workers import Failure, cores, guarded

if TYPE_CHECKING:
    import pandas as pd

#: Columns of a molecule or a set; Angstrom where they begin with "amr", else fractions.
SCORES = ("cov_recall", "amr_recall", "cov_precision", "amr_precision")
#: How failures count: as molecules without any coverage, or not at all.
FAILURES = ("missed", "left out")
#: Pickled otherwise, positions are rounded to float32.
_EXACTLY = Chem.PropertyPickleOptions.CoordsAsDouble
_FEW = 5_000  # RMSDs that take less time than starting processes


class EnsembleComparison(NamedTuple):
    """Generated conformers of one molecule beside its reference.

    Attributes
    ----------
    rmsds : numpy.ndarray
        Angstrom, (R, G); NaN for conformers whose coordinates are not finite.
    stereo_kept : numpy.ndarray
        (G,) bool: configurations of atoms and double bonds that the reference specifies hold.
    energies : numpy.ndarray or None
        (G,) kcal/mol: GFN2-xTB energy above the minimum that the conformer relaxes to.
    """

    rmsds: np.ndarray
    stereo_kept: np.ndarray
    energies: np.ndarray | None = None


@dataclass(frozen=True)
class ConformersReport:
    """Conformers of a set of molecules.

    Attributes
    ----------
    summary : pandas.DataFrame
        Means over molecules, indexed by threshold (Angstrom) and failures: where a molecule without
        conformers counts as "missed", its coverages are 0; "left out" is without it. ``cov_...``
        and ``stereo_kept`` are fractions, ``amr_...`` Angstrom (of molecules with conformers, in
        both), ``n`` the molecules counted, ``failed`` those without conformers.
    medians : pandas.DataFrame
        The same with medians over molecules; ``stereo_kept`` stays the mean.
    per_molecule : pandas.DataFrame
        The same columns by molecule (its place in the input) and threshold, with ``smiles``,
        ``n_reference`` and ``n_generated``.
    """

    summary: pd.DataFrame
    medians: pd.DataFrame = field(repr=False)
    per_molecule: pd.DataFrame = field(repr=False)

    def table(self) -> str:
        """Aligned text table of the means."""
        frame = self.summary.reset_index()
        rows = [
            [f"{v:.3f}" if isinstance(v, float) else str(v) for v in row]
            for row in frame.itertuples(index=False)
        ]
        return aligned([str(c) for c in frame.columns], rows)


@check_keywords()
def evaluate_conformers(
    reference: Chem.Mol | Sequence[Chem.Mol],
    generated: Chem.Mol | None | Sequence[Chem.Mol | None],
    thresholds: Sequence[float] = (0.5, 0.75),
    failures: str = "both",
    *,
    energies: bool = False,
    max_matches: int = MAX_MATCHES,
    workers: int | None = None,
    progress: bool = False,
) -> ConformersReport:
    """Compare generated conformers with reference ensembles.

    RMSDs are of heavy atoms, best superposition and symmetry-corrected, as RDKit's ``GetBestRMS``
    of molecules without hydrogens.

    Parameters
    ----------
    reference : rdkit.Chem.Mol or sequence of these
        One or more conformers each. The stereo labels that they bear are those to be kept.
    generated : rdkit.Chem.Mol, None, or sequence of these
        The same molecules in the same order; their atoms may be numbered otherwise. ``None``, or
        one without conformers: a failure.
    thresholds : sequence of float
        Angstrom: a conformer is covered by another one nearer than this.
    failures : {"both", "missed", "left out"}
        How failures count in the summary; see `ConformersReport`.
    energies : bool
        Add ``gfn2_kcal``, the mean GFN2-xTB energy of generated conformers above the minimum that
        they relax to, kcal/mol: a tenth of a second a conformer for 18 atoms, seconds for 40.
    max_matches : int
        Matches of a graph with itself that are looked at.
    workers : int, optional
        Processes; by default one a core where there is enough to do.
    progress : bool

    Returns
    -------
    ConformersReport

    Raises
    ------
    MoleculeError
        If a reference has no finite conformers, or a generated molecule is another one; names it.
    ValueError
        No molecules, unequal numbers of them, or an option out of range.

    Examples
    --------
    >>> from rdkit.Chem import AllChem
    >>> mol = Chem.AddHs(Chem.MolFromSmiles("CCCO"))
    >>> _ = AllChem.EmbedMultipleConfs(mol, 4, randomSeed=1)
    >>> report = evaluate_conformers([mol, mol], [mol, None])
    >>> report.summary["cov_recall"].to_dict()[0.5, "missed"]
    0.5
    """
    limits = _checked_thresholds(thresholds)
    if failures not in ("both", *FAILURES):
        raise ValueError(f"failures={failures!r}: choose 'both', {', '.join(map(repr, FAILURES))}")
    pairs = _pairs(reference, generated)
    if energies:
        require(("tblite",), "GFN2-xTB energies of conformers")
    found = _compared(pairs, energies, max_matches, workers, progress)
    rows = [
        row
        for i, ((mol, probe), comparison) in enumerate(zip(pairs, found, strict=True))
        for row in _rows(i, mol, probe, comparison, limits)
    ]
    return _report(rows, limits, FAILURES if failures == "both" else (failures,), energies)


def compare_ensembles(
    reference: Chem.Mol,
    generated: Chem.Mol,
    energies: bool = False,
    max_matches: int = MAX_MATCHES,
) -> EnsembleComparison:
    """Compare the conformers of one molecule; see `evaluate_conformers`.

    Raises
    ------
    MoleculeError
        If they are different molecules; says in what.
    """
    matches = graph_matches(reference, generated, max_matches)
    x, y = heavy_positions(reference), heavy_positions(generated)
    return EnsembleComparison(
        best_rmsds(x, y, matches),
        stereo_kept(reference, generated),
        _strains(generated) if energies else None,
    )


def stereo_kept(reference: Chem.Mol, generated: Chem.Mol) -> np.ndarray:
    """Whether each conformer has the configurations that a molecule specifies, (G,) bool.

    Atoms are matched by the graph. What is not specified is free.
    """
    with rdBase.BlockLogs():
        wanted = Chem.Mol(reference)
        wanted.RemoveAllConformers()
        wanted = Chem.RemoveHs(wanted)
        if not _is_specified(wanted):
            return np.ones(generated.GetNumConformers(), dtype=bool)
        kept = []
        for conformer in generated.GetConformers():
            shown = Chem.Mol(generated, False, conformer.GetId())
            Chem.RemoveStereochemistry(shown)
            shown.GetConformer().Set3D(True)
            finite = np.isfinite(conformer.GetPositions()).all()
            if finite:
                Chem.AssignStereochemistryFrom3D(shown)
                shown = Chem.RemoveHs(shown)
            kept.append(bool(finite and shown.HasSubstructMatch(wanted, useChirality=True)))
    return np.array(kept, dtype=bool)


def _is_specified(mol: Chem.Mol) -> bool:
    return any(
        atom.GetChiralTag() != Chem.ChiralType.CHI_UNSPECIFIED for atom in mol.GetAtoms()
    ) or any(bond.GetStereo() > Chem.BondStereo.STEREOANY for bond in mol.GetBonds())


def _strains(mol: Chem.Mol) -> np.ndarray:
    from deepchem_ead.chem.rdkit_io import arrays_from_mol
    from deepchem_ead.metrics.gfn2 import relaxation
    from deepchem_ead.metrics.view import MoleculeView

    found = []
    for conformer in mol.GetConformers():
        arrays = arrays_from_mol(Chem.Mol(mol, False, conformer.GetId()))
        view = MoleculeView(arrays.numbers, arrays.positions, arrays.charge, arrays.graph)
        relaxed = relaxation(view)
        found.append(math.nan if relaxed is None else relaxed.strain)
    return np.array(found)


# ------------------------------------------------------------------------------------- the input


def _checked_thresholds(thresholds: Any) -> tuple[float, ...]:
    try:
        values = tuple(float(t) for t in np.atleast_1d(np.asarray(thresholds, dtype=float)))
    except (TypeError, ValueError):
        values = ()
    if not values or not all(math.isfinite(t) and t > 0 for t in values):
        raise ValueError(f"thresholds={thresholds!r}: give numbers above 0, in Angstrom")
    return values


def _pairs(reference: Any, generated: Any) -> list[tuple[Chem.Mol, Chem.Mol | None]]:
    """Molecules with their reference, checked; None for what was not generated."""
    ours: list[Any] = [reference] if isinstance(reference, Chem.Mol | str) else list(reference)
    one = generated is None or isinstance(generated, Chem.Mol | str)
    theirs: list[Any] = [generated] if one else list(generated)
    if not ours:
        raise ValueError("there are no molecules to compare")
    if len(ours) != len(theirs):
        raise ValueError(
            f"{len(ours)} reference molecules and {len(theirs)} generated ones: give one for each, "
            "None where there is none"
        )
    pairs = []
    for i, (mol, probe) in enumerate(zip(ours, theirs, strict=True)):
        for what, each in (("reference", mol), ("generated", probe)):
            if not isinstance(each, Chem.Mol) and (what == "reference" or each is not None):
                raise TypeError(
                    f"{what} molecule {i} is a {type(each).__name__}, not an RDKit molecule"
                )
        positions = heavy_positions(mol)
        if not len(positions) or not np.isfinite(positions).all():
            why = "coordinates that are not finite" if len(positions) else "no conformers"
            raise MoleculeError(f"reference molecule {i} ({_name(mol)}) has {why}")
        if probe is not None and not np.isfinite(heavy_positions(probe)).all(axis=(1, 2)).any():
            probe = None
        if probe is not None:
            try:
                graph_matches(mol, probe, max_matches=1000)
            except MoleculeError as error:
                raise MoleculeError(
                    f"generated molecule {i} ({_name(probe)}) is not its reference: {error}"
                ) from None
        pairs.append((mol, probe))
    return pairs


def _name(mol: Chem.Mol) -> str:
    with rdBase.BlockLogs():
        try:
            return Chem.MolToSmiles(Chem.RemoveHs(mol))
        except ValueError:
            return Chem.MolToSmiles(mol)


# ---------------------------------------------------------------------------------- the comparison


def _compared(
    pairs: Sequence[tuple[Chem.Mol, Chem.Mol | None]],
    energies: bool,
    max_matches: int,
    workers: int | None,
    progress: bool,
) -> list[EnsembleComparison | None]:
    from tqdm import tqdm

    work = partial(_work, energies=energies, max_matches=max_matches)
    todo = [i for i, (_, probe) in enumerate(pairs) if probe is not None]
    items = [(mol, probe) for mol, probe in pairs if probe is not None]
    size = sum(mol.GetNumConformers() * probe.GetNumConformers() for mol, probe in items)
    n = cores() if workers is None else workers
    here = workers is None and size < _FEW and not energies
    answers: Iterable[tuple[int, Any]]
    if n < 2 or len(items) < 2 or here:
        answers = ((k, work(item, lambda stage: None)) for k, item in enumerate(items))
    else:
        sent = [tuple(mol.ToBinary(_EXACTLY) for mol in item) for item in items]
        answers = guarded(work, sent, n, math.inf)
    found: list[EnsembleComparison | None] = [None] * len(pairs)
    for k, answer in tqdm(answers, total=len(items), desc="RMSDs", disable=not progress):
        if isinstance(answer, Failure):
            raise MoleculeError(
                f"molecule {todo[k]} ({_name(pairs[todo[k]][0])}) could not be compared: "
                f"{answer.what}"
            )
        found[todo[k]] = answer
    return found


def _work(item: Any, enter: Any, energies: bool, max_matches: int) -> EnsembleComparison:
    reference, generated = map(Chem.Mol, item)
    return compare_ensembles(reference, generated, energies, max_matches)


# ------------------------------------------------------------------------------------- the report


def _rows(
    i: int,
    mol: Chem.Mol,
    probe: Chem.Mol | None,
    found: EnsembleComparison | None,
    thresholds: Sequence[float],
) -> list[dict[str, Any]]:
    """A row a threshold."""
    row: dict[str, Any] = {
        "molecule": i,
        "smiles": _name(mol),
        "failed": found is None,
        "n_reference": mol.GetNumConformers(),
        "n_generated": 0 if probe is None else probe.GetNumConformers(),
        "stereo_kept": math.nan if found is None else float(found.stereo_kept.mean()),
    }
    if found is None:
        nearest = np.full(1, math.inf), np.full(1, math.inf)
    else:
        near = np.where(np.isnan(found.rmsds), math.inf, found.rmsds)
        nearest = near.min(axis=1), near.min(axis=0)
    energies = None if found is None else found.energies
    row["gfn2_kcal"] = math.nan if energies is None else _mean(energies[np.isfinite(energies)])
    for way, distances in zip(("recall", "precision"), nearest, strict=True):
        row[f"amr_{way}"] = _mean(distances[np.isfinite(distances)])
    covered = [
        {
            "threshold": t,
            "cov_recall": float((nearest[0] < t).mean()),
            "cov_precision": float((nearest[1] < t).mean()),
        }
        for t in thresholds
    ]
    return [row | each for each in covered]


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else math.nan


def _report(
    rows: list[dict[str, Any]], thresholds: Sequence[float], ways: Sequence[str], energies: bool
) -> ConformersReport:
    import pandas as pd

    extra = ["gfn2_kcal"] if energies else []
    frame = pd.DataFrame(rows).set_index(["molecule", "threshold"])
    means, medians = [], []
    for threshold in thresholds:
        of_threshold = frame.xs(threshold, level="threshold")
        for way in ways:
            counted = of_threshold[~of_threshold["failed"]] if way == "left out" else of_threshold
            about = {
                "threshold": threshold,
                "failures": way,
                "n": len(counted),
                "failed": int(of_threshold["failed"].sum()),
                "stereo_kept": counted["stereo_kept"].mean(),
            }
            names = [*SCORES, *extra]
            means.append(about | counted[names].mean().to_dict())
            medians.append(about | counted[names].median().to_dict())
    columns = [*SCORES, "n", "failed", "stereo_kept", *extra]
    index = ["threshold", "failures"]
    summaries = [pd.DataFrame(found).set_index(index)[columns] for found in (means, medians)]
    order = ["smiles", *SCORES, "n_reference", "n_generated", "failed", "stereo_kept", *extra]
    return ConformersReport(summaries[0], summaries[1], frame[order])
