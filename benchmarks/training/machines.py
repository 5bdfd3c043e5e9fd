"""One training run on several machines: does it go on as it would have on one?

    python -m benchmarks.machines FOLDER [--steps 10] [--preset qm9] [--set n_layers=2 ...]
    python -m benchmarks.machines FOLDER --compare OTHER

Every call goes on with the run in FOLDER from its newest checkpoint, or begins it, makes
``--steps`` steps on the molecules that come with the package and adds a row for each to
FOLDER/steps.csv. So a relay is one folder that is copied from machine to machine, and its control
another one that stays where it is. ``--compare`` prints how far the losses of two folders, and the
weights of their newest checkpoints, are apart.
"""

from __future__ import annotations

import argparse
import csv
import platform
from pathlib import Path

import torch

from deepchem_ead import EADModel, load_qm9_3d
from deepchem_ead.commands.options import parse_option
from deepchem_ead.generator.checkpoint import checkpoint_files, read_tensors

COLUMNS = ("step", "loss", "first molecule", "machine")
DENOISER = "model/denoiser."


def go_on(folder: Path, n_steps: int, options: dict) -> None:
    """Make ``n_steps`` more steps of the run in a folder."""
    model = EADModel(model_dir=str(folder), **options)
    if model.get_checkpoints():
        model.restore()
    _, (data, _, _), _ = load_qm9_3d(source="sample")
    last = model.get_global_step() + n_steps
    backend = model.model.denoiser.active_backend.split(" (")[0]
    machine = f"{platform.machine()}, torch {torch.__version__}, {backend}"
    rows = []

    def note(model: EADModel, step: int) -> None:
        rows.append((step, repr(model.last_loss), model._batch_ids[0], machine))
        if step == last:
            model.stop_training()

    model.fit(data, nb_epoch=10**6, callbacks=note, checkpoint_interval=0)
    model.save_checkpoint()
    file = folder / "steps.csv"
    begins = not file.exists()
    with file.open("a", newline="") as stream:
        csv.writer(stream).writerows([COLUMNS] * begins + rows)
    print(f"{machine}: steps {rows[0][0]} to {rows[-1][0]}, last loss {rows[-1][1]}")


def read_steps(folder: Path) -> list[dict[str, str]]:
    """The steps made so far, with `COLUMNS`."""
    with (folder / "steps.csv").open() as stream:
        return list(csv.DictReader(stream))


def _weights(folder: Path) -> torch.Tensor:
    """The denoiser's weights in the newest checkpoint, as one vector."""
    tensors, _ = read_tensors(checkpoint_files(folder)[0])
    return torch.cat([tensors[k].flatten() for k in sorted(tensors) if k.startswith(DENOISER)])


def compare(one: Path, other: Path) -> str:
    """How far two runs are apart, in words."""
    runs = [read_steps(folder) for folder in (one, other)]
    pairs = list(zip(*runs, strict=True))
    same = all(a["first molecule"] == b["first molecule"] for a, b in pairs)
    apart = max(abs(float(a["loss"]) / float(b["loss"]) - 1) for a, b in pairs)
    vectors = [_weights(folder) for folder in (one, other)]
    distance = float((vectors[0] - vectors[1]).norm() / vectors[1].norm())
    machines = sorted({row["machine"] for run in runs for row in run})
    return (
        f"{len(pairs)} steps on {' and '.join(machines)}: "
        f"{'the same' if same else 'OTHER'} batches, losses within {apart:.1e} (relative), "
        f"weights {distance:.1e} (relative L2)"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--preset", default="qm9")
    parser.add_argument("--set", nargs="*", default=[], metavar="OPTION=VALUE")
    parser.add_argument("--compare", type=Path, metavar="OTHER")
    arguments = parser.parse_args()
    if arguments.compare:
        print(compare(arguments.folder, arguments.compare))
    else:
        options = {"preset": arguments.preset} | dict(map(parse_option, arguments.set))
        go_on(arguments.folder, arguments.steps, options)


if __name__ == "__main__":
    main()
