"""Generated molecules as files that an interrupted benchmark finds again.

A *run* is a name and arguments of ``generate``. Its molecules are made part by part: equal seeds
and numbers mean equal initial noise in all runs, whatever the parts, so that runs can be compared
in pairs. A part is ``<run>-<seed>-<first>.xyz`` (``.sdf`` of a model that knows bonds)
and, written last, ``.json``.
"""

from __future__ import annotations

import argparse
import json
import re
import time
from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.conditional import add_sampling_options, check_settings
from deepchem_ead import EADModel, MoleculeBatch, evaluate_molecules
from deepchem_ead.chem.atomic import atomic_path
from deepchem_ead.commands.jobs.datasets import training_data
from deepchem_ead.generation.job import GenerationSettings, generate_batches
from deepchem_ead.generation.options import SamplingOptions
from deepchem_ead.generation.request import Request
from deepchem_ead.metrics import MetricsReport
from deepchem_ead.molnet.qm9pack import qm9pack_version

Runs = dict[str, dict]


def add_options(parser: argparse.ArgumentParser, out: str, n: int) -> None:
    """What every benchmark of a generator takes."""
    parser.add_argument("model", help="folder of a model, or the name of one that is shipped")
    parser.add_argument("--out", type=Path, default=Path(out), help="folder of parts and tables")
    parser.add_argument("--n", type=int, default=n, help="molecules of a run and seed")
    parser.add_argument(
        "--part", type=int, default=250, help="molecules generated and kept at once"
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--precision", default="fp32", choices=["fp32", "bf16"])
    add_sampling_options(parser)
    parser.add_argument(
        "--table-only", action="store_true", help="no new molecules: the table of those there are"
    )


def add_steps_and_sizes(parser: argparse.ArgumentParser) -> None:
    """What those take that do not choose steps and sizes themselves."""
    parser.add_argument("--steps", type=int, help="levels of the grid, all by default")
    parser.add_argument(
        "--sizes",
        default="histogram",
        choices=["histogram", "model"],
        help="numbers of atoms: drawn from those of the data, or left to the model",
    )


def prepare(arguments: argparse.Namespace) -> EADModel:
    """The model of the command line, after a look whether the folder's parts fit to it."""
    if arguments.n % arguments.part:
        raise SystemExit(f"--n {arguments.n} must be a multiple of --part {arguments.part}")
    settings = {
        name: getattr(arguments, name)
        for name in ("model", "part", "precision", "autoguidance", "noise_scale", "closed_shell")
    }
    settings |= {name: getattr(arguments, name, None) for name in ("steps", "sizes")}
    check_settings(arguments.out, settings)
    return EADModel.from_pretrained(arguments.model, precision=arguments.precision)


def generate_parts(model: EADModel, runs: Runs, arguments: argparse.Namespace) -> None:
    """Make the parts that are missing, all runs of a seed before the next seed."""
    if arguments.table_only:
        return
    common = {
        "n_atoms": "free" if getattr(arguments, "sizes", None) == "model" else "histogram",
        "steps": getattr(arguments, "steps", None),
        "autoguidance_scale": arguments.autoguidance,
        "noise_scale": arguments.noise_scale,
        "closed_shell": arguments.closed_shell,
    }
    for seed in arguments.seeds:
        for first in range(0, arguments.n, arguments.part):
            for run, options in runs.items():
                stem = arguments.out / f"{slug(run)}-{seed}-{first:06d}"
                if not stem.with_suffix(".json").exists():
                    record = {"run": run, "first": first, "n": arguments.part, "seed": seed}
                    _make(model, stem, record, common | options)
                    print(
                        f"{run}, seed {seed}, from {first}: {record['seconds']:.0f} s", flush=True
                    )


def slug(name: str) -> str:
    """A run's name as the beginning of a file name."""
    return re.sub(r"[^a-z0-9+]+", "-", name.lower())


def _make(model: EADModel, stem: Path, record: dict, options: dict) -> None:
    chosen = SamplingOptions(seed=record["seed"], **options)
    request = Request(model, record["n"], options=chosen)
    settings = GenerationSettings.resolve(model.config, chosen)
    began = time.perf_counter()
    found = list(
        generate_batches(
            model, record["n"], settings, record["first"], progress=False, request=request
        )
    )
    record["seconds"] = time.perf_counter() - began
    record["evaluations"] = int(sum(part.n_evaluations.sum() for part in found))
    record |= settings.describe() | request.describe()
    molecules = MoleculeBatch.concatenate([part.molecules for part in found])
    if model.config.bonds:
        molecules.to_sdf(stem.with_suffix(".sdf"))
    else:
        molecules.to_xyz(stem.with_suffix(".xyz"))
    with atomic_path(stem.with_suffix(".json")) as temporary:
        temporary.write_text(json.dumps(record, indent=1) + "\n")


@dataclass(frozen=True)
class Scored:
    """All molecules of one run and seed, scored together.

    Attributes
    ----------
    run : str
    seed : int
    edm, strict : MetricsReport
        By EDM's protocol and by the strict one.
    own : MetricsReport or None
        By the molecules' own bonds (the corrected protocol), where they have some.
    evaluations : float
        Network evaluations a molecule took, decoding included; mean.
    seconds : float
        Per molecule.
    """

    run: str
    seed: int
    edm: MetricsReport
    strict: MetricsReport
    own: MetricsReport | None
    evaluations: float
    seconds: float

    @property
    def per_molecule(self) -> np.ndarray:
        """Share of stable atoms, whether all are, whether it is valid: (n, 3)."""
        rows = self.edm.per_molecule
        share = rows.n_stable / rows.n_atoms.clip(lower=1)
        return np.column_stack([share, rows.stable, rows.valid]).astype(float)


def chosen_runs(parser: argparse.ArgumentParser, known: Runs, names: list[str] | None) -> Runs:
    """The runs of these names, all without any; a name that is not known ends the program."""
    unknown = [name for name in names or () if name not in known]
    if unknown:
        parser.error(f"no run {unknown[0]!r}; there are: {'; '.join(known)}")
    return {name: known[name] for name in names or known}


def molecule_file(record: Path) -> Path:
    """The file of a part's molecules, from that of its record."""
    with_bonds = record.with_suffix(".sdf")
    return with_bonds if with_bonds.exists() else record.with_suffix(".xyz")


def read_parts(
    folder: Path, runs: Collection[str] | None = None
) -> dict[tuple[str, int], tuple[MoleculeBatch, list[dict]]]:
    """Molecules and records of a folder by run and seed, in the order of their numbers.

    With ``runs`` only those of these names.
    """
    groups = defaultdict(list)
    for path in folder.glob("*.json"):
        record = json.loads(path.read_text())
        if "run" in record and (runs is None or record["run"] in runs):
            groups[record["run"], record["seed"]].append((record["first"], path, record))
    found = {}
    for key, parts in sorted(groups.items()):
        parts.sort(key=lambda part: part[0])
        expected = np.cumsum([0] + [part[2]["n"] for part in parts[:-1]]).tolist()
        if [part[0] for part in parts] != expected:
            raise SystemExit(f"{folder}: {key[0]}, seed {key[1]} has gaps; generate the rest first")
        batches = [MoleculeBatch.read(molecule_file(path)) for _, path, _ in parts]
        found[key] = MoleculeBatch.concatenate(batches), [part[2] for part in parts]
    return found


def score_parts(folder: Path, runs: Runs, reference=None) -> list[Scored]:
    """Score what there is of the runs; with a reference (SMILES or dataset) also novelty."""
    rows = []
    for (run, seed), (molecules, records) in read_parts(folder, runs).items():
        edm = evaluate_molecules(molecules, reference=reference, progress=False)
        strict = evaluate_molecules(molecules, protocol="strict", progress=False)
        own = None
        if molecules.graphs is not None:
            own = evaluate_molecules(molecules, protocol="corrected", progress=False)
        evaluations, seconds = (
            sum(record[name] for record in records) / len(molecules)
            for name in ("evaluations", "seconds")
        )
        rows.append(Scored(run, seed, edm, strict, own, evaluations, seconds))
    return rows


def known_molecules():
    """Training molecules that novelty is measured against: QM9's, or the sample's without it."""
    return training_data("qm9" if qm9pack_version() else "qm9-sample")


def make_and_score(model: EADModel, runs: Runs, arguments: argparse.Namespace) -> list[Scored]:
    """Make the parts that are missing and score all there are."""
    generate_parts(model, runs, arguments)
    return score_parts(arguments.out, runs, known_molecules())


def write_table(folder: Path, name: str, text: str) -> None:
    """Keep a table beside the parts and print it."""
    (folder / name).write_text(text + "\n")
    print(text)
