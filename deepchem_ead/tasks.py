"""The jobs behind the command line."""

from __future__ import annotations

import logging
import platform
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from deepchem_ead.chem.elements import parse_elements
from deepchem_ead.chem.files import file_format, open_writer
from deepchem_ead.denoisers import native
from deepchem_ead.metrics.reference_rows import QM9_ROW
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
    """A model that can hold the dataset: elements and size grow beyond the preset's if need be."""
    config = EADConfig.load(preset, **overrides)
    numbers, largest = _elements_and_size(dataset)
    known = parse_elements(config.elements)
    if not set(numbers) <= set(known) and "elements" not in overrides:
        from rdkit.Chem import GetPeriodicTable

        symbols = [GetPeriodicTable().GetElementSymbol(z) for z in sorted({*known, *numbers})]
        overrides = overrides | {"elements": ",".join(symbols)}
        logger.warning("the data holds further elements; elements=%s", overrides["elements"])
    if largest > config.max_atoms and "max_atoms" not in overrides:
        overrides = overrides | {"max_atoms": largest}
        logger.warning("the data holds larger molecules; max_atoms=%d", largest)
    return EADModel(preset, model_dir=model_dir, **overrides)


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
    remaining = max(epochs - model.training_position.epoch, 0)
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
    """Write molecules 0 to n - 1 of a job to a file as they are finished; returns how many it holds.

    Raises
    ------
    ValueError
        If the file exists and ``resume`` is False, or holds more than n molecules.
    """
    if path.exists() and path.stat().st_size and not resume:
        raise ValueError(f"{path} exists; remove it, choose another name, or pass --resume")
    if resume and file_format(path) == "smi":
        raise ValueError("a SMILES file leaves out invalid molecules; only SDF and XYZ can resume")
    settings = GenerationSettings.resolve(model.config, **options)
    with open_writer(path, append=resume) as writer:
        first = writer.count
        if first > n:
            raise ValueError(f"{path} holds {first} molecules already, more than the {n} wanted")
        for part in generate_batches(model, n - first, settings, n_atoms, first=first):
            writer.write(part.molecules)
    return n


def metrics_table(report: MetricsReport, name: str, vocabulary: str, protocol: str) -> str:
    """A report as a table, beside QM9's own row where that is the yardstick."""
    comparable = vocabulary == "qm9" and protocol == "edm"
    return report.table([QM9_ROW] if comparable else [], name=name)


def describe_installation() -> str:
    """Versions, compiled kernel, presets, trained models and data, for people and bug reports."""
    packages = ("deepchem_ead", "deepchem", "torch", "rdkit", "numpy")
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in packages)
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
    width = max(map(len, rows))
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows.items())
