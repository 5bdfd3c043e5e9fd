"""Conformers of a SMILES or a file of molecules, written as they are found."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from rdkit import Chem
from tqdm import tqdm

from deepchem_ead.chem.files import file_format, open_writer
from deepchem_ead.chem.molecules import MoleculeBatch
from deepchem_ead.commands.jobs.conformer_input import read_entries
from deepchem_ead.commands.jobs.molecule_file import short_name
from deepchem_ead.commands.jobs.outputs import new_file
from deepchem_ead.conformers.ensemble import Ensemble
from deepchem_ead.conformers.etkdg import ETKDG
from deepchem_ead.conformers.forms import check_kinds
from deepchem_ead.conformers.many import Answer, generate_conformers
from deepchem_ead.conformers.options import ConformerOptions
from deepchem_ead.conformers.search import in_words
from deepchem_ead.conformers.source import MakeSource, Source
from deepchem_ead.errors import MoleculeError
from deepchem_ead.generation.conformers import ModelSource
from deepchem_ead.generation.editing import LEVEL
from deepchem_ead.generation.options import SamplingOptions
from deepchem_ead.generation.trained_tasks import check_task
from deepchem_ead.models.ead import EADModel

_NAMED = 20  # failures that are told
#: Columns of the table beside the file: a row for each form of each record.
COLUMNS = (
    "record", "name", "input", "form", "smiles", "status", "reason", "conformers", "asked", "drawn",
    "redrawn", "pruned", "outside_window", "not_kept", "method", "relaxed", "energy_level",
    "lowest_energy_kcal_mol", "compared", "form_free_energy_kcal_mol", "seed", "start", "notes",
)  # fmt: skip


@dataclass
class Written:
    """What `conformer_file` has done.

    Attributes
    ----------
    conformers : int
    done, failed : int
        Forms of molecules.
    molecules : int
        Records of the input.
    redrawn : Counter
        What was wrong with conformers that were drawn again.
    left_out : Counter
        Conformers that were not written, by reason.
    failures : list of str
    method : str
    starts : Counter
        What came of conformers that were given, and for how many forms of molecules.
    """

    molecules: int = 0
    conformers: int = 0
    done: int = 0
    redrawn: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    method: str = ""
    starts: Counter[str] = field(default_factory=Counter)

    @property
    def failed(self) -> int:
        """Forms of molecules without conformers."""
        return len(self.failures)

    def summary(self, given: str, out: Path, table: Path) -> str:
        """A few lines for a person."""
        what = given if self.molecules == 1 else f"{self.molecules:,} molecules"
        plural = "s" * (self.conformers != 1)
        lines = [f"{self.conformers:,} conformer{plural} of {what} in {out} ({self.method})"]
        for what, count in self.starts.items():
            lines.append(
                what
                if count == self.molecules
                else f"{what} ({count:,} of {self.molecules:,} molecules)"
            )
        if self.redrawn:
            lines.append(f"wrong, and drawn again: {in_words(self.redrawn)}")
        left_out = [f"{why} {count:,}" for why, count in self.left_out.items() if count]
        if left_out:
            lines.append(f"left out: {', '.join(left_out)}")
        if self.failed:
            lines.append(f"without conformers: {self.failed:,}; their reasons are in {table}")
        return "\n".join(lines)


def conformer_file(
    given: str,
    out: Path,
    options: ConformerOptions,
    *,
    method: str | None = None,
    model: str = "qm9",
    steps: Any = None,
    stepper: str | None = None,
    seed: int = 0,
    forms: Sequence[str] = (),
    max_forms: int = 32,
    use_start: bool = False,
    start_level: float | None = None,
    column: str | None = None,
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

    Raises
    ------
    MoleculeError
        If no molecule has any conformers; with the reason.
    ValueError
        If the model knows no conformers, the input cannot be read or a file exists.
    """
    file_format(out)
    table = out.with_suffix(".csv")
    for path in (out, table):
        new_file(path)
    check_kinds(forms, max_forms)
    entries = read_entries(given, column)
    sampling = SamplingOptions(seed=seed, steps=steps, stepper=stepper)
    make_source = _maker(method, model, sampling, options, use_start, start_level)
    written = Written(molecules=len(entries))
    try:
        with ExitStack() as stack:
            bar = stack.enter_context(
                tqdm(total=len(entries), desc="conformers", unit="mol", disable=None)
            )
            answered = generate_conformers(
                entries, make_source, options, forms, max_forms, use_start, _Counter(bar)
            )
            output = _Output(stack, out, table, options, seed)
            for answers in answered:
                for answer in answers:
                    output.write(answer, written)
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


class _Counter:
    """Shows how many conformers there are."""

    def __init__(self, bar: tqdm) -> None:
        self._bar, self._n = bar, 0

    def __call__(self, n: int) -> None:
        self._n += n
        self._bar.set_postfix(conformers=self._n)


def _maker(
    method: str | None,
    model: str,
    sampling: SamplingOptions,
    options: ConformerOptions,
    use_start: bool,
    start_level: float | None,
) -> MakeSource:
    if start_level is not None and (method == "etkdg" or not use_start):
        raise ValueError("--start-level is for a model that begins at coordinates: give --start")
    level = LEVEL if start_level is None else start_level
    if method == "etkdg":
        seed = sampling.seed or 0
        return lambda molecule, name: ETKDG(molecule, name, seed, options.trans_amides)
    loaded = EADModel.from_pretrained(model)
    try:
        check_task(loaded.config, "conformer", bonds=True)
    except ValueError as error:
        raise ValueError(
            f"{error}; or take --method etkdg, RDKit's ETKDGv3, which needs no model"
        ) from None

    def make(molecule: Chem.Mol, name: str) -> Source:
        source = ModelSource(loaded, molecule, name, sampling, False, level)
        source.method = f"model {short_name(model)}"
        return source

    return make


class _Output:
    """The file of molecules and the table beside it."""

    def __init__(
        self, stack: ExitStack, out: Path, table: Path, options: ConformerOptions, seed: int
    ) -> None:
        self._molecules = stack.enter_context(open_writer(out))
        self._stream = stack.enter_context(open(table, "w", newline="", encoding="utf-8"))
        self._rows = csv.DictWriter(self._stream, COLUMNS)
        self._rows.writeheader()
        self._options, self._seed = options, seed

    def write(self, answer: Answer, written: Written) -> None:
        """Write one form of a molecule, or why there is nothing to write."""
        ensemble = answer.ensemble
        if ensemble is None:
            text = f"{answer.reason}"
            where = f"record {answer.entry.number}" if written.molecules > 1 else ""
            label = " ".join(w for w in (where, f"({answer.form})" * (answer.form != "given")) if w)
            written.failures.append(f"{label}: {text}" if label else text)
        else:
            self._molecules.write(conformer_batch(answer, self._seed))
            written.conformers += len(ensemble)
            written.done += 1
            written.method = _words(ensemble)
            written.redrawn.update(ensemble.problems)
            written.starts.update([ensemble.start] if ensemble.start else [])
            for why, count in (
                (f"nearer than {self._options.prune:g} A to another one", ensemble.pruned),
                (f"more than {self._options.window} kcal/mol above the lowest", ensemble.outside),
                (f"beyond the lowest {self._options.keep}", ensemble.not_kept),
            ):
                written.left_out[why] += count
        self._rows.writerow(self._row(answer))
        self._stream.flush()

    def _row(self, answer: Answer) -> dict[str, Any]:
        entry, ensemble = answer.entry, answer.ensemble
        row = {
            "record": entry.number, "name": entry.name, "input": entry.text, "form": answer.form,
            "status": "failed" if ensemble is None else "ok", "reason": answer.reason,
            "conformers": 0, "asked": self._options.n, "seed": self._seed,
        }  # fmt: skip
        if ensemble is None:
            return row
        energies, of_form = ensemble.energies, ensemble.form_free_energy
        return row | {
            "smiles": Chem.MolToSmiles(Chem.RemoveHs(ensemble.mol)),
            "conformers": len(ensemble),
            "pruned": ensemble.pruned,
            "outside_window": ensemble.outside,
            "not_kept": ensemble.not_kept,
            "lowest_energy_kcal_mol": "" if energies is None else f"{energies.min():.4f}",
            "form_free_energy_kcal_mol": "" if of_form is None else f"{of_form:.3f}",
            **{name: text for name, text in ensemble.told().items() if name in COLUMNS},
        }


def _words(ensemble: Ensemble) -> str:
    words = [ensemble.method]
    words += [f"relaxed with {ensemble.relaxed}"] if ensemble.relaxed else ["not relaxed"]
    return ", ".join(words)


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
