"""Conformers of a SMILES or a file of molecules, written as they are found."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from deepchem_ead import __version__
from deepchem_ead.chem.files import complete_records, file_format, open_writer
from deepchem_ead.chem.molecules import MoleculeBatch
from deepchem_ead.choices import DEFAULT_MODEL
from deepchem_ead.commands.jobs.conformer_input import read_entries
from deepchem_ead.commands.jobs.conformer_table import COLUMNS, Written, keep_complete, rows_of
from deepchem_ead.commands.jobs.file_job import weights_digest
from deepchem_ead.commands.jobs.molecule_file import short_name
from deepchem_ead.commands.jobs.outputs import new_file
from deepchem_ead.conformers.etkdg import ETKDG
from deepchem_ead.conformers.forms import check_kinds
from deepchem_ead.conformers.many import Answer, generate_conformers
from deepchem_ead.conformers.options import ConformerOptions
from deepchem_ead.conformers.protonation import LEVEL, PH
from deepchem_ead.conformers.source import MakeSource
from deepchem_ead.errors import MoleculeError
from deepchem_ead.generation.conformers import START_LEVEL, ModelSources
from deepchem_ead.generation.options import SamplingOptions
from deepchem_ead.generation.trained_tasks import check_task
from deepchem_ead.locks import hold
from deepchem_ead.models.ead import EADModel

_NAMED = 20  # failures that are told


def conformer_file(
    given: str,
    out: Path,
    options: ConformerOptions,
    *,
    method: str | None = None,
    model: str = DEFAULT_MODEL,
    steps: Any = None,
    stepper: str | None = None,
    seed: int = 0,
    forms: Sequence[str] = (),
    max_forms: int = 32,
    use_start: bool = False,
    start_level: float | None = None,
    column: str | None = None,
    resume: bool = False,
) -> tuple[Written, Path]:
    """Write conformers to a file, and a row for each molecule to a table beside it.

    Parameters
    ----------
    given : str
        See `read_entries`.
    out : Path
        Of molecules; the table has the same name and ends with ``.csv``.
    options : ConformerOptions
    method : {"model", "etkdg"}, optional
        What draws conformers; by default the model.
    model : str
        Name or folder of a model.
    steps, stepper
        Of the model, as in ``generate``.
    seed : int
    forms, max_forms, use_start
        See `generate_conformers`.
    start_level : float, optional
        See `EADModel.conformers`.
    column : str, optional
        Column of a table with the SMILES.
    resume : bool
        Keep the molecules that an interrupted job has finished.

    Raises
    ------
    MoleculeError
        If no molecule has any conformers; with the reason.
    ValueError
        If the model knows no conformers, the input cannot be read, a file exists, or files to
        resume are another job's.
    InUseError
        If another process is writing the file.
    """
    file_format(out)
    table = out.with_suffix(".csv")
    for path in (out, table):
        if not resume or path.is_dir():
            new_file(path, ", or pass --resume")
    check_kinds(forms, max_forms)
    in_water = options.relax_level is not None and options.relax_level.name == LEVEL
    if options.ph != PH and not (in_water and "protonation" in forms):
        raise ValueError(
            "--ph is for comparing protonation states: give --enumerate protonation --relax gfn2 "
            "--solvent water, too"
        )
    entries = read_entries(given, column)
    sampling = SamplingOptions(seed=seed, steps=steps, stepper=stepper)
    drawing = _drawing(method, model, sampling, options, use_start, start_level)
    job = drawing.job | _described(options, seed, forms, max_forms, use_start)
    written = Written(molecules=len(entries))
    with hold(out, "writing conformers to it"):
        kept = keep_complete(out, table, entries, job) if resume else []
        for row in kept:
            written.add(row)
        written.kept = len({row["record"] for row in kept})
        try:
            with ExitStack() as stack:
                bar = stack.enter_context(
                    tqdm(total=len(entries), initial=written.kept, desc="conformers", unit="mol",
                         disable=None)
                )  # fmt: skip
                counter = _Counter(bar)
                if isinstance(drawing.make, ModelSources):
                    drawing.make.watch = counter.drawing
                answered = generate_conformers(
                    entries[written.kept :], drawing.make, options, forms, max_forms, use_start,
                    counter,
                )  # fmt: skip
                output = _Output(stack, out, table, None if kept else job, options, seed)
                for answers in answered:
                    output.write(answers, written)
                    bar.update()
        finally:
            if not written.done:
                for path in (out, table) if written.failed < 2 else (out,):
                    path.unlink(missing_ok=True)
    if not written.done:
        first = written.failures[0]
        if written.failed > 1:
            first = f"none of {len(entries):,} molecules has conformers (see {table}); {first}"
        raise MoleculeError(first)
    return written, table


def why_left_out(options: ConformerOptions) -> dict[str, str]:
    """Why conformers were not written, by column of the table."""
    return {
        "pruned": f"nearer than {options.prune:g} A to another one",
        "outside_window": f"more than {options.window} kcal/mol above the lowest",
        "not_kept": f"beyond the lowest {options.keep}",
    }


def what_is_safe(out: Path) -> str:
    """How much of an interrupted `conformer_file` is there, and how to go on."""
    if not out.exists():
        return "nothing written"
    kind = file_format(out)
    count = complete_records(out, kind)[0]
    return f"{count:,} conformers in {out}" + ("" if kind == "smi" else "; --resume adds the rest")


def _described(
    options: ConformerOptions, seed: int, forms: Sequence[str], max_forms: int, use_start: bool
) -> dict[str, Any]:
    """What decides besides the source which conformers a job gives, by the options' names."""
    described = asdict(options) | {
        "version": __version__, "seed": seed, "enumerate": ",".join(sorted(forms)) or None,
        "max_forms": max_forms, "start": use_start,
    }  # fmt: skip
    return json.loads(json.dumps(described))


class _Counter:
    """Shows how many conformers there are, and how far a drawing is."""

    def __init__(self, bar: tqdm) -> None:
        self._bar, self._n = bar, 0

    def __call__(self, n: int) -> None:
        self._n += n
        self._bar.set_postfix(conformers=self._n)

    def drawing(self, share: float) -> None:
        """Show how much is done of those that are drawn at present."""
        self._bar.set_postfix(conformers=self._n, drawing=f"{share:.0%}")


class _Drawing(NamedTuple):
    """What draws conformers, and what decides of it which ones, by the options' names."""

    make: MakeSource
    job: dict[str, Any]


def _drawing(
    method: str | None,
    model: str,
    sampling: SamplingOptions,
    options: ConformerOptions,
    use_start: bool,
    start_level: float | None,
) -> _Drawing:
    if start_level is not None and (method == "etkdg" or not use_start):
        raise ValueError("--start-level is for a model that begins at coordinates: give --start")
    level = START_LEVEL if start_level is None else start_level
    if method == "etkdg":
        for name in ("steps", "stepper"):
            if getattr(sampling, name) is not None:
                raise ValueError(f"--{name} is for a model, and ETKDGv3 is none: leave it out")
        seed = sampling.seed or 0
        return _Drawing(
            lambda molecule, name: ETKDG(molecule, name, seed, options.trans_amides),
            {"method": "etkdg"},
        )
    loaded = EADModel.from_pretrained(model)
    try:
        check_task(loaded.config, "conformer", bonds=True)
    except ValueError as error:
        raise ValueError(
            f"{error}; or take --method etkdg, RDKit's ETKDGv3, which needs no model"
        ) from None

    make = ModelSources(loaded, sampling, start_level=level, method=f"model {short_name(model)}")
    settings = make.describe()
    job = {
        "method": "model", "model": short_name(model), "weights": weights_digest(loaded),
        "steps": settings["steps"], "stepper": settings["stepper"],
        "schedule": settings["schedule_options"], "start_level": level if use_start else None,
    }  # fmt: skip
    return _Drawing(make, json.loads(json.dumps(job)))


class _Output:
    """The file of molecules and the table beside it; what is there already stays."""

    def __init__(
        self,
        stack: ExitStack,
        out: Path,
        table: Path,
        job: Mapping[str, Any] | None,
        options: ConformerOptions,
        seed: int,
    ) -> None:
        self._molecules = stack.enter_context(open_writer(out, append=True))
        self._stream = stack.enter_context(open(table, "a", newline="", encoding="utf-8"))
        self._rows = csv.DictWriter(self._stream, COLUMNS)
        if not table.stat().st_size:
            self._rows.writeheader()
        self._job, self._options, self._seed = job, options, seed

    def write(self, answers: Sequence[Answer], written: Written) -> None:
        """Write all forms of a molecule, then what became of them."""
        for answer in answers:
            if answer.ensemble is not None:
                self._molecules.write(conformer_batch(answer, self._seed))
        rows = rows_of(answers, self._options.n, self._seed)
        if self._job is not None:
            rows[0]["job"], self._job = json.dumps(self._job), None
        self._rows.writerows(rows)
        self._stream.flush()
        for row in rows:
            written.add(row)


def conformer_batch(answer: Answer, seed: int) -> MoleculeBatch:
    """The conformers of a molecule as molecules, which say where they come from."""
    ensemble, entry = answer.ensemble, answer.entry
    assert ensemble is not None
    conformers = list(ensemble.mol.GetConformers())
    parts = [MoleculeBatch.from_rdkit([ensemble.mol], c.GetId()) for c in conformers]
    size = len(conformers)
    told = ensemble.told()
    same: dict[str, Any] = {
        "input_record": entry.number, "input": entry.text,
        "form": answer.form, "method": told["method"], "relaxed": told["relaxed"],
        **{
            name: told[name]
            for name in ("energy_level", "compared", "redrawn", "start", "notes")
            if name in told
        },
        "seed": seed,
    }  # fmt: skip
    properties: dict[str, np.ndarray] = {
        name: np.full(size, value) for name, value in same.items() if value != ""
    }
    properties["conformer"] = np.arange(1, size + 1)
    properties["origin"] = np.array([c.GetProp("origin") for c in conformers])
    if ensemble.energies is not None:
        for name, key in (
            ("energy_kcal_mol", "energy"), ("relative_energy_kcal_mol", "relative_energy"),
            ("boltzmann_weight", "weight"),
        ):  # fmt: skip
            values = [round(c.GetDoubleProp(key), 6) for c in conformers]
            properties[name] = np.array(values)
    if ensemble.form_free_energy is not None:
        properties["form_free_energy_kcal_mol"] = np.full(size, round(ensemble.form_free_energy, 3))
    ids = [entry.name or f"molecule-{entry.number}"] * size
    return replace(MoleculeBatch.concatenate(parts), ids=ids, properties=properties)


def named_failures(written: Written) -> Iterator[str]:
    """Molecules without conformers, the first of them by name."""
    yield from written.failures[:_NAMED]
    if written.failed > _NAMED:
        yield f"and {written.failed - _NAMED:,} more"
