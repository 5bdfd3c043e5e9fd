"""Stability, validity, uniqueness and novelty of a set of molecules."""

from __future__ import annotations

from typing import Any

from deepchem_ead.keywords import check_keywords
from deepchem_ead.metrics.inputs import as_batch
from deepchem_ead.metrics.protocols import PROTOCOLS, check_names, run, vocabulary_of
from deepchem_ead.metrics.reference import reference_smiles
from deepchem_ead.metrics.report import MetricsReport
from deepchem_ead.metrics.sets.edm import AtomStability, Novelty, Uniqueness, share
from deepchem_ead.metrics.sets.sample import Sample

_ROW_FIELDS = ("stable", "n_stable", "n_atoms", "smiles", "valid", "n_fragments", "connected")


@check_keywords()
def evaluate_molecules(
    molecules: Any,
    protocol: str = "edm",
    vocabulary: str | None = None,
    reference: Any = None,
    progress: bool = True,
) -> MetricsReport:
    """Judge molecules by their coordinates, or with "corrected" by their bonds.

    Parameters
    ----------
    molecules : MoleculeBatch, DeepChem dataset or sequence of rdkit.Chem.Mol
        A dataset has X of shape (N, max_atoms, 4), 5 with formal charges, 11 with bonds. Bonds are
        used by "corrected" only. None counts as an invalid molecule.
    protocol : {"edm", "strict", "corrected"}
        "edm" is the field's: see :mod:`deepchem_ead.metrics.edm`. "strict" knows charges and
        refuses fragments and radicals: see :mod:`deepchem_ead.metrics.strict`. "corrected" judges
        the bonds that molecules came with: see :mod:`deepchem_ead.metrics.corrected`.
    vocabulary : {"qm9", "geom"}, optional
        H C N O F, or the sixteen elements of GEOM-Drugs; with "edm" also how validity is judged. By
        default "qm9" if the molecules have no other elements, "geom" otherwise; reference molecules
        with elements beyond it, which can equal none, are then left out.
    reference : optional
        Known molecules, for novelty: see
        :func:`deepchem_ead.metrics.reference.reference_smiles`.
    progress : bool
        Show a progress bar if it takes more than a few seconds.

    Returns
    -------
    MetricsReport

    Raises
    ------
    ValueError
        No molecules; unknown protocol or vocabulary.
    MoleculeError
        Element outside the vocabulary; names the molecule and the element.

    References
    ----------
    EDM, Hoogeboom et al., arXiv:2203.17003, section 5. Molecules without atoms or with non-finite
    coordinates are invalid and unstable here in both protocols (a deviation from EDM's code).

    Examples
    --------
    >>> from deepchem_ead.chem.molecules import MoleculeBatch
    >>> water = [[0.0, 0.0, 0.0], [0.96, 0.0, 0.0], [-0.24, 0.93, 0.0]]
    >>> report = evaluate_molecules(MoleculeBatch.from_arrays([[8, 1, 1]], [water]))
    >>> report.molecule_stability, report.per_molecule.smiles[0]
    (1.0, '[H]O[H]')
    """
    import pandas as pd

    check_names(protocol, vocabulary or "qm9")
    batch = as_batch(molecules)
    inferred = vocabulary is None
    vocabulary = vocabulary_of(batch.atomic_numbers) if vocabulary is None else vocabulary
    n = len(batch)
    if n == 0:
        raise ValueError("there are no molecules to evaluate; give at least one")
    scores = list(run(PROTOCOLS[protocol].score, batch, vocabulary, "Metrics", progress))
    known = None
    if reference is not None:
        unknown = "skip" if inferred else "raise"
        known = reference_smiles(reference, protocol, vocabulary, progress, unknown)
    sample = Sample(
        {
            "stable_atoms": [score.n_stable for score in scores],
            "n_atoms": [score.n_atoms for score in scores],
            "edm_smiles": [score.smiles for score in scores],
        },
        n,
    )
    reference_sample = Sample({"edm_whole_smiles": known or ()}, len(known or ()))
    return MetricsReport(
        **AtomStability()(sample, reference_sample),
        molecule_stability=share(sum(score.stable for score in scores), n),
        validity=share(sum(score.valid for score in scores), n),
        **Uniqueness()(sample, reference_sample),
        novelty=None if known is None else Novelty()(sample, reference_sample)["novelty"],
        connected=share(sum(score.connected for score in scores), n),
        n_molecules=n,
        per_molecule=pd.DataFrame(
            {key: _column(key, [getattr(s, key) for s in scores]) for key in _ROW_FIELDS}
        ),
        protocol=protocol,
        vocabulary=vocabulary,
        n_reference=None if known is None else len(known),
    )


def _column(key: str, values: list) -> Any:
    import pandas as pd

    # Text columns of pandas turn None into NaN; plain objects keep it.
    return pd.Series(values, dtype=object) if key == "smiles" else values


def atom_stability(molecules: Any, **options: Any) -> float:
    """Share of atoms with an allowed valence; options as in :func:`evaluate_molecules`."""
    return evaluate_molecules(molecules, **options).atom_stability


def molecule_stability(molecules: Any, **options: Any) -> float:
    """Share of molecules whose atoms are all stable; options as in :func:`evaluate_molecules`."""
    return evaluate_molecules(molecules, **options).molecule_stability


def validity(molecules: Any, **options: Any) -> float:
    """Share of valid molecules; options as in :func:`evaluate_molecules`."""
    return evaluate_molecules(molecules, **options).validity


def uniqueness(molecules: Any, **options: Any) -> float:
    """Distinct over valid molecules; options as in :func:`evaluate_molecules`."""
    return evaluate_molecules(molecules, **options).uniqueness


def valid_unique(molecules: Any, **options: Any) -> float:
    """Distinct valid molecules over all; options as in :func:`evaluate_molecules`."""
    return evaluate_molecules(molecules, **options).valid_unique


def connected(molecules: Any, **options: Any) -> float:
    """Share of molecules of one fragment; options as in :func:`evaluate_molecules`."""
    return evaluate_molecules(molecules, **options).connected


def novelty(molecules: Any, reference: Any, **options: Any) -> float:
    """Share of distinct valid molecules not in the reference.

    Parameters and errors are those of :func:`evaluate_molecules`.
    """
    if reference is None:
        raise ValueError("novelty needs a reference: the training molecules or their SMILES")
    return evaluate_molecules(molecules, reference=reference, **options).novelty
