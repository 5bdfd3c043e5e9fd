"""The jobs behind the command line."""

from __future__ import annotations

import logging
import platform
import shutil
import time
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from deepchem_ead.chem.elements import parse_elements, symbol_of
from deepchem_ead.chem.files import complete_records, file_format, open_writer
from deepchem_ead.chem.molecules import MoleculeBatch
from deepchem_ead.choices import TRAINING_FILES
from deepchem_ead.errors import CheckpointError
from deepchem_ead.generation.condition_values import parse_quantity
from deepchem_ead.generation.job import GenerationSettings, generate_batches
from deepchem_ead.generation.request import Request
from deepchem_ead.generation.sizes import SIZE_WORDS
from deepchem_ead.generator import pretrained
from deepchem_ead.generator.checkpoint import checkpoint_files
from deepchem_ead.generator.compact import write_compact
from deepchem_ead.generator.config import EADConfig, preset_names
from deepchem_ead.generator.warm_start import TrainedWeights
from deepchem_ead.job import describe_job, refuse_other_job
from deepchem_ead.kernels import native, triton
from deepchem_ead.locks import hold
from deepchem_ead.metrics.reference_rows import QM9_ROW, QM9_STRICT_ROW
from deepchem_ead.metrics.report import MetricsReport
from deepchem_ead.models.ead import EADModel
from deepchem_ead.models.guides import guiding_model
from deepchem_ead.models.property_model import EGNNPropertyModel
from deepchem_ead.molnet import load_file_3d, load_qm9_3d
from deepchem_ead.molnet.files import NAMES_AS_IDS, known_properties
from deepchem_ead.molnet.qm9pack import qm9pack_version
from deepchem_ead.outputs import folder_of, new_file
from deepchem_ead.properties.config import PropertyConfig
from deepchem_ead.training.curve import CurveLog, TensorBoardLog
from deepchem_ead.training.resumable import ResumableModel

if TYPE_CHECKING:
    from deepchem.data import Dataset

logger = logging.getLogger(__name__)

BUILT_IN = ("qm9", "qm9-sample")


def training_data(
    name: str, properties: Sequence[str] = (), smiles_column: str | None = None
) -> Dataset:
    """Training molecules of a built-in dataset ("qm9", "qm9-sample") or all of a file's.

    Parameters
    ----------
    name : str
    properties : sequence of str
        Columns of y: QM9's properties, or tags (keys) of the file, where some may be missing.
        None: whatever the dataset has by default.
    smiles_column : str, optional
        Column with the SMILES in a table.

    Raises
    ------
    FileNotFoundError
        If there is no such dataset or file.
    ValueError
        If the data has no such property.
    """
    wanted = {"tasks": list(properties)} if properties else {}
    if name in BUILT_IN:
        source = "qm9pack" if name == "qm9" else "sample"
        _, (train, _, _), _ = load_qm9_3d(source=source, **wanted)
        return train
    if not Path(name).exists():
        raise FileNotFoundError(
            f"there is no file {name!r}; data is 'qm9', 'qm9-sample' or an {TRAINING_FILES}"
        )
    with warnings.catch_warnings():
        # Of ids that are no SMILES, which matters to those who split the dataset.
        warnings.filterwarnings("ignore", message=f".*{NAMES_AS_IDS}")
        _, (dataset,), _ = load_file_3d(
            name, splitter=None, allow_missing=True, smiles_column=smiles_column, **wanted
        )
    return dataset


def known_molecules(name: str) -> Dataset | MoleculeBatch | list[str]:
    """Molecules that novelty is measured against: a built-in dataset, or those of a file.

    An SDF or XYZ file gives molecules with their charges, a SMILES file the first word of a line.

    Raises
    ------
    FileNotFoundError
        If there is no such dataset or file.
    """
    path = Path(name)
    if not path.exists():
        return training_data(name)
    if file_format(path) == "smi":
        lines = path.read_text(encoding="utf-8").splitlines()
        return [line.split()[0] for line in lines if line.strip()]
    return MoleculeBatch.read(path, on_error="skip")


def conditions_in(
    name: str, wanted: Sequence[str], source: str, smiles_column: str | None = None
) -> list[str]:
    """The conditions of a trained model if a file has all of them; none, and a line, otherwise.

    Parameters
    ----------
    name : str
        Dataset or file.
    wanted : sequence of str
        Conditions of the model that training starts from.
    source : str
        That model.
    """
    if name in BUILT_IN or not wanted or not Path(name).exists():
        return list(wanted)
    missing = set(wanted) - known_properties(name, smiles_column)
    if not missing:
        return list(wanted)
    logger.warning(
        "%s says nothing of %s, which %s knows: the model gets no conditions (--conditions names "
        "those to learn)",
        name, ", ".join(sorted(missing)), source,
    )  # fmt: skip
    return []


def read_config(preset: str | None, overrides: dict, start: str | None = None) -> EADConfig:
    """Configuration of a new model; without a preset that of the trained model it starts from."""
    if preset is None and start is not None:
        source = TrainedWeights.read(start).config
        return EADConfig.from_dict({**source.to_dict(), **overrides})
    return EADConfig.load(preset, **overrides)


def new_model(
    preset: str | None,
    overrides: dict,
    dataset: Dataset,
    model_dir: Path | None = None,
    start: str | None = None,
) -> EADModel:
    """A model that can hold the dataset: elements and size grow beyond the preset's if need be.

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
        If ``overrides`` has elements or a size that cannot hold the dataset.
    """
    numbers, largest = _elements_and_size(dataset)
    known = parse_elements(config.elements)
    missing = _missing_elements(config, dataset)
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
    return overrides


def _missing_elements(config: EADConfig | PropertyConfig, dataset: Dataset) -> str:
    known = parse_elements(config.elements)
    return ", ".join(symbol_of(z) for z in _elements_and_size(dataset)[0] if z not in known)


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


def _elements_and_size(dataset: Dataset) -> tuple[list[int], int]:
    numbers: set[int] = set()
    largest = 0
    for X, _, _, _ in dataset.iterbatches(4096, deterministic=True):
        numbers.update(np.unique(X[:, :, 3]).astype(int).tolist())
        largest = max(largest, int((X[:, :, 3] > 0).sum(1).max()))
    return sorted(numbers - {0}), largest


def train(
    model: ResumableModel,
    dataset: Dataset,
    folder: Path,
    epochs: int,
    minutes: float | None = None,
    checkpoint_interval: int = 500,
    tensorboard: bool = False,
) -> bool:
    """Train up to ``epochs`` in all, log the curve, write the model; False if it was stopped."""
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
    model.save_pretrained(folder / "model")
    return model.training_position.finished


def n_parameters(model: EADModel) -> int:
    """Trainable parameters."""
    return sum(p.numel() for p in model.model.denoiser.parameters())


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
    resume: bool = False,
    n_atoms: int | Sequence[int] | str | None = None,
    conditions: Mapping[str, str] | None = None,
    guidance_scale: float = 0.0,
    guide: str | None = None,
    autoguidance_scale: float | None = None,
    weak_model: str | None = None,
    closed_shell: bool | None = None,
    name: str = "model",
    **options,
) -> GeneratedFile:
    """Write molecules 0 to n - 1 of a job to a file as they are finished.

    Records are called ``NAME-SEED-INDEX``, the first one holds the whole job (see
    `deepchem_ead.job`), and what was asked for becomes properties of all molecules,
    ``NAME_requested`` and ``NAME_unit``.

    Raises
    ------
    ValueError
        If the file exists and ``resume`` is False, holds more than n molecules, or molecules of
        another job.
    InUseError
        If another process is writing the file.
    """
    if not resume or path.is_dir():
        new_file(path, ", or pass --resume")
    kind = file_format(path)
    if resume and kind == "smi":
        raise ValueError(
            f"{path}: only SDF and XYZ files can be resumed; a SMILES file does not say which "
            "molecules were invalid"
        )
    settings = GenerationSettings.resolve(model.config, n_atoms=n_atoms, **options)
    asked = requested_tags(conditions or {})
    folder_of(path)
    with hold(path, "writing molecules to it"):
        if not resume:
            new_file(path, ", or pass --resume")  # another process may have come first
        first = complete_records(path, kind)[0] if resume and path.exists() else 0
        if first > n:
            raise ValueError(f"{path} holds {first} molecules already, more than the {n} wanted")
        steering = None if guide is None else guiding_model(guide, model)
        request = Request(
            model, n - first, conditions, guidance_scale, steering, autoguidance_scale, weak_model,
            closed_shell,
        )  # fmt: skip
        job = describe_job(model, name, settings, request, n_atoms, asked, guide, weak_model)
        if first:
            refuse_other_job(path, job)
            if not isinstance(n_atoms, int | str | None):
                n_atoms = n_atoms[first:]
        parts = generate_batches(
            model, n - first, settings, n_atoms, first=first, request=request, early=True
        )
        began = time.perf_counter()
        n_valid, problems = 0, Counter()
        # The progress bar ends before an error is told.
        with closing(parts), open_writer(path, append=resume) as writer:
            for part in parts:
                size = len(part.molecules)
                ids = [f"{name}-{settings.seed}-{first + i:06d}" for i in range(size)]
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


def metrics_table(report: MetricsReport, name: str) -> str:
    """A report as a table, beside QM9's own row where that is the yardstick."""
    rows = {"edm": QM9_ROW, "strict": QM9_STRICT_ROW}
    others = [rows[report.protocol]] if report.vocabulary == "qm9" else []
    return report.table(others, name=name)


def describe_installation() -> str:
    """Versions, what computes, presets, trained models and data, for people and bug reports."""
    packages = ("deepchem_ead", "deepchem", "torch", "rdkit", "numpy")
    versions = ", ".join(f"{name} {_version(name)}" for name in packages)
    qm9 = qm9pack_version()
    rows = {
        "versions": f"{versions}, Python {platform.python_version()}",
        "kernel": native.status(),
        "GPU": triton.status(),
        "presets": ", ".join(preset_names()),
        "trained models": ", ".join(map(_with_aliases, pretrained.names("EADModel"))) or "none",
        "predictor presets": ", ".join(EGNNPropertyModel.preset_names()),
        "trained predictors": ", ".join(pretrained.names("EGNNPropertyModel")) or "none",
        "QM9": f"qm9pack {qm9}, 130,831 molecules"
        if qm9
        else "a sample of 2,000 molecules; `pip install qm9pack==1.0.3` for all 130,831",
    }
    return "\n".join(f"{name:<18}  {value}" for name, value in rows.items())


def _with_aliases(name: str) -> str:
    others = [alias for alias, meant in pretrained.ALIASES.items() if meant == name]
    return f"{name} (also called {', '.join(others)})" if others else name


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:  # run from a source folder
        return "(not installed)"
