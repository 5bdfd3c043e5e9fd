"""How much noise is in a run's states? The spread of positions by level, beside what it should be.

    python -m benchmarks.state_spread MODEL [--steppers ancestral rtk:iterations=2 ...] [--n 24]

At a level with noise tau, states of data with the spread s have the spread ``sqrt(s^2 + tau^2)``;
the network has learned from no others. A stepper that returns a mode adds no noise of its own, and
on Gaussian data it ends with a spread of ``s^2 / tau_T``, which is nothing: how far it gets with a
network is measured. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field

import torch
from torch import Tensor

from benchmarks.tables import markdown
from deepchem_ead import EADModel, MoleculeBatch
from deepchem_ead.sampling import Stepper, resolve_stepper
from deepchem_ead.sampling.state import Transition
from deepchem_ead.sampling.steppers import MemorylessStepper

LEVELS = (800, 600, 500, 400, 300, 200, 100)


@dataclass
class Watched(MemorylessStepper):
    """A stepper without a memory; keeps the spread of the states that it is given, by level."""

    stepper: Stepper
    spread: dict[float, list[float]] = field(default_factory=dict)

    def step(self, transition: Transition) -> Tensor:
        level = float(transition.levels.max())
        self.spread.setdefault(level, []).append(float(transition.w[:, :3].std()))
        return self.stepper.step(transition)


def row(model: EADModel, stepper: str, arguments: argparse.Namespace) -> list[str]:
    """The spread at each of `LEVELS`, or the level of the grid next to it, and of the molecules."""
    watched = Watched(resolve_stepper(stepper))
    molecules = model.generate(
        arguments.n, "synchronous", seed=arguments.seed, steps=arguments.steps, stepper=watched,
        n_atoms="histogram", closed_shell=False, progress=False,
    )  # fmt: skip
    spread = {level: sum(found) / len(found) for level, found in watched.spread.items()}
    nearest = [min(spread, key=lambda level: abs(level - wanted)) for wanted in LEVELS]
    return [stepper, *(f"{spread[level]:.2f}" for level in nearest), f"{final(molecules):.2f}"]


def final(molecules: MoleculeBatch) -> float:
    """The same of finished molecules."""
    centred = [
        torch.from_numpy(positions - positions.mean(0))
        for _, positions in map(molecules.atoms, range(len(molecules)))
    ]
    return float(torch.cat(centred).std())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", help="folder of a model, or the name of one that is shipped")
    parser.add_argument("--steppers", nargs="+", default=["ancestral", "ddim", "rtk:iterations=2"])
    parser.add_argument("--n", type=int, default=24, help="molecules")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=50)
    arguments = parser.parse_args()
    model = EADModel.from_pretrained(arguments.model)
    schedule = model.config.make_noise_schedule()
    tau = schedule.tau_at(torch.tensor(LEVELS, dtype=torch.float64))
    head = ["spread of positions, Å, at level", *map(str, LEVELS), "molecules"]
    rows = [row(model, stepper, arguments) for stepper in arguments.steppers]
    noise = ["noise alone (tau)", *(f"{value:.2f}" for value in tau.tolist()), "-"]
    print(markdown(head, [*rows, noise]))


if __name__ == "__main__":
    main()
