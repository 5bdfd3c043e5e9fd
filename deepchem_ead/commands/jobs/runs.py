"""Runs of training: new ones, and those to go on with."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from deepchem_ead.chem.elements import parse_elements, symbol_of
from deepchem_ead.chem.kinds import Kind, format_kinds, parse_kinds
from deepchem_ead.errors import CheckpointError
from deepchem_ead.generator.checkpoint import checkpoint_files
from deepchem_ead.generator.compact import write_compact
from deepchem_ead.generator.config import EADConfig
from deepchem_ead.generator.warm_start import TrainedWeights
from deepchem_ead.metrics.property_units import field_errors, field_unit
from deepchem_ead.models.ead import EADModel
from deepchem_ead.models.property_model import EGNNPropertyModel
from deepchem_ead.properties.config import PropertyConfig
from deepchem_ead.training.curve import CurveLog, TensorBoardLog
from deepchem_ead.training.resumable import ResumableModel

if TYPE_CHECKING:
    from deepchem.data import Dataset

logger = logging.getLogger(__name__)


def read_config(preset: str | None, overrides: dict, start: str | None = None) -> EADConfig:
    """Configuration of a new model; without a preset that of the trained model it starts from."""
    if preset is None and start is not None:
        source = TrainedWeights.read(start).config
        return EADConfig.from_dict({**source.to_dict(), **EADConfig.flat(overrides)})
    return EADConfig.load(preset, **overrides)


def new_model(
    preset: str | None,
    overrides: dict,
    dataset: Dataset,
    model_dir: Path | None = None,
    start: str | None = None,
) -> EADModel:
    """A model that can hold the dataset: kinds of atoms and size grow beyond the preset's.

    Parameters
    ----------
    preset : str, optional
    overrides : dict
    dataset : dc.data.Dataset
    model_dir : Path, optional
    start : str, optional
        Trained model to start from.

    Raises
    ------
    ValueError
        If ``overrides`` or ``start`` has elements or a size that cannot hold the dataset.
    """
    config = read_config(preset, overrides, start)
    overrides = fitting(config, overrides, dataset)
    return EADModel(preset, initial_weights=start, model_dir=model_dir, **overrides)


def fitting(config: EADConfig | PropertyConfig, overrides: dict, dataset: Dataset) -> dict:
    """Changes of a configuration so that it can hold a dataset, where ``overrides`` allow it.

    Raises
    ------
    ValueError
        If ``overrides`` has elements, charged kinds or a size that cannot hold the dataset.
    """
    kinds, largest = _kinds_and_size(dataset)
    numbers = {number for number, _ in kinds}
    known = parse_elements(config.elements)
    missing = ", ".join(symbol_of(z) for z in sorted(numbers) if z not in known)
    if missing and "elements" in overrides:
        raise ValueError(f"elements={config.elements} leaves out {missing}, which the data holds")
    if largest > config.max_atoms and "max_atoms" in overrides:
        raise ValueError(
            f"max_atoms={config.max_atoms} is too small: the data holds molecules of up to "
            f"{largest} atoms"
        )
    if missing:
        elements = ",".join(map(symbol_of, sorted({*known, *numbers})))
        overrides = overrides | {"elements": elements}
        logger.warning("the data also holds %s: the model gets elements=%s", missing, elements)
    if largest > config.max_atoms:
        overrides = overrides | {"max_atoms": largest}
        logger.warning(
            "the data holds molecules of up to %d atoms: the model gets max_atoms=%d",
            largest,
            largest,
        )
    if isinstance(config, EADConfig) and (config.bonds or config.charged_kinds):
        overrides = _with_charged_kinds(config, overrides, kinds)
    return overrides


def _with_charged_kinds(config: EADConfig, overrides: dict, kinds: set[Kind]) -> dict:
    """Overrides with the charged kinds of the data, for a model that knows charges."""
    known = parse_kinds(config.charged_kinds) if config.charged_kinds else ()
    missing = sorted(kind for kind in kinds if kind[1] and kind not in known)
    if not missing:
        return overrides
    if "charged_kinds" in overrides:
        raise ValueError(
            f"charged_kinds={config.charged_kinds} leaves out {format_kinds(missing)}, which the "
            "data holds"
        )
    charged = format_kinds([*known, *missing])
    logger.warning(
        "the data also holds %s: the model gets charged_kinds=%s", format_kinds(missing), charged
    )
    return overrides | {"charged_kinds": charged}


def _kinds_and_size(dataset: Dataset) -> tuple[set[Kind], int]:
    """Atomic number and formal charge (0 where X has none) of all atoms, and the largest size."""
    kinds: set[Kind] = set()
    largest = 0
    for X, _, _, _ in dataset.iterbatches(4096, deterministic=True):
        atoms = X[:, :, 3] > 0
        charges = X[:, :, 4] if X.shape[2] > 4 else np.zeros_like(X[:, :, 3])
        found = np.unique(np.stack([X[:, :, 3][atoms], charges[atoms]], 1).astype(int), axis=0)
        kinds.update(map(tuple, found.tolist()))
        largest = max(largest, int(atoms.sum(1).max()))
    return kinds, largest


def restore(model: ResumableModel) -> bool:
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


def forget_run(model: ResumableModel) -> None:
    """Remove the checkpoints in the model's folder."""
    for checkpoint in model.get_checkpoints():
        Path(checkpoint).unlink()


def pack_run(run: Path, out: Path) -> Path:
    """Write what it takes to go on with a run elsewhere; returns the compact checkpoint.

    Raises
    ------
    CheckpointError
        If the run has no checkpoint, its newest cannot be read, or ``out`` holds another run.
    """
    checkpoints = checkpoint_files(run)
    if not checkpoints:
        raise CheckpointError(f"{run} holds no checkpoint; it is not the folder of a run")
    if checkpoint_files(out):
        raise CheckpointError(f"{out} holds checkpoints already; choose another folder")
    path = write_compact(checkpoints[0], out)
    for name in ("config.yaml", "curve.csv"):
        if (run / name).exists():
            shutil.copyfile(run / name, out / name)
    return path


def nothing_left(model: ResumableModel, epochs: int, minutes: float | None) -> str | None:
    """Why a restored run needs no more training; None if it does."""
    position = model.training_position
    if position.epoch >= epochs:
        return f"{position.epoch} of {epochs} epochs are done; ask for more with --epochs"
    if minutes is not None and not position.finished and position.elapsed >= 60 * minutes:
        trained = position.elapsed / 60
        return f"{trained:.3g} of {minutes:g} minutes are done; ask for more with --minutes"
    return None


def train(
    model: ResumableModel,
    dataset: Dataset,
    folder: Path,
    epochs: int,
    minutes: float | None = None,
    checkpoint_interval: int = 500,
    tensorboard: bool = False,
) -> bool:
    """Train up to ``epochs`` in all and log the curve; False if it was stopped."""
    remaining = epochs - model.training_position.epoch
    logs = [CurveLog(folder / "curve.csv", model)]
    if tensorboard:
        logs.append(TensorBoardLog(folder / "tensorboard", model))
    model.fit(
        dataset,
        nb_epoch=remaining,
        minutes=minutes,
        checkpoint_interval=checkpoint_interval,
        max_checkpoints_to_keep=3,
        callbacks=logs,
        progress=True,
    )
    return model.training_position.finished


def n_parameters(model: EADModel) -> int:
    """Trainable parameters."""
    return sum(p.numel() for p in model.model.denoiser.parameters())


def new_predictor(
    preset: str, properties: Sequence[str], overrides: dict, dataset: Dataset, model_dir: Path
) -> EGNNPropertyModel:
    """A property model that can hold the dataset: elements and size grow if need be."""
    config = PropertyConfig.load(preset, **{**overrides, "tasks": list(properties)})
    overrides = fitting(config, overrides, dataset)
    return EGNNPropertyModel(list(properties), preset, model_dir=str(model_dir), **overrides)


def held_out_errors(model: EGNNPropertyModel, held_out: Dataset) -> str:
    """Calibrate the uncertainty on molecules that were not trained on, and say how far off it is.

    Returns
    -------
    str
        Mean absolute error of each task with its unit.
    """
    model.calibrate(held_out)
    labels = np.where(held_out.w > 0, held_out.y, np.nan)
    found = field_errors(model.predict(held_out), labels, model.tasks)
    return ", ".join(
        f"{task} {error:.4g} {field_unit(task).symbol}".rstrip() for task, error in found.items()
    )
