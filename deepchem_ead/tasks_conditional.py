"""What ``deepchem-ead evaluate --conditional`` does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from deepchem_ead.generation.request import askable
from deepchem_ead.metrics.conditional import evaluate_conditional
from deepchem_ead.metrics.conditional_report import ConditionalReport
from deepchem_ead.models.ead import EADModel
from deepchem_ead.models.guides import guiding_model
from deepchem_ead.models.property_model import EGNNPropertyModel
from deepchem_ead.molnet import load_file_3d, load_qm9_3d
from deepchem_ead.molnet.splits import edm_halves, one_shard

if TYPE_CHECKING:
    from deepchem.data import Dataset


def conditional_data(name: str, tasks: Sequence[str]) -> tuple[Dataset, Dataset | None]:
    """Molecules to draw requests from, and those to fit baselines on, as EDM's protocol has them.

    Second and first half of the training part of "qm9" or "qm9-sample", or all of a file's.

    Raises
    ------
    ValueError
        If the data has no such property.
    """
    if name not in ("qm9", "qm9-sample"):
        _, (dataset,), _ = load_file_3d(name, tasks=list(tasks), splitter=None, allow_missing=True)
        return dataset, None
    source = "qm9pack" if name == "qm9" else "sample"
    _, (train, _, _), _ = load_qm9_3d(tasks=list(tasks), source=source)
    first, second = (one_shard(train, rows, list(tasks)) for rows in edm_halves(len(train)))
    return second, first


def evaluate_conditional_models(
    model: str,
    oracle: str,
    second_oracle: str | None,
    data: str,
    requests: Sequence[str],
    model_options: dict,
    guide: str | None = None,
    **options,
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
    steering = guiding_model(guide, network) if guide else None
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
        network, judges[0], dataset, asked, fitted_on=fitted_on,
        second_oracle=judges[1] if second_oracle else None, guide=steering, **options,
    )  # fmt: skip
