"""Molecules with wanted properties: generate, judge, filter and rank them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rdkit import Chem

from deepchem_ead.caller import warn_caller
from deepchem_ead.chem.graphs import MolecularGraphs
from deepchem_ead.chem.molecules import MoleculeBatch
from deepchem_ead.chem.rdkit_io import bond_vocabulary, smiles_of
from deepchem_ead.chem.synthesis import sa_scores
from deepchem_ead.choices import DEFAULT_PREDICTOR
from deepchem_ead.designs.result import DesignResult
from deepchem_ead.designs.targets import (
    Target,
    chance_within,
    distances_to,
    read_targets,
    within,
)
from deepchem_ead.generation.given import Given
from deepchem_ead.generation.options import SamplingOptions
from deepchem_ead.generation.request import askable
from deepchem_ead.generation.whole import Molecule
from deepchem_ead.judging import judge as judge_molecules
from deepchem_ead.keywords import check_keywords
from deepchem_ead.metrics.protocols import PROTOCOLS, check_names, run
from deepchem_ead.metrics.reference import reference_smiles
from deepchem_ead.metrics.suites import load_suite
from deepchem_ead.models.ead import EADModel
from deepchem_ead.models.guides import guiding_model
from deepchem_ead.models.predictors import Predictor, as_predictor
from deepchem_ead.models.property_model import EGNNPropertyModel

if TYPE_CHECKING:
    import pandas as pd


@check_keywords(EADModel.generate)
def design(
    model: EADModel | str | Path,
    conditions: Mapping[str, object],
    predictor: Any = DEFAULT_PREDICTOR,
    n: int = 500,
    top: int = 50,
    *,
    start: Molecule | Sequence[Molecule] | Given | None = None,
    keep: Any = None,
    attach: Sequence[int] | None = None,
    keep_positions: Any = None,
    grow: int | tuple[int, int] | None = None,
    tolerance: object = None,
    max_sa: float | None = None,
    protocol: str = "strict",
    suite: Any = None,
    reference: Any = None,
    guide: EGNNPropertyModel | str | Path | None = None,
    progress: bool = True,
    options: SamplingOptions | None = None,
    **keywords: Any,
) -> DesignResult:
    """Generate molecules for property values and choose the best.

    Parameters
    ----------
    model : EADModel or str
        The generator, or what ``EADModel.from_pretrained`` takes. It is asked for those properties
        it was trained with; the others only decide which molecules are chosen.
    conditions : mapping of str to value
        The wanted value of each property, ``{"gap": "5.4 eV", "mu": 2}``, as for ``generate``. The
        predictor must know all of them.
    predictor : EGNNPropertyModel, PropertyEnsemble, Predictor or str
        What judges the properties; a text is what ``EGNNPropertyModel.from_pretrained`` takes. Any
        other DeepChem model becomes one by `deepchem_ead.models.predictors.as_predictor`.
    n : int
        Molecules to generate.
    top : int
        Molecules to choose at most. (``keep``, a number and without ``start``, is its old name.)
    start : rdkit.Chem.Mol, MoleculeBatch of one, or list of these, optional
        Generate around a part of this molecule, or link these fragments: what ``EADModel.edit``
        takes as ``mol``, by a model that has learned it.
    keep, attach, keep_positions, grow
        What stays of ``start``, where others join and how many: as in ``EADModel.edit``.
    tolerance, max_sa, protocol, suite, reference
        See `select_molecules`.
    guide : EGNNPropertyModel or str, optional
        Steers to the conditions it knows, as in ``generate``. It should not be the predictor, which
        would then be asked about molecules made to please it.
    progress : bool
    options : SamplingOptions, optional
        How to generate, the guide included, as one object.
    **keywords
        Further arguments of ``generate``: ``guidance_scale``, ``seed``, ``n_atoms``, ``steps``...

    Returns
    -------
    DesignResult

    Raises
    ------
    ValueError
        For properties, units, tolerances and other arguments that make no sense; before anything is
        generated.

    Examples
    --------
    >>> import deepchem_ead
    >>> result = deepchem_ead.design(
    ...     "qm9", {"gap": "5.4 eV"}, tolerance="0.3 eV", max_sa=5)  # doctest: +SKIP
    >>> print(result)                                                            # doctest: +SKIP
    >>> result.to_sdf("designs.sdf")                                             # doctest: +SKIP
    >>> result = deepchem_ead.design(                                            # doctest: +SKIP
    ...     "qm9", {"gap": "5 eV"}, start=mol, keep="c1cc[nH]c1", guide="qm9-guide")
    """
    if isinstance(model, str | Path):
        model = EADModel.from_pretrained(model)
    part = {"keep": keep, "attach": attach, "keep_positions": keep_positions, "grow": grow}
    if start is None:
        top, part["keep"] = _top(top, keep), None
    _check_part(start, part)
    judge = find_predictor(predictor)
    read_targets(conditions, tolerance, judge.tasks)
    _check(n, top, max_sa, protocol, suite)
    options = SamplingOptions.among({"guide": guide, **keywords}, options)
    steering = None if options.guide is None else guiding_model(options.guide, model)
    known = askable(model, steering)
    asked = {name: value for name, value in conditions.items() if name in known}
    chosen = {**keywords, **options.given(), "guide": steering or options.guide}
    chosen |= {"conditions": asked or None, "progress": progress}
    if isinstance(start, Given):
        chosen["start"] = start
    if start is None or isinstance(start, Given):
        molecules = model.generate(n, **chosen)
    else:
        molecules = model.edit(start, n=n, **part, **chosen)
    return select_molecules(
        molecules, conditions, judge, top, tolerance=tolerance, max_sa=max_sa, protocol=protocol,
        suite=suite, reference=reference, progress=progress,
    )  # fmt: skip


@check_keywords()
def select_molecules(
    molecules: MoleculeBatch,
    conditions: Mapping[str, object],
    predictor: Any = DEFAULT_PREDICTOR,
    top: int = 50,
    *,
    tolerance: object = None,
    max_sa: float | None = None,
    protocol: str = "strict",
    suite: Any = None,
    reference: Any = None,
    progress: bool = True,
    keep: int | None = None,
) -> DesignResult:
    """Choose the molecules whose predicted properties are closest to wanted ones.

    Parameters
    ----------
    molecules : MoleculeBatch
        From ``generate``, or from a file (`MoleculeBatch.read`).
    conditions, predictor, top, progress
        As in `design`.
    tolerance : value or mapping of str to value, optional
        How far a prediction may be from the wanted value, "0.3 eV"; by name if several properties
        are wanted. By default any distance will do, and the closest are chosen.
    max_sa : float, optional
        Largest synthetic accessibility score, 1 (easy) to 10 (hard): see
        `deepchem_ead.chem.synthesis`. By default it is reported and not used.
    protocol : {"strict", "edm"}
        What counts as valid, see `evaluate_molecules`; it must be one molecule, not fragments.
    suite : str, path or Suite, optional
        Keep only sound molecules, by the checks of a suite of `deepchem_ead.judge`, such as
        "standard". By default the protocol alone decides.
    reference : optional
        Known molecules, which are left out: as in `evaluate_molecules`.
    keep : int, optional
        The old name of ``top``.

    Returns
    -------
    DesignResult
        Of several molecules with the same SMILES (without stereo labels) the first one counts. The
        chosen ones are ordered by their distance to the target, see
        `deepchem_ead.designs.targets.distances_to`.

    Raises
    ------
    ValueError
        As `design`.
    """
    top = _top(top, keep)
    judge = find_predictor(predictor)
    targets = read_targets(conditions, tolerance, judge.tasks)
    _check(len(molecules), top, max_sa, protocol, suite)
    vocabulary = bond_vocabulary(molecules.atomic_numbers) or "geom"
    check_names(protocol, vocabulary)

    scores = list(run(PROTOCOLS[protocol].score, molecules, vocabulary, "Validity", progress))
    rows = [i for i, score in enumerate(scores) if score.valid and score.connected]
    funnel = {"generated": len(molecules), f"valid ({protocol})": len(rows)}
    seen: dict[str, int] = {}
    for i in rows:
        seen.setdefault(scores[i].smiles, i)
    funnel["unique"] = len(seen)
    if suite is not None:
        seen = _sound(molecules, seen, suite, progress)
        funnel[f"sound ({load_suite(suite).name})"] = len(seen)
    if reference is not None:
        known = reference_smiles(reference, protocol, vocabulary, progress)
        seen = {smiles: i for smiles, i in seen.items() if smiles not in known}
        funnel["novel"] = len(seen)

    chosen = np.fromiter(seen.values(), np.int64, len(seen))
    candidates = _Candidates.build(molecules, chosen, protocol, vocabulary)
    remarks = []
    if max_sa is not None:
        if len(candidates):
            remarks.append(f"the lowest SA score is {candidates.sa.min():.2f}: raise max_sa")
        candidates = candidates[candidates.sa <= max_sa]
        funnel[f"SA score up to {max_sa:g}"] = len(candidates)
    predicted, uncertainty = _predict(judge, candidates.molecules, targets)
    readable = np.isfinite(predicted).all(1)
    funnel["predictable"] = int(readable.sum())
    candidates, predicted = candidates[readable], predicted[readable]
    uncertainty = None if uncertainty is None else uncertainty[readable]
    distance = distances_to(predicted, uncertainty, targets)
    order = np.argsort(distance, kind="stable")
    if any(np.isfinite(target.tolerance) for target in targets):
        inside = within(predicted, targets)
        if len(order):
            remarks.append(_closest(predicted[order[0]], targets))
        order = order[inside[order]]
        funnel["within the tolerance"] = len(order)
    order = order[:top]
    funnel["kept"] = len(order)
    return DesignResult.build(
        candidates.molecules[order],
        [candidates.mols[i] for i in order],
        _table(candidates, predicted, uncertainty, distance, targets).iloc[order],
        funnel,
        targets,
        remarks,
    )


def _sound(
    molecules: MoleculeBatch, seen: dict[str, int], suite: Any, progress: bool
) -> dict[str, int]:
    """Those of the molecules, by SMILES, that pass the checks of a suite."""
    if not seen:
        return seen
    rows = list(seen.values())
    checks = replace(load_suite(suite), comparisons=(), sets=())
    sound = judge_molecules(molecules[rows], suite=checks, progress=progress).per_molecule["sound"]
    return {smiles: i for (smiles, i), good in zip(seen.items(), sound, strict=True) if good}


def find_predictor(predictor: Any) -> Predictor:
    """A predictor from its name, a property model or a predictor."""
    if isinstance(predictor, str | Path):
        predictor = EGNNPropertyModel.from_pretrained(predictor)
    return as_predictor(predictor)


class _Candidates:
    """Molecules with their bonds, SA scores and numbers among all that were generated."""

    def __init__(
        self, molecules: MoleculeBatch, mols: list[Chem.Mol], sa: np.ndarray, index: np.ndarray
    ) -> None:
        self.molecules, self.mols, self.sa, self.index = molecules, mols, sa, index

    @classmethod
    def build(
        cls, molecules: MoleculeBatch, chosen: np.ndarray, protocol: str, vocabulary: str
    ) -> _Candidates:
        part = molecules[chosen]
        mols = list(run(PROTOCOLS[protocol].structure, part, vocabulary, "Structures", False))
        if part.graphs is not None:
            owns = part.to_rdkit()
            good = [
                given and _closed(own)
                for own, given in zip(owns, part.graphs.bonds_given, strict=True)
            ]
            mols = [o if ok else mol for o, ok, mol in zip(owns, good, mols, strict=True)]
            graphs = [part.graph(i) if ok else None for i, ok in enumerate(good)]
            part = replace(part, graphs=MolecularGraphs.join(graphs, part.counts.tolist()))
        smiles = [smiles_of(mol) for mol in mols]
        part = replace(part, _smiles=smiles, _reasons=[None] * len(smiles))
        return cls(part, mols, sa_scores(mols), chosen)

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, keep: np.ndarray) -> _Candidates:
        rows = np.flatnonzero(keep)
        mols = [self.mols[i] for i in rows]
        return _Candidates(self.molecules[rows], mols, self.sa[rows], self.index[rows])


def _top(top: int, keep: Any) -> int:
    """How many to choose, by the old name of the argument if that was given."""
    if keep is None:
        return top
    if isinstance(keep, bool) or not isinstance(keep, int | np.integer):
        raise ValueError(
            f"keep={keep!r} names atoms of a molecule to build around: give the molecule, start=; "
            "how many molecules to choose is top="
        )
    warn_caller(f"keep={keep} is called top={keep} now: how many to choose", DeprecationWarning)
    return int(keep)


def _check_part(start: Any, part: Mapping[str, Any]) -> None:
    """Refuse a part of nothing, and a number where atoms are to be named."""
    without = start is None or isinstance(start, Given)
    for name, value in part.items():
        if without and value is not None:
            raise ValueError(f"{name}={value!r} is about a part of a molecule: give it as start=")
    keep = part["keep"]
    if isinstance(keep, int | np.integer) and not isinstance(keep, bool):
        raise ValueError(
            f"keep={keep}: beside start= it names the atoms that stay, keep=[{keep}] for one; how "
            f"many molecules to choose is top={keep}"
        )


def _closed(mol: Chem.Mol | None) -> bool:
    """Whether these bonds leave no electron unpaired, as those that the protocol found."""
    if mol is None:
        return False
    mol = Chem.Mol(mol)
    Chem.AssignRadicals(mol)  # a graph of a model says nothing about them
    return not any(atom.GetNumRadicalElectrons() for atom in mol.GetAtoms())


def _check(n: int, top: int, max_sa: float | None, protocol: str, suite: Any = None) -> None:
    check_names(protocol, "qm9")
    if suite is not None:
        load_suite(suite).require()
    if n < 1:
        raise ValueError(f"there must be molecules to choose from: n is {n}")
    if top < 1:
        raise ValueError(f"top must be at least 1, not {top}")
    if max_sa is not None and not 1 <= max_sa <= 10:
        raise ValueError(f"max_sa must lie between 1 (easy) and 10 (hard), not {max_sa}")


def _predict(
    judge: Predictor, molecules: MoleculeBatch, targets: list[Target]
) -> tuple[np.ndarray, np.ndarray | None]:
    """Predictions and, if the predictor has them, standard deviations of the targets: (N, T)."""
    columns = [list(judge.tasks).index(target.name) for target in targets]
    sure = getattr(judge, "has_uncertainty", False)
    if not len(molecules):
        nothing = np.zeros((0, len(targets)))
        return nothing, nothing if sure else None
    if sure:
        predicted, uncertainty = judge.predict_with_uncertainty(molecules)
        return predicted[:, columns], uncertainty[:, columns]
    return np.asarray(judge.predict(molecules), np.float64)[:, columns], None


def _table(
    candidates: _Candidates,
    predicted: np.ndarray,
    uncertainty: np.ndarray | None,
    distance: np.ndarray,
    targets: list[Target],
) -> pd.DataFrame:
    import pandas as pd

    columns: dict[str, Any] = {"molecule": candidates.index, "smiles": candidates.molecules.smiles}
    for k, target in enumerate(targets):
        columns[f"{target.name}_predicted"] = predicted[:, k] / target.factor
        if uncertainty is not None:
            columns[f"{target.name}_uncertainty"] = uncertainty[:, k] / target.factor
    columns["distance"] = distance
    if uncertainty is not None and any(np.isfinite(target.tolerance) for target in targets):
        columns["chance_within"] = chance_within(predicted, uncertainty, targets)
    columns["sa_score"] = candidates.sa
    return pd.DataFrame(columns)


def _closest(predicted: np.ndarray, targets: list[Target]) -> str:
    values = ", ".join(
        f"{target.name}={target.show(value)}"
        for target, value in zip(targets, predicted, strict=True)
    )
    return f"the closest is predicted to have {values}: raise the tolerance"
