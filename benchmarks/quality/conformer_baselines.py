"""Conformers of QM9's test graphs by RDKit or a model, relaxed or not, beside DFT and ensembles.

    python -m benchmarks.conformer_baselines [--n 500] [--ensembles FOLDER] [--out results.json]
    python -m benchmarks.conformer_baselines --model qm9 --steps 100 [--begin 300] [...]

Two conformers of each graph are drawn and, by row, relaxed; the nearer one's RMSD to the DFT
geometry (heavy atoms, symmetry-corrected) is what counts, its median over graphs with an error from
a thousand resamples of the graphs. Graphs that get no conformer are counted, and as far as any of
them count as far away. Seconds are processor time of one thread a conformer, relaxation included.

``--ensembles`` (from ``deepchem-ead data build conformers-qm9``) adds coverage and matching of
twice as many conformers as each reference has, the field's rule, at 0.5 and 0.05 Angstrom; and the
share of the references that each of the searches missed whose union they are. ``--limit`` takes
the first so many. A build that is not finished is measured as far as it is.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from rdkit import Chem
from tqdm import tqdm

from benchmarks.tables import markdown
from deepchem_ead import EADModel
from deepchem_ead.conformers import (
    ETKDG,
    ConformerOptions,
    Entry,
    MakeSource,
    generate_conformers,
)
from deepchem_ead.databuild.conformer_sets import QM9Graphs
from deepchem_ead.generation.conformers import START_LEVEL, ModelSource, ModelSources
from deepchem_ead.generation.options import SamplingOptions
from deepchem_ead.metrics import evaluate_conformers
from deepchem_ead.metrics.rmsd import best_rmsds, graph_matches, heavy_positions
from deepchem_ead.molnet import load_conformers

#: Rows after what draws, and what relaxes.
ROWS = {"as drawn": None, "+ MMFF94s": "mmff94", "+ ANI-2xt": "ani2xt", "+ GFN2-xTB": "gfn2"}
BEST_OF = 2
#: Conformers of ETKDGv3 that a model begins at, in turn.
BEGUN = 20
TRIES = 2  # strained cages take RDKit seconds an attempt
THRESHOLDS = (0.5, 0.05)
RESAMPLES = 1000


class Drawn(NamedTuple):
    """Conformers of each graph, None where there are none, and the seconds of each conformer."""

    mols: list[Chem.Mol | None]
    seconds: float


def draw(
    mols: Sequence[Chem.Mol], numbers: Sequence[int], source: MakeSource, row: str, of: str
) -> Drawn:
    """So many conformers of each molecule with hydrogens and stereo labels."""
    entries = []
    for k, (mol, n) in enumerate(zip(mols, numbers, strict=True), 1):
        graph = Chem.Mol(mol)
        graph.RemoveAllConformers()
        entries.append(Entry(k, "", "", graph, n=n))
    start = time.process_time()
    options = ConformerOptions(tries=TRIES, relax=ROWS[row])
    answers = generate_conformers(entries, source, options)
    found = [
        None if answer.ensemble is None else answer.ensemble.mol
        for (answer,) in tqdm(answers, desc=f"{row}, {of}", total=len(entries))
    ]
    made = sum(mol.GetNumConformers() for mol in found if mol is not None)
    return Drawn(found, (time.process_time() - start) / max(made, 1))


def begun(models: ModelSources) -> MakeSource:
    """A model that begins at ETKDGv3's conformers, from noise where there are none."""

    def make(molecule: Chem.Mol, name: str) -> ModelSource:
        source = models(molecule, name)
        drawn = ETKDG(molecule, name).draw(BEGUN, 0)
        return source.starting_at(drawn)[0] if drawn else source

    return make


def nearest(mol: Chem.Mol | None, given: Chem.Mol) -> float:
    """RMSD in Angstrom of the nearest conformer to a geometry; infinite without any."""
    if mol is None:
        return math.inf
    matches = graph_matches(given, mol)
    return float(best_rmsds(heavy_positions(given), heavy_positions(mol), matches).min())


def median_and_error(values: np.ndarray) -> tuple[float, float]:
    """Median and its error by resampling."""
    rng = np.random.default_rng(0)
    drawn = np.median(rng.choice(values, (RESAMPLES, len(values))), axis=1)
    return float(np.median(values)), float(drawn.std())


def error_of_mean(values: np.ndarray) -> float:
    """Error of a mean over molecules by resampling, those without a value left out."""
    known = values[np.isfinite(values)]
    rng = np.random.default_rng(0)
    return float(rng.choice(known, (RESAMPLES, len(known))).mean(axis=1).std())


def missed_shares(table: pd.DataFrame) -> dict[str, tuple[float, float]]:
    """Share of a reference that each search missed, and its error."""
    names = [name for name in table if name.startswith("missed_")]
    return {
        name.removeprefix("missed_"): (
            float(table[name].mean()),
            error_of_mean(table[name].to_numpy()),
        )
        for name in names
    }


def beside_geometries(
    given: list[Chem.Mol], rows: Sequence[str], source: MakeSource
) -> list[dict[str, float | str]]:
    """Best of two beside DFT."""
    table = []
    for row in rows:
        drawn = draw(given, [BEST_OF] * len(given), source, row, "beside DFT")
        values = np.array([nearest(m, g) for m, g in zip(drawn.mols, given, strict=True)])
        median, error = median_and_error(values)
        table.append(
            {
                "row": row,
                "median": median,
                "error": error,
                "p90": float(np.quantile(values, 0.9)),
                "below_0.05": float((values < 0.05).mean()),
                "failed": int(np.isinf(values).sum()),
                "seconds": drawn.seconds,
                "n": len(values),
            }
        )
    return table


def beside_ensembles(
    references: list[Chem.Mol], rows: Sequence[str], source: MakeSource
) -> list[dict[str, float | str]]:
    """Coverage and matching, failures as missed; errors of the means over molecules."""
    table = []
    numbers = [2 * mol.GetNumConformers() for mol in references]
    for row in rows:
        drawn = draw(references, numbers, source, row, "ensembles")
        report = evaluate_conformers(references, drawn.mols, THRESHOLDS, "missed")
        for threshold in THRESHOLDS:
            means = report.summary.loc[threshold, "missed"]
            table.append(
                {"row": row, "threshold": threshold, "failed": int(means["failed"])}
                | {name: float(means[name]) for name in _SCORES}
                | {
                    f"{name}_error": error_of_mean(
                        report.per_molecule.xs(threshold, level="threshold")[name].to_numpy()
                    )
                    for name in _SCORES
                }
                | {"n": len(references), "stereo_kept": float(means["stereo_kept"])}
                | {"seconds": drawn.seconds}
            )
    return table


_SCORES = ("cov_recall", "amr_recall", "cov_precision", "amr_precision")


def main() -> None:
    """Measure and print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--n", type=int, default=500, help="graphs beside DFT")
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS)[:3])
    parser.add_argument("--model", help="that draws them, instead of ETKDGv3")
    parser.add_argument("--steps", type=int, help="of the model")
    parser.add_argument("--stepper", help="of the model")
    parser.add_argument("--schedule", help="of the model")
    parser.add_argument("--precision", default="fp32", choices=["fp32", "bf16"])
    parser.add_argument("--begin", type=float, metavar="LEVEL", help="of noise, on ETKDGv3's")
    parser.add_argument("--ensembles", type=Path, help="folder of reference ensembles")
    parser.add_argument("--limit", type=int, help="ensembles to measure, at most")
    parser.add_argument("--out", type=Path, help="JSON file to write")
    options = parser.parse_args()
    source: MakeSource = ETKDG
    if options.model:
        model = EADModel.from_pretrained(options.model, precision=options.precision)
        sampling = SamplingOptions(
            steps=options.steps, stepper=options.stepper, schedule=options.schedule, seed=0
        )
        models = ModelSources(model, sampling, start_level=options.begin or START_LEVEL)
        source = models if options.begin is None else begun(models)
    elif options.begin is not None:
        parser.error("--begin is a --model's")

    print(f"drawn by {options.model or 'ETKDGv3'}")
    result: dict[str, list[dict[str, float | str]]] = {"geometries": [], "ensembles": []}
    if options.n:
        graphs = QM9Graphs().graphs(options.n, Path("."))
        given = [graph.mol for graph in graphs if graph.mol is not None]
        result["geometries"] = beside_geometries(given, options.rows, source)
        print(
            markdown(
                ["", "RMSD, A", "90 % below", "below 0.05 A", "failed", "s"],
                [
                    [
                        r["row"], f"{r['median']:.3f} ± {r['error']:.3f}", f"{r['p90']:.2f}",
                        f"{100 * r['below_0.05']:.0f} %", str(r["failed"]), f"{r['seconds']:.3f}",
                    ]
                    for r in result["geometries"]
                ],
            )
        )  # fmt: skip
    if options.ensembles:
        ensembles = load_conformers(options.ensembles, "test")
        references = ensembles.mols[: options.limit]
        table = ensembles.table[: options.limit]
        sizes = table["n_conformers"]
        print(
            f"\n{len(references)} reference ensembles of {sizes.mean():.1f} conformers (median "
            f"{sizes.median():g}, at most {sizes.max()}); of a reference a search missed"
        )
        for name, (share, error) in missed_shares(table).items():
            print(f"  {name}: {100 * share:.1f} ± {100 * error:.1f} %")
        result["ensembles"] = beside_ensembles(references, options.rows, source)
        print(
            markdown(
                ["", "A", "COV-R", "AMR-R", "COV-P", "AMR-P", "failed", "s"],
                [
                    [r["row"], f"{r['threshold']:g}"]
                    + [f"{r[name]:.3f} ± {r[f'{name}_error']:.3f}" for name in _SCORES]
                    + [str(r["failed"]), f"{r['seconds']:.3f}"]
                    for r in result["ensembles"]
                ],
            )
        )
    if options.out:
        options.out.write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
