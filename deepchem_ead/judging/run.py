"""``judge``: a report on any set of molecules."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from deepchem_ead.cache import cache_folder
from deepchem_ead.judging.inputs import Entry, entries_of, vocabulary_of_entries
from deepchem_ead.judging.references import Reference, find_reference
from deepchem_ead.judging.report import Report, summary_frame, versions
from deepchem_ead.judging.rows import Row, run_rows
from deepchem_ead.judging.summary import Known, compare, numbers, sample_of, table
from deepchem_ead.keywords import check_keywords
from deepchem_ead.metrics.checks.check import Check
from deepchem_ead.metrics.sets.number import Number
from deepchem_ead.metrics.suites.suite import Suite, digest, load_suite
from deepchem_ead.workers import cores

#: Molecules of a reference that distributions are compared with.
REFERENCE_SAMPLE = 10_000
#: Held-out molecules that slow checks judge: what they say does not depend on the size of a set.
SLOW_SAMPLE = 1_000
_SMALLEST_KEPT = 500  # rows of a reference; fewer are computed anew


@check_keywords()
def judge(
    molecules: Any,
    reference: Any = None,
    suite: str | os.PathLike | Mapping[str, Any] | Suite = "standard",
    *,
    held_out: Any = None,
    workers: int | None = None,
    time_limit: float = 60.0,
    cache: str | os.PathLike | None = None,
    seed: int = 0,
    progress: bool = True,
) -> Report:
    """Judge a set of molecules: every molecule by itself, and the set beside held-out ones.

    Parameters
    ----------
    molecules : MoleculeBatch, DeepChem dataset, sequence of rdkit.Chem.Mol, path or list of paths
        Bonds that came with them are believed. What cannot be read, None included, keeps its row.
    reference : optional
        Known molecules: a data set's name ("qm9"), or the same kinds of things. Without one there
        is no comparison and no ceiling.
    suite : str, path, mapping or Suite
        "fast" (milliseconds a molecule), "standard", "full", or your own: see `load_suite`.
    held_out : optional
        Molecules like those of the reference that are not in it, for the ceiling. By default the
        test part of a data set, or else some of the reference, which are compared with the rest.
    workers : int, optional
        Processes; by default one a core.
    time_limit : float
        Seconds a molecule. One that takes longer, or ends its process, loses the check that it did
        so in; ``reasons`` says "timeout" or "crash" and ``details`` in which.
    cache : path, optional
        File that keeps finished molecules, so that an interrupted call goes on where it was.
    seed : int
        Of the choice of held-out molecules.
    progress : bool

    Returns
    -------
    Report

    Raises
    ------
    ValueError
        No molecules; unknown suite, check or option.
    ImportError
        If a package that a check needs is missing; names it.

    Examples
    --------
    >>> from deepchem_ead import MoleculeBatch, judge
    >>> water = [[0.0, 0.0, 0.0], [0.96, 0.0, 0.0], [-0.24, 0.93, 0.0]]
    >>> oxygen = [[0.0, 0.0, 0.0], [0.96, 0.0, 0.0]]
    >>> batch = MoleculeBatch.from_arrays([[8, 1, 1], [8, 1]], [water, oxygen])
    >>> report = judge(batch, suite="fast", progress=False)
    >>> report.per_molecule[["sound", "reasons"]].values.tolist()
    [[True, ''], [False, 'structure;valence']]
    """
    suite = load_suite(suite)
    if reference is None:
        suite = suite.without_reference()
    suite.require()
    entries = entries_of(molecules)
    runner = _Runner(suite, workers or cores(), time_limit, progress)
    found = None
    if reference is not None:
        found = find_reference(reference, held_out, len(entries), seed)
    vocabulary = vocabulary_of_entries(entries)
    rows = runner.rows(entries, suite.checks, suite.features, vocabulary, cache, "Molecules")
    known = known_held = None
    ceiling: dict[str, Number] = {}
    held = None
    if found is not None:
        known, known_held = runner.known(found, vocabulary)
        ceiling, held = runner.ceiling(found, known_held, vocabulary)
    rows = compare(rows, suite, known)
    frame = table(entries, rows, suite)
    values = numbers(frame, entries, rows, suite, known)
    return Report(
        per_molecule=frame,
        summary=summary_frame(values, ceiling),
        entries=entries,
        suite=suite,
        held_out=held,
        info={
            "suite": suite.name,
            "source": ", ".join(dict.fromkeys(entry.file for entry in entries if entry.file)),
            "reference": None if found is None else found.name,
            "n_molecules": len(entries),
            "n_reference": 0 if found is None else len(found.known),
            "n_held_out": 0 if found is None else len(found.held_out),
            "time_limit": time_limit,
            "seed": seed,
            "versions": versions(suite),
        },
    )


class _Runner:
    """Runs a suite on molecules, on a reference, and on held-out molecules."""

    def __init__(self, suite: Suite, workers: int, time_limit: float, progress: bool) -> None:
        self.suite = suite
        self._options: dict[str, Any] = {
            "n_workers": workers, "time_limit": time_limit, "progress": progress,
        }  # fmt: skip

    def rows(
        self, entries: Sequence[Entry], checks: Sequence[Check], features: Sequence[str],
        vocabulary: str | None, cache: str | os.PathLike | None, label: str,
    ) -> list[Row]:  # fmt: skip
        path = None if cache is None else Path(cache)
        return run_rows(
            entries, checks, features, vocabulary, cache=path, label=label, **self._options
        )

    def _kept(
        self, entries: Sequence[Entry], checks: Sequence[Check], features: Sequence[str],
        vocabulary: str | None, label: str,
    ) -> list[Row]:  # fmt: skip
        """Rows that are computed once for all reports."""
        path = None
        if len(entries) >= _SMALLEST_KEPT:
            name = digest(
                [
                    len(entries),
                    [e.key(None) for e in entries[:: len(entries) // 100]],
                    sorted(features),
                    [check.name for check in checks],
                ]
            )
            path = cache_folder() / f"judge-{name}.jsonl"
        return self.rows(entries, checks, features, vocabulary, path, label)

    def known(self, found: Reference, vocabulary: str | None) -> tuple[Known, Known]:
        """The reference as the molecules are compared with it, and as held-out ones are."""
        asked = self.suite.whole_features
        whole = sample_of(self._kept(found.known, (), asked, vocabulary, "Reference"), asked)
        everything = np.arange(len(found.known))
        asked = self.suite.part_features
        both = []
        for kept in (everything, found.others):
            chosen = np.sort(np.random.default_rng(0).permutation(kept)[:REFERENCE_SAMPLE])
            some = [found.known[i] for i in chosen]
            rows = self._kept(some, (), asked, vocabulary, "Reference, distributions")
            all_of_it = len(kept) == len(everything)
            both.append(Known(whole if all_of_it else whole.take(kept), sample_of(rows, asked)))
            if len(found.others) == len(everything):
                return both[0], both[0]
        return both[0], both[1]

    def ceiling(
        self, found: Reference, known: Known, vocabulary: str | None
    ) -> tuple[dict[str, Number], Report | None]:
        """The numbers of the held-out molecules and their report; slow checks see some of them."""
        suite, entries = self.suite, list(found.held_out)
        if not entries:
            return {}, None
        quick = [check for check in suite.checks if not check.slow]
        first = entries[:SLOW_SAMPLE] if len(quick) < len(suite.checks) else entries
        chosen = np.linspace(0, len(entries) - 1, len(first)).round().astype(int)
        slow_rows = self._kept(
            [entries[i] for i in chosen], suite.checks, suite.features, vocabulary, "Ceiling"
        )
        found_rows = dict(zip(chosen.tolist(), slow_rows, strict=True))
        left = [i for i in range(len(entries)) if i not in found_rows]
        others = self._kept(
            [entries[i] for i in left], quick, suite.features, vocabulary, "Ceiling, quick checks"
        )
        found_rows |= dict(zip(left, others, strict=True))
        rows = [found_rows[i] for i in range(len(entries))]
        rows = compare(rows, suite, known)
        frame = table(entries, rows, suite)
        found_numbers = numbers(frame, entries, rows, suite, known)
        if left:  # soundness is of those that all checks have seen
            kept = chosen.tolist()
            some = [rows[i] for i in kept]
            own = table([entries[i] for i in kept], some, suite)
            found_numbers["sound"] = numbers(
                own, [entries[i] for i in kept], some, suite.only_columns(), None
            )["sound"]
        return found_numbers, Report(frame, summary_frame(found_numbers, None), entries, suite)
