"""The jobs behind the command line."""

from __future__ import annotations

import logging
import platform
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from deepchem_ead.chem.elements import parse_elements, symbol_of
from deepchem_ead.chem.files import complete_records, file_format, open_writer
from deepchem_ead.denoisers import native
from deepchem_ead.errors import CheckpointError
from deepchem_ead.metrics.reference_rows import QM9_ROW, QM9_STRICT_ROW
from deepchem_ead.metrics.report import MetricsReport
from deepchem_ead.models import pretrained
from deepchem_ead.models.config import EADConfig, preset_names
from deepchem_ead.models.curve import CurveLog
from deepchem_ead.models.ead import EADModel
from deepchem_ead.models.generation import GenerationSettings, generate_batches
from deepchem_ead.molnet import load_file_3d, load_qm9_3d
from deepchem_ead.molnet.qm9pack import qm9pack_version

if TYPE_CHECKING:
    from deepchem.data import Dataset

logger = logging.getLogger(__name__)


def training_data(name: str) -> Dataset:
    """Training molecules of a built-in dataset ("qm9", "qm9-sample") or all of a file's."""
    if name in ("qm9", "qm9-sample"):
        source = "qm9pack" if name == "qm9" else "sample"
        _, (train, _, _), _ = load_qm9_3d(source=source)
        return train
    if not Path(name).exists():
        raise FileNotFoundError(
            f"there is no file {name!r}; data is 'qm9', 'qm9-sample' or an SDF or XYZ file"
        )
    _, (dataset,), _ = load_file_3d(name, splitter=None)
    return dataset


def new_model(
    preset: str, overrides: dict, dataset: Dataset, model_dir: Path | None = None
) -> EADModel:
    """A model that can hold the dataset: elements and size grow beyond the preset's if need be.

    Raises
    ------
    ValueError
        If ``overrides`` has elements or a size that cannot hold the dataset.
    """
    config = EADConfig.load(preset, **overrides)
    numbers, largest = _elements_and_size(dataset)
    known = parse_elements(config.elements)
    new = [z for z in numbers if z not in known]
    if new and "elements" in overrides:
        missing = ", ".join(map(symbol_of, new))
        raise ValueError(f"elements={config.elements} leaves out {missing}, which the data holds")
    if largest > config.max_atoms and "max_atoms" in overrides:
        raise ValueError(
            f"max_atoms={config.max_atoms} is too small: the data holds molecules of up to "
            f"{largest} atoms"
        )
    if new:
        overrides = overrides | {"elements": ",".join(map(symbol_of, sorted([*known, *new])))}
        logger.warning(
            "the data also holds %s: the model gets elements=%s",
            ", ".join(map(symbol_of, new)),
            overrides["elements"],
        )
    if largest > config.max_atoms:
        overrides = overrides | {"max_atoms": largest}
        logger.warning(
            "the data holds molecules of up to %d atoms: the model gets max_atoms=%d",
            largest,
            largest,
        )
    return EADModel(preset, model_dir=model_dir, **overrides)


def restore(model: EADModel) -> bool:
    """Continue the run in the model's folder; False if nothing has been trained there.

    Raises
    ------
    CheckpointError
        If the run has another configuration, or no checkpoint of it can be read.
    """
    if not model.get_checkpoints():
        return False
    try:
        model.restore()
    except CheckpointError as error:
        raise CheckpointError(
            f"{error}. Pass --restart to train anew in this folder, or choose another --out"
        ) from error
    return True


def forget_run(model: EADModel) -> None:
    """Remove the checkpoints in the model's folder."""
    for checkpoint in model.get_checkpoints():
        Path(checkpoint).unlink()


def nothing_left(model: EADModel, epochs: int, minutes: float | None) -> str | None:
    """Why a restored run needs no more training; None if it does."""
    position = model.training_position
    if position.epoch >= epochs:
        return f"{position.epoch} of {epochs} epochs are done; ask for more with --epochs"
    if minutes is not None and not position.finished and position.elapsed >= 60 * minutes:
        trained = position.elapsed / 60
        return f"{trained:.3g} of {minutes:g} minutes are done; ask for more with --minutes"
    return None


def _elements_and_size(dataset: Dataset) -> tuple[list[int], int]:
    numbers: set[int] = set()
    largest = 0
    for X, _, _, _ in dataset.iterbatches(4096, deterministic=True):
        numbers.update(np.unique(X[:, :, 3]).astype(int).tolist())
        largest = max(largest, int((X[:, :, 3] > 0).sum(1).max()))
    return sorted(numbers - {0}), largest


def train(
    model: EADModel,
    dataset: Dataset,
    folder: Path,
    epochs: int,
    minutes: float | None = None,
    checkpoint_interval: int = 500,
) -> bool:
    """Train up to ``epochs`` in all, log the curve, write the model; False if it was stopped."""
    remaining = epochs - model.training_position.epoch
    model.fit(
        dataset,
        nb_epoch=remaining,
        minutes=minutes,
        checkpoint_interval=checkpoint_interval,
        max_checkpoints_to_keep=3,
        callbacks=[CurveLog(folder / "curve.csv", model)],
        progress=True,
    )
    model.save_pretrained(folder / "model")
    return model.training_position.finished


def n_parameters(model: EADModel) -> int:
    """Trainable parameters."""
    return sum(p.numel() for p in model.model.denoiser.parameters())


def generate_file(
    model: EADModel, path: Path, n: int, resume: bool = False, n_atoms: int | None = None, **options
) -> int:
    """Write molecules 0 to n - 1 of a job to a file as they are finished; returns their number.

    Raises
    ------
    ValueError
        If the file exists and ``resume`` is False, or holds more than n molecules.
    """
    if path.exists() and path.stat().st_size and not resume:
        raise ValueError(f"{path} exists; remove it, choose another name, or pass --resume")
    if resume and file_format(path) == "smi":
        raise ValueError(
            f"{path}: only SDF and XYZ files can be resumed; a SMILES file does not say which "
            "molecules were invalid"
        )
    settings = GenerationSettings.resolve(model.config, **options)
    kind = file_format(path)
    first = complete_records(path, kind)[0] if resume and path.exists() else 0
    if first > n:
        raise ValueError(f"{path} holds {first} molecules already, more than the {n} wanted")
    parts = generate_batches(model, n - first, settings, n_atoms, first=first)
    with open_writer(path, append=resume) as writer:
        for part in parts:
            writer.write(part.molecules)
    return n


def metrics_table(report: MetricsReport, name: str, vocabulary: str, protocol: str) -> str:
    """A report as a table, beside QM9's own row where that is the yardstick."""
    rows = {"edm": QM9_ROW, "strict": QM9_STRICT_ROW}
    return report.table([rows[protocol]] if vocabulary == "qm9" else [], name=name)


def describe_installation() -> str:
    """Versions, compiled kernel, presets, trained models and data, for people and bug reports."""
    packages = ("deepchem_ead", "deepchem", "torch", "rdkit", "numpy")
    versions = ", ".join(f"{name} {_version(name)}" for name in packages)
    qm9 = qm9pack_version()
    rows = {
        "versions": f"{versions}, Python {platform.python_version()}",
        "kernel": native.status(),
        "presets": ", ".join(preset_names()),
        "trained models": ", ".join(pretrained.names()) or "none",
        "QM9": f"qm9pack {qm9}, 130,831 molecules"
        if qm9
        else "a sample of 2,000 molecules; `pip install qm9pack==1.0.3` for all 130,831",
    }
    return "\n".join(f"{name:<14}  {value}" for name, value in rows.items())


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:  # run from a source folder
        return "(not installed)"
