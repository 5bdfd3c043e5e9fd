"""The table beside a file of conformers: a row for each form of each record, and how to go on."""

from __future__ import annotations

import csv
import io
import json
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

from rdkit import Chem

from deepchem_ead.chem.atomic import atomic_path
from deepchem_ead.chem.files import complete_records, file_format, scan_records
from deepchem_ead.choices import RESUMABLE_FILES
from deepchem_ead.commands.jobs.file_job import refuse_differences
from deepchem_ead.conformers.many import Answer, Entry
from deepchem_ead.conformers.search import in_words

#: Columns. ``forms`` is the number of rows of the record; ``job``, in the first row only, how all
#: were made.
COLUMNS = (
    "record", "name", "input", "form", "smiles", "status", "reason", "conformers", "asked", "drawn",
    "redrawn", "pruned", "outside_window", "not_kept", "method", "relaxed", "energy_level",
    "lowest_energy_kcal_mol", "compared", "form_free_energy_kcal_mol", "seed", "start", "notes",
    "forms", "job",
)  # fmt: skip
_COUNTED = re.compile(r"(.+?) \((\d+)\)(?:, |$)")

Row = Mapping[str, Any]


def rows_of(answers: Sequence[Answer], asked: int, seed: int) -> list[dict[str, Any]]:
    """The rows of one record."""
    return [_row(answer, asked, seed) | {"forms": len(answers)} for answer in answers]


def _row(answer: Answer, asked: int, seed: int) -> dict[str, Any]:
    entry, ensemble = answer.entry, answer.ensemble
    row = {
        "record": entry.number, "name": entry.name, "input": entry.text, "form": answer.form,
        "status": "failed" if ensemble is None else "ok", "reason": answer.reason,
        "conformers": 0, "asked": asked, "seed": seed,
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


@dataclass
class Written:
    """What is in a file of conformers.

    Attributes
    ----------
    molecules : int
        Records of the input.
    kept : int
        Records that were there before.
    conformers : int
    done, failed : int
        Forms of molecules.
    redrawn : Counter
        What was wrong with conformers that were drawn again.
    left_out : Counter
        Conformers that were not written, by column of the table.
    failures : list of str
    method : str
    starts : Counter
        What came of conformers that were given, and for how many forms of molecules.
    """

    molecules: int = 0
    kept: int = 0
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

    def add(self, row: Row) -> None:
        """Count what a row of the table says."""
        if row["status"] == "failed":
            where = f"record {row['record']}" if self.molecules > 1 else ""
            form = f"({row['form']})" if row["form"] != "given" else ""
            label = " ".join(word for word in (where, form) if word)
            self.failures.append(f"{label}: {row['reason']}" if label else str(row["reason"]))
            return
        self.done += 1
        self.conformers += int(row["conformers"])
        relaxed = row["relaxed"]
        self.method = f"{row['method']}, " + (
            "not relaxed" if relaxed == "no" else f"relaxed with {relaxed}"
        )
        for what, count in _COUNTED.findall(row.get("redrawn", "")):
            self.redrawn[what] += int(count)
        if start := row.get("start", ""):
            self.starts[start] += 1
        for name in ("pruned", "outside_window", "not_kept"):
            self.left_out[name] += int(row[name])

    def summary(self, given: str, out: Path, table: Path, words: Mapping[str, str]) -> str:
        """A few lines for a person; ``words`` says why conformers were left out, by column."""
        what = given if self.molecules == 1 else f"{self.molecules:,} molecules"
        plural = "s" * (self.conformers != 1)
        lines = [f"{self.conformers:,} conformer{plural} of {what} in {out} ({self.method})"]
        if self.kept:
            lines.append(f"kept from before: those of {self.kept:,} molecules")
        for said, count in self.starts.items():
            every = count == self.molecules
            lines.append(said if every else f"{said} ({count:,} of {self.molecules:,} molecules)")
        if self.redrawn:
            lines.append(f"wrong, and drawn again: {in_words(self.redrawn)}")
        left_out = [f"{words[name]} {count:,}" for name, count in self.left_out.items() if count]
        if left_out:
            lines.append(f"left out: {', '.join(left_out)}")
        if self.failed:
            lines.append(f"without conformers: {self.failed:,}; their reasons are in {table}")
        return "\n".join(lines)


# ------------------------------------------------------------------------------------ going on


def keep_complete(
    out: Path, table: Path, entries: Sequence[Entry], job: Mapping[str, Any]
) -> list[dict[str, str]]:
    """Rows of the records that an interrupted job has finished; what came after them is cut off.

    Raises
    ------
    ValueError
        If the files are another job's, or are not as they were written.
    """
    if file_format(out) == "smi":
        raise ValueError(f"{out}: only an {RESUMABLE_FILES} can be resumed")
    rows = _read(table)
    if rows:
        try:
            there = json.loads(rows[0]["job"])
        except ValueError:
            raise _not_resumable(table, "its first row does not say how it was made") from None
        refuse_differences(table, job, there)
    elif out.exists() and out.stat().st_size and not table.exists():
        raise _not_resumable(out, f"there is no {table} beside it")
    kept = _complete(table, rows, entries)
    numbers = [row["record"] for row in kept for _ in range(int(row["conformers"]))]
    length = _length_of(out, numbers)
    with atomic_path(table) as temporary, open(temporary, "w", newline="", encoding="utf-8") as to:
        writer = csv.DictWriter(to, COLUMNS)
        writer.writeheader()
        writer.writerows(kept)
    if out.exists():
        os.truncate(out, length)
    return kept


def _read(table: Path) -> list[dict[str, str]]:
    """Complete rows of a table, whose last one an interruption may have cut."""
    if not table.exists():
        return []
    text = table.read_text(encoding="utf-8", errors="replace")
    reader = csv.DictReader(io.StringIO(text, newline=""))
    rows = list(reader)
    if text and (reader.fieldnames is None or tuple(reader.fieldnames) != COLUMNS):
        raise _not_resumable(table, "it has other columns than those written today")
    if rows and (not text.endswith("\n") or None in rows[-1].values()):
        rows.pop()
    return rows


def _complete(
    table: Path, rows: Sequence[dict[str, str]], entries: Sequence[Entry]
) -> list[dict[str, str]]:
    kept: list[dict[str, str]] = []
    groups = [list(group) for _, group in groupby(rows, key=lambda row: row["record"])]
    for k, group in enumerate(groups):
        if len(group) < int(group[0]["forms"]):
            break
        first = group[0]
        if k >= len(entries):
            raise _not_resumable(table, f"it has more records than the {len(entries)} of the input")
        entry = entries[k]
        there = (first["record"], first["name"], first["input"])
        if there != (str(entry.number), entry.name, entry.text):
            raise _not_resumable(
                table,
                f"its record {first['record']} is {first['name'] or first['input']!r}, where the "
                f"input has {entry.name or entry.text!r} (record {entry.number})",
            )
        kept += group
    return kept


def _length_of(out: Path, numbers: Sequence[str]) -> int:
    """Bytes of the first molecules of a file, which must come from these records of the input."""
    if not numbers:
        return 0
    kind = file_format(out)
    count, length = complete_records(out, kind, len(numbers)) if out.exists() else (0, 0)
    if count < len(numbers):
        raise _not_resumable(out, f"it holds {count} conformers, and the table {len(numbers)}")
    found = [record.tags.get("input_record") for record in scan_records(out, "skip")[0]]
    wrong = [k for k, (a, b) in enumerate(zip(found, numbers, strict=False)) if a != b]
    if wrong:
        raise _not_resumable(
            out, f"molecule {wrong[0] + 1} is not of record {numbers[wrong[0]]}: molecules were "
            "removed, added or moved"
        )  # fmt: skip
    return length


def _not_resumable(path: Path, why: str) -> ValueError:
    return ValueError(f"{path}: {why}, so it cannot be resumed; choose another name")
