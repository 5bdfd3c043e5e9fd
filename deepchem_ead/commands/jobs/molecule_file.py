"""Generate molecules into a file that can be resumed."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from deepchem_ead.chem.files import complete_records, file_format, open_writer
from deepchem_ead.choices import RESUMABLE_FILES
from deepchem_ead.commands.jobs.file_job import (
    describe_job,
    record_name,
    refuse_gaps,
    refuse_other_job,
)
from deepchem_ead.commands.jobs.outputs import folder_of, new_file
from deepchem_ead.generation.condition_values import parse_quantity
from deepchem_ead.generation.job import GenerationSettings, generate_batches
from deepchem_ead.generation.options import SamplingOptions
from deepchem_ead.generation.request import Request
from deepchem_ead.generation.sizes import SIZE_WORDS
from deepchem_ead.locks import hold
from deepchem_ead.models.ead import EADModel
from deepchem_ead.models.guides import guiding_model


def read_size(text: str | None) -> int | list[int] | str | None:
    """``n_atoms`` from the command line: numbers, or a word for where to draw them from."""
    if text is None or not any(character.isdigit() for character in text):
        return text
    words = [word.strip() for word in text.split(",")]
    try:
        sizes = [int(word) for word in words]
    except ValueError:
        raise ValueError(
            f"--n-atoms {text}: give a whole number, one for each molecule as in 9,12,12, or one "
            f"of {', '.join(SIZE_WORDS)}"
        ) from None
    return sizes if len(sizes) > 1 else sizes[0]


class GeneratedFile(NamedTuple):
    """What `generate_file` has written.

    Attributes
    ----------
    n : int
        Molecules in the job, those of an earlier run included.
    new : int
        Molecules of this run.
    n_valid : int
        Those of them that are valid.
    problems : dict of str to int
        What is wrong with the others, the most frequent first.
    seconds : float
        Time of this run.
    """

    n: int
    new: int
    n_valid: int
    problems: dict[str, int]
    seconds: float

    def summary(self, path: Path) -> str:
        """Two lines for a person."""
        only_valid = file_format(path) == "smi"
        written = self.n_valid if only_valid else self.n
        text = f"{written:,} molecules in {path}"
        if not self.new:
            return text
        share = 100 * self.n_valid / self.new
        text += f"\n{self.n_valid:,} of {self.new:,} generated are valid ({share:.1f} %)"
        text += f"; {self.seconds:.0f} s"
        if self.problems:
            shown = [f"{what} ({count})" for what, count in list(self.problems.items())[:5]]
            more = sum(list(self.problems.values())[5:])
            text += f"\ninvalid: {', '.join(shown)}" + (f", others ({more})" if more else "")
        return text


def generate_file(
    model: EADModel,
    path: Path,
    n: int,
    options: SamplingOptions,
    *,
    conditions: Mapping[str, str] | None = None,
    resume: bool = False,
    name: str = "model",
) -> GeneratedFile:
    """Write molecules 0 to n - 1 of a job to a file as they are finished.

    Records are called ``NAME-SEED-INDEX``, the first one holds the whole job (see
    `file_job`), and what was asked for becomes properties of all molecules,
    ``NAME_requested`` and ``NAME_unit``.

    Raises
    ------
    ValueError
        If the file exists and ``resume`` is False, holds more than n molecules, molecules of
        another job, or not all of this job's first ones in their order.
    InUseError
        If another process is writing the file.
    """
    if not resume or path.is_dir():
        new_file(path, ", or pass --resume")
    kind = file_format(path)
    if resume and kind == "smi":
        raise ValueError(
            f"{path}: only an {RESUMABLE_FILES} can be resumed; a SMILES file does not say which "
            "molecules were invalid"
        )
    settings = GenerationSettings.resolve(model.config, options)
    asked = requested_tags(conditions or {})
    folder_of(path)
    with hold(path, "writing molecules to it"):
        if not resume:
            new_file(path, ", or pass --resume")  # another process may have come first
        first = complete_records(path, kind)[0] if resume and path.exists() else 0
        if first > n:
            raise ValueError(f"{path} holds {first} molecules already, more than the {n} wanted")
        steering = None if options.guide is None else guiding_model(options.guide, model)
        request = Request(model, n - first, conditions, replace(options, guide=steering))
        job = describe_job(model, name, settings, request, options, asked)
        if first:
            refuse_other_job(path, job)
            refuse_gaps(path, settings.seed, first)
            if not isinstance(settings.n_atoms, int | str | None):
                settings = replace(settings, n_atoms=settings.n_atoms[first:])
        parts = generate_batches(
            model, n - first, settings, first=first, request=request, early=True
        )
        began = time.perf_counter()
        n_valid, problems = 0, Counter()
        # The progress bar ends before an error is told.
        with closing(parts), open_writer(path, append=resume) as writer:
            for part in parts:
                size = len(part.molecules)
                ids = [record_name(name, settings.seed, first + i) for i in range(size)]
                properties = {tag: np.full(size, value) for tag, value in asked.items()}
                named = replace(
                    part.molecules, properties=properties, ids=None if kind == "smi" else ids
                )
                writer.write(named, job)
                first += size
                reasons = part.molecules.reasons
                n_valid += reasons.count(None)
                # Without the formulas of fragments, which are others each time.
                problems.update(text.partition(" (")[0] for text in reasons if text is not None)
    new = n_valid + problems.total()
    return GeneratedFile(n, new, n_valid, dict(problems.most_common()), time.perf_counter() - began)


def short_name(model: str) -> str:
    """What molecules of a model are called after: its name, or the run's that it comes from."""
    path = Path(model)
    name = path.parent.name if path.name == "model" and path.parent.name else path.name
    return "-".join(name.split()) or "model"


def what_is_safe(path: Path) -> str:
    """How much of an interrupted `generate_file` is there, and how to go on."""
    kind = file_format(path)
    count = complete_records(path, kind)[0] if path.exists() else 0
    return f"{count:,} molecules in {path}" + ("" if kind == "smi" else "; --resume adds the rest")


def requested_tags(conditions: Mapping[str, object]) -> dict[str, float | str]:
    """What generated molecules were asked for, in the unit it was written in, as properties."""
    tags: dict[str, float | str] = {}
    for name, wanted in conditions.items():
        quantity = parse_quantity(name, wanted)
        tags[f"{name}_requested"] = quantity.written
        if quantity.unit:
            tags[f"{name}_unit"] = quantity.unit
    return tags
