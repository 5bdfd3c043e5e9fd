"""One table of all samplers at a number of evaluations, and how far each shifts kinds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks import judged, kinds
from benchmarks.parts import Runs, Scored, read_parts
from benchmarks.tables import markdown, mean_and_error, own_cells
from deepchem_ead import MoleculeBatch
from deepchem_ead.metrics.reference_rows import QM9_ROW, QM9_STRICT_ROW

HEAD = (
    "%", "molecules", "stable", "valid", "strictly valid", "valid and unique", "new, of these",
    "own bonds: stable", "valid, in one piece", "sane", "strain: median / p90", "FCD",
    "s a molecule",
)  # fmt: skip


def report(
    folder: Path, runs: Runs, scored: Sequence[Scored], plain: str, relaxed: int, n_distance: int
) -> str:
    """Markdown: a short table of all, then for each number of evaluations one of quality, of kinds.

    Parameters
    ----------
    folder : Path
        Of the parts.
    runs : dict
        The runs asked for: names that end with a comma and the number of evaluations.
    scored : sequence of Scored
        Those there are.
    plain : str
        Beginning of the name of the sampler that kinds are compared with.
    relaxed : int
        Molecules of a run for GFN2-xTB.
    n_distance : int
        Molecules of a run for the Frechet ChemNet distance; without any it is left out.
    """
    data, held_out = kinds.data_parts()
    batches: dict[str, list[MoleculeBatch]] = {}
    for (run, _), (molecules, _) in read_parts(folder, runs).items():
        batches.setdefault(run, []).append(molecules)
    made = {run: MoleculeBatch.concatenate(batches[run]) for run in runs if run in batches}
    tables = [by_evaluations(scored)]
    for count in sorted({int(run.rpartition(", ")[2]) for run in made}):
        alike = {run: each for run, each in made.items() if run.endswith(f", {count}")}
        perceived = {run: kinds.perceived(each) for run, each in alike.items()}
        distance: dict[str, str] = {}
        if n_distance:
            rows = perceived | {kinds.DATA: data}
            distance, _ = kinds.distances(rows, held_out, n=n_distance)
        body = [
            _cells(run, [row for row in scored if row.run == run])
            + _judged(judged.slow_cells(each[:relaxed], folder, run), distance.get(run, "-"))
            + [f"{_seconds(scored, run):.2f}"]
            for run, each in alike.items()
        ]
        tables += [f"## {count} evaluations", markdown(HEAD, [*body, _data_cells(distance)])]
        named = {run.rpartition(", ")[0]: mols for run, mols in perceived.items()}
        if plain in named:
            tables.append(kinds.temperature_table(named | {kinds.DATA: data}, plain))
        tables.append(kinds.kinds_table(named | {kinds.DATA: data}))
    return "\n\n".join(tables)


def by_evaluations(scored: Sequence[Scored]) -> str:
    """Markdown: stable and strictly valid molecules, a row a sampler, a column a number."""
    found: dict[str, dict[int, str]] = {}
    for run in dict.fromkeys(row.run for row in scored):
        seeds = [row for row in scored if row.run == run]
        stable = mean_and_error([row.edm.molecule_stability for row in seeds])
        strict = mean_and_error([row.strict.validity for row in seeds])
        sampler, _, count = run.rpartition(", ")
        found.setdefault(sampler, {})[int(count)] = f"{stable} / {strict}"
    counts = sorted({count for row in found.values() for count in row})
    body = [[name, *(row.get(count, "-") for count in counts)] for name, row in found.items()]
    return markdown(["stable / strictly valid, %", *map(str, counts)], body)


def _cells(run: str, seeds: Sequence[Scored]) -> list[str]:
    """Name, numbers, and the protocols that read structures alone."""
    names = ("molecule_stability", "validity", "valid_unique", "novelty")
    found = {name: [getattr(row.edm, name) for row in seeds] for name in names}
    stable, valid, unique, new = (
        "-" if None in values else mean_and_error(values) for values in found.values()
    )
    strict = mean_and_error([row.strict.validity for row in seeds])
    n = sum(row.edm.n_molecules for row in seeds)
    number = f"{n:,} of {len(seeds)} seed{'s' * (len(seeds) > 1)}"
    return [run.rpartition(", ")[0], number, stable, valid, strict, unique, new, *own_cells(seeds)]


def _judged(found: list[str], distance: str) -> list[str]:
    """What GFN2-xTB says, and the distance, from `benchmarks.judged`'s cells."""
    n, sane, median, p90, _ = found
    return [f"{sane} ({n})", f"{median} / {p90}", distance]


def _seconds(scored: Sequence[Scored], run: str) -> float:
    found = [row.seconds for row in scored if row.run == run]
    return sum(found) / len(found)


def _data_cells(distance: dict[str, str]) -> list[str]:
    """The data's own row."""
    row = QM9_ROW
    strict = QM9_STRICT_ROW.validity
    values = (row.molecule_stability, row.validity, strict, row.valid_unique)
    shares = ["-" if value is None else f"{100 * value:.1f}" for value in values]
    own = distance.get(kinds.DATA, "-")
    return ["QM9 itself", "130,831", *shares, "-", "-", "-", "-", "-", own, "-"]
