"""What ``deepchem-ead evaluate`` does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from deepchem_ead.commands.jobs.datasets import conditional_data
from deepchem_ead.generation.options import SamplingOptions
from deepchem_ead.generation.request import askable
from deepchem_ead.metrics.conditional import evaluate_conditional
from deepchem_ead.metrics.conditional_report import ConditionalReport
from deepchem_ead.metrics.reference_rows import QM9_ROW, QM9_STRICT_ROW
from deepchem_ead.metrics.report import MetricsReport
from deepchem_ead.models.ead import EADModel
from deepchem_ead.models.guides import guiding_model
from deepchem_ead.models.property_model import EGNNPropertyModel

#: As many parts as the papers on GEOM-Drugs give standard deviations of.
_PARTS = 5


def metrics_table(report: MetricsReport, name: str) -> str:
    """A report as a table, with what it is usually read beside.

    That is QM9's own row by the protocols of coordinates, and by the corrected one how much parts
    of the molecules differ.
    """
    if report.protocol == "corrected":
        parts = report.deviations(_PARTS) if report.n_molecules >= _PARTS else {}
        others = {f"deviation of {_PARTS} parts": parts} if parts else {}
        return report.table(others, name=name)
    rows = {"edm": QM9_ROW, "strict": QM9_STRICT_ROW}
    return report.table([rows[report.protocol]] if report.vocabulary == "qm9" else [], name=name)


def evaluate_conditional_models(
    model: str,
    oracle: str,
    second_oracle: str | None,
    data: str,
    requests: Sequence[str],
    model_options: dict,
    options: SamplingOptions,
    *,
    n: int,
    vocabulary: str | None = None,
) -> ConditionalReport:
    """Load models by name and run `evaluate_conditional`.

    Parameters
    ----------
    requests : sequence of str
        "gap", or "gap,mu" for both at once; none for each property that the models know.

    Raises
    ------
    ValueError
        If the model has no conditions and there is no guide, or a request is unknown.
    """
    network = EADModel.from_pretrained(model, **model_options)
    steering = guiding_model(options.guide, network) if options.guide else None
    names = askable(network, steering)
    if not names:
        raise ValueError(
            f"{model} was not trained with conditions; it cannot be asked for any without a guide"
        )
    judges = [EGNNPropertyModel.from_pretrained(each) for each in (oracle, second_oracle) if each]
    asked = [tuple(word.strip() for word in text.split(",")) for text in requests] or None
    unknown = [task for each in asked or () for task in each if task not in names]
    if unknown:
        raise ValueError(f"{model} knows no condition {unknown[0]!r}; it has {', '.join(names)}")
    dataset, fitted_on = conditional_data(data, names)
    return evaluate_conditional(
        network, judges[0], dataset, asked, n=n, fitted_on=fitted_on,
        second_oracle=judges[1] if second_oracle else None, vocabulary=vocabulary,
        **vars(replace(options, guide=steering)),
    )  # fmt: skip
