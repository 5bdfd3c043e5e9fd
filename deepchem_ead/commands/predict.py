"""``deepchem-ead predict``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deepchem_ead.choices import DEFAULT_PREDICTOR, GEOMETRY_FILES
from deepchem_ead.commands.options import (
    PREDICTOR_HELP,
    NetworkPrecision,
    model_options,
    parse_assignments,
)
from deepchem_ead.commands.running import command


@command(
    "predict molecules.sdf",
    "predict molecules.sdf --unit gap=eV --out predictions.csv",
)
def predict(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help=f"{GEOMETRY_FILES} with all hydrogens."),
    ],
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            "-m",
            metavar="MODEL",
            help=f"{PREDICTOR_HELP} By default {DEFAULT_PREDICTOR}.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="FILE",
            help="Write a table (.csv), or the molecules with their predictions as tags (.sdf, "
            "from an SDF file only). By default the first rows are printed.",
        ),
    ] = None,
    unit: Annotated[
        list[str] | None,
        typer.Option(
            "--unit",
            metavar="NAME=UNIT",
            help="Unit of a property, e.g. gap=eV; by default that of the training data. Only "
            "properties with a --unit or --property are written, if there are any. Can be "
            "repeated.",
        ),
    ] = None,
    properties: Annotated[
        list[str] | None,
        typer.Option(
            "--property",
            metavar="NAME",
            help="Property to predict; all that the model knows by default. Can be repeated.",
        ),
    ] = None,
    precision: NetworkPrecision = None,
) -> None:
    """Predict properties of the molecules in a file, each with one standard deviation.

    The geometry counts: a structure should be relaxed, as those are that the model has learned
    from. The uncertainty is that of molecules like the training ones. Records that cannot be read
    or predicted stay in the table, with the reason.
    """
    from deepchem_ead.commands.jobs import predictions

    units = parse_assignments("--unit", unit)
    if out is not None:
        predictions.check_prediction_file(file, out)
    predictor = predictions.load_predictor(model or [DEFAULT_PREDICTOR], **model_options(precision))
    wanted = [*(properties or []), *(name for name in units if name not in (properties or []))]
    table = predictions.predict_file(file, predictor, units, wanted or None)
    problems = table[table["problem"] != ""]
    if len(problems):
        listed = "; ".join(
            f"record {row.record}: {row.problem}" for row in problems.head(10).itertuples()
        )
        more = f"; and {len(problems) - 10} more" if len(problems) > 10 else ""
        typer.echo(
            f"warning: no prediction for {len(problems)} of {len(table)} records: {listed}{more}",
            err=True,
        )
    if out is None:
        typer.echo(predictions.predictions_text(table, wanted or predictor.tasks))
    else:
        predictions.write_predictions(table, file, out)
        typer.echo(f"predictions for {len(table) - len(problems):,} molecules in {out}")
