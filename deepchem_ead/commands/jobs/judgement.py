"""What ``deepchem-ead judge`` does."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import typer

from deepchem_ead.commands.jobs.outputs import folder_of
from deepchem_ead.judging import (
    ConformersJudged,
    Report,
    SideBySide,
    judge,
    judge_conformers,
    side_by_side,
)

_NAMED = 20  # molecules without a judgement that are told


class Outputs(NamedTuple):
    """Files to write, and which molecules go into the tables."""

    html: Path | None = None
    json: Path | None = None
    csv: Path | None = None
    sdf: Path | None = None
    keep: str | None = None

    @property
    def files(self) -> list[Path]:
        """Those that are asked for."""
        return [path for path in self[:4] if path is not None]


def judge_files(
    files: Sequence[Path], outputs: Outputs, conformers: Path | None = None, **options: Any
) -> None:
    """Judge the molecules of files, print the summary and write what is asked for.

    Raises
    ------
    ValueError
        Before anything is computed, if a file cannot be written or a condition has no use.
    """
    if outputs.keep is not None and outputs.sdf is None and outputs.csv is None:
        raise ValueError("--keep chooses molecules for --sdf or --csv; name one of them")
    for path in outputs.files:
        folder_of(path)
    cache = None
    if outputs.files:
        first = outputs.files[0]
        cache = first.with_name(f".{first.name}.judging.jsonl")
    beside = []
    if conformers is not None:
        beside = [judge_conformers(path, conformers, workers=options["workers"]) for path in files]
    report: Report | SideBySide
    if len(files) > 1:
        report = side_by_side(files, cache=cache, **options)
    else:
        report = judge(files[0], cache=cache, **options)
    report = _with_conformers(report, beside)
    typer.echo(report.table())
    several = report.reports if isinstance(report, SideBySide) else {"": report}
    for name, each in several.items():
        for k, line in enumerate(remarks(each)):
            typer.echo(f"\n{name}: {line.lstrip()}" if name and not k else line)
    for path, found in zip(files, beside, strict=False):
        typer.echo(f"\n{path} beside {conformers}:\n{found.report.table()}")
        for smiles, count in found.without_reference.items():
            typer.echo(f"not in the reference: {smiles} ({count:,} conformers)")
    _write(report, outputs)
    if cache is not None:
        with suppress(FileNotFoundError):
            cache.unlink()


def _with_conformers(
    report: Report | SideBySide, beside: Sequence[ConformersJudged]
) -> Report | SideBySide:
    if not beside:
        return report
    if isinstance(report, Report):
        return replace(report, conformers=beside[0])
    pairs = zip(report.reports.items(), beside, strict=True)
    return replace(report, reports={n: replace(r, conformers=found) for (n, r), found in pairs})


def remarks(report: Report) -> list[str]:
    """Why molecules are unsound, and those that could not be judged, by name."""
    frame = report.per_molecule
    lines = [f"\n{int(frame['sound'].sum()):,} of {len(report):,} molecules are sound"]
    if report.failures:
        found = ", ".join(f"{name} {count:,}" for name, count in report.failures.items())
        lines.append(f"reasons: {found}")
    lost = frame["reasons"].str.contains(r"(?:^|;)(?:unreadable|timeout|crash|error)(?:;|$)")
    named = [f"{n}: {d}" for n, d in zip(frame["name"][lost], frame["details"][lost], strict=True)]
    more = len(named) - _NAMED
    return lines + named[:_NAMED] + ([f"and {more:,} more; --csv has all"] if more > 0 else [])


def _write(report: Report | SideBySide, outputs: Outputs) -> None:
    molecules = report.pooled if isinstance(report, SideBySide) else report
    if outputs.html is not None:
        report.to_html(outputs.html)
    if outputs.json is not None:
        report.to_json(outputs.json)
    if outputs.csv is not None:
        molecules.to_csv(outputs.csv, keep=outputs.keep)
    if outputs.sdf is not None:
        molecules.to_sdf(outputs.sdf, keep=outputs.keep)
    if outputs.files:
        typer.echo(f"written: {', '.join(map(str, outputs.files))}", err=True)
