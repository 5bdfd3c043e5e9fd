"""Trainings in turns, each given equal processor time, that go on where they were stopped."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from deepchem.data import Dataset

from deepchem_ead import EADModel
from deepchem_ead.chem.atomic import atomic_path
from deepchem_ead.commands.options import parse_option
from deepchem_ead.diffusion import Asked, Bonds, bonds_of_pairs

#: Levels at which errors are measured.
LEVELS = (50, 100, 200, 300, 500, 800)
#: What all trainings have in common, besides a preset: a constant rate.
COMMON = {
    "batch_size": 32, "learning_rate_decay": "none", "warmup_steps": 200, "ema_decay": 0.999,
    "precision": "fp32",
}  # fmt: skip
#: And those that begin from nothing: a small network.
SMALL = {"n_layers": 5, "n_features": 96, "n_heads": 6, "learning_rate": 5e-4}


@dataclass(frozen=True)
class Training:
    """One of the trainings, in a folder of its own.

    Attributes
    ----------
    folder : Path
        Of checkpoints, ``spent.json`` and what has been measured.
    preset : str
    changes : dict
    start : str, optional
        Trained model that it begins from.
    """

    folder: Path
    preset: str
    changes: dict[str, Any]
    start: str | None = None

    def model(self) -> EADModel:
        """The model as it is in its latest checkpoint, if there is one."""
        model = EADModel(
            self.preset, initial_weights=self.start, model_dir=self.folder, **self.changes
        )
        if model.get_checkpoints():
            model.restore()
        return model

    @property
    def spent(self) -> float:
        """Seconds of the processor that it has had."""
        record = self.folder / "spent.json"
        return float(json.loads(record.read_text())["seconds"]) if record.exists() else 0.0

    def go_on(self, dataset: Dataset, until: float) -> None:
        """Train until it has had so many seconds of the processor."""
        before = self.spent
        if before >= until:
            return
        model = self.model()
        began = time.process_time()

        def stop(model: EADModel, step: int) -> None:
            if before + time.process_time() - began >= until:
                model.stop_training()

        model.fit(dataset, nb_epoch=10**6, checkpoint_interval=10**9, callbacks=stop)
        model.save_checkpoint(max_checkpoints_to_keep=2)
        seconds = before + time.process_time() - began
        record = {"seconds": seconds, "steps": model.get_global_step()}
        with atomic_path(self.folder / "spent.json") as path:
            path.write_text(json.dumps(record))
        print(f"{self.folder.name}: {seconds:.0f} s, {record['steps']} steps", flush=True)

    def measured(self, n: int, measure: Callable[[EADModel], dict]) -> dict:
        """All numbers of its latest checkpoint, on n molecules; kept by its steps."""
        model = self.model()
        steps = model.get_global_step()
        record = self.folder / f"measured-{steps}-{n}.json"
        if not record.exists():
            found = measure(model)
            with atomic_path(record) as path:
                path.write_text(json.dumps(found))
        return json.loads(record.read_text()) | {"steps": steps}


def parsed(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """Arguments, with the options that all trainings in turns have, but for ``--out``."""
    parser.add_argument("--hours", type=float, default=6.0, help="of the processor, for each run")
    parser.add_argument("--turn", type=float, default=20.0, help="minutes of a turn")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--set", nargs="*", default=[], metavar="OPTION=VALUE")
    parser.add_argument("--data", default="qm9", help="a data set with bonds")
    parser.add_argument("--n", type=int, default=200, help="molecules that are measured on")
    parser.add_argument("--report", action="store_true", help="measure what there is")
    arguments = parser.parse_args()
    arguments.options = dict(map(parse_option, arguments.set))
    return arguments


def in_turns(trainings: Sequence[tuple[Training, Dataset]], arguments: argparse.Namespace) -> None:
    """Train all until each has had its time; can be killed and called again."""
    total, turn = 3600 * arguments.hours, 60 * arguments.turn
    for until in [*np.arange(turn, total, turn), total]:
        for training, dataset in trainings:
            training.go_on(dataset, float(until))


def title_of(name: str, trainings: Sequence[Training], found: Sequence[dict]) -> str:
    """Name of a row: trainings that differ by their seeds, and what has been measured of them."""
    hours = ", ".join(f"{training.spent / 3600:.2f}" for training in trainings)
    steps = ", ".join(f"{each['steps']:,}" for each in found)
    return f"{name} ({len(trainings)} seeds, {hours} h, {steps} steps)"


def spread(values: Sequence[float] | np.ndarray) -> str:
    """Mean over seeds, and its standard error."""
    values = np.asarray(values, float)
    error = f" ± {values.std(ddof=1) / len(values) ** 0.5:.3f}" if len(values) > 1 else ""
    return f"{values.mean():.3f}{error}"


def chosen(dataset: Dataset, n: int) -> np.ndarray:
    """X of molecules at random: parts of QM9 begin with the smallest."""
    rows = np.random.default_rng(0).choice(len(dataset), min(n, len(dataset)), replace=False)
    return dataset.X[np.sort(rows)]


def noised(
    model: EADModel, X: np.ndarray, of_graphs: bool = False
) -> Iterator[tuple[Asked, torch.Tensor, torch.Tensor]]:
    """Molecules at their own size at each of `LEVELS`, with the same noise for every model.

    Parameters
    ----------
    of_graphs : bool
        Kinds and bonds are given.

    Yields
    ------
    asked : Asked
    clean, noise : Tensor, (A, 3 + F)
    """
    encoding, network, process = model.encoding, model.model.eval(), model.model.process
    encoded = encoding.encode(X, n_nodes=encoding.count_atoms(X))
    clean, layout = encoded.clean, encoded.layout
    context, bonds = None, None
    if network.n_context:
        unknown = torch.full((layout.n_molecules, len(model.config.condition_names)), torch.nan)
        context = network.context(torch.ones(layout.n_molecules) > 0, unknown.double())
    if model.config.bonds:
        kinds = bonds_of_pairs(encoded.bonds, layout)
        bonds = Bonds(kinds, torch.full_like(kinds, of_graphs, dtype=torch.bool))
    generator = torch.Generator().manual_seed(0)
    for level in LEVELS:
        levels = torch.full((layout.n_nodes,), float(level), dtype=torch.float64)
        if of_graphs:
            levels = torch.stack([levels, torch.zeros_like(levels)], 1)
        noise = torch.randn(clean.shape, generator=generator)
        w = process.add_noise(clean, levels, process.draw_noise(noise, layout))
        yield Asked(w, levels, layout, context, bonds=bonds), clean, noise
