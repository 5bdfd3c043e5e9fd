"""Which atoms are denoised first: levels by element, ring and Murcko scaffold.

    python -m benchmarks.level_traces MODEL --out FOLDER [--n 500] [--schedules adaptive ...]

Generates molecules with recorded levels and compares each atom's level with the mean of its
molecule at the same evaluation: below zero is ahead of the others. Groups come from the finished
molecules, valid ones only, by EDM's bonds. Prints a Markdown table (means over molecules with
their standard errors; the random coin is the control that must show nothing) and draws
``level_traces.png``.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import matplotlib
import numpy as np
from rdkit import Chem
from rdkit.Chem.Scaffolds.MurckoScaffold import GetScaffoldForMol

from benchmarks.parts import write_table
from benchmarks.tables import markdown
from deepchem_ead import EADModel
from deepchem_ead.sampling import REPEAT_RULES, SCHEDULES

matplotlib.use("Agg")
from matplotlib import pyplot as plt  # noqa: E402

#: Panels of the picture and what their groups are.
PANELS = {
    "element": ["H", "C", "N", "O", "F"],
    "ring (heavy atoms)": ["in a ring", "not in a ring"],
    "Murcko scaffold (heavy atoms)": ["in the scaffold", "side chain", "molecule without one"],
}
ORIGIN = "_origin"


def groups_of(mol: Chem.Mol) -> dict[tuple[str, str], np.ndarray]:
    """Atoms (bool, (n,)) of each panel and group. Hydrogens are only in the first panel."""
    symbols = np.array([atom.GetSymbol() for atom in mol.GetAtoms()])
    heavy = symbols != "H"
    in_ring = np.array([atom.IsInRing() for atom in mol.GetAtoms()])
    scaffold = np.zeros(len(symbols), bool)
    for atom in mol.GetAtoms():
        atom.SetIntProp(ORIGIN, atom.GetIdx())
    for atom in GetScaffoldForMol(mol).GetAtoms():
        if atom.HasProp(ORIGIN):
            scaffold[atom.GetIntProp(ORIGIN)] = True
    scaffold &= heavy
    element, ring, murcko = PANELS
    found = {(element, symbol): symbols == symbol for symbol in PANELS[element]}
    found |= {(ring, "in a ring"): heavy & in_ring, (ring, "not in a ring"): heavy & ~in_ring}
    if scaffold.any():
        found |= {
            (murcko, "in the scaffold"): scaffold,
            (murcko, "side chain"): heavy & ~scaffold,
        }
    else:
        found[murcko, "molecule without one"] = heavy
    return found


class Traces:
    """Levels of groups of atoms relative to their molecules, molecule by molecule."""

    def __init__(self) -> None:
        self.lag = defaultdict(list)  # (evaluations,) each
        self.repeats = defaultdict(list)
        self.n_atoms = defaultdict(int)

    def add(self, mol: Chem.Mol, levels: np.ndarray) -> None:
        """A molecule and its levels (evaluations, n)."""
        relative = levels - levels.mean(1, keepdims=True)
        repeated = ((np.diff(levels, axis=0) == 0) & (levels[1:] > 0)).sum(0)
        for key, atoms in groups_of(mol).items():
            if atoms.any():
                self.lag[key].append(relative[:, atoms].mean(1))
                self.repeats[key].append(repeated[atoms].mean())
                self.n_atoms[key] += int(atoms.sum())

    def mean_lag(self, key: tuple[str, str]) -> tuple[np.ndarray, np.ndarray]:
        """Mean over molecules and its standard error at each evaluation, (evaluations,) each."""
        longest = max(map(len, self.lag[key]))
        # Atoms of a finished molecule are level with each other.
        lags = np.stack([np.pad(lag, (0, longest - len(lag))) for lag in self.lag[key]])
        return lags.mean(0), lags.std(0) / len(lags) ** 0.5

    def rows(self, first: int) -> Iterator[list[str]]:
        """Cells of the table; lags are averaged over the evaluations from ``first``."""
        for panel, names in PANELS.items():
            for name in names:
                key = panel, name
                if self.lag[key]:
                    lags = [lag[first:].mean() for lag in self.lag[key]]
                    yield [
                        f"{name}{', heavy atoms' * (panel != 'element')}",
                        f"{self.n_atoms[key]:,}",
                        _with_error(lags, "+.2f"),
                        _with_error(self.repeats[key], ".2f"),
                    ]


def _with_error(values: list[float], form: str) -> str:
    spread = np.std(values, ddof=1) / len(values) ** 0.5 if len(values) > 1 else 0.0
    return f"{np.mean(values):{form}} ± {spread:.2f}"


def trace(model: EADModel, schedule: str, arguments: argparse.Namespace) -> tuple[Traces, int]:
    """Traces of the valid molecules of a schedule, and the first evaluation levels differ at."""
    molecules = model.generate(
        arguments.n, schedule, n_atoms="histogram", seed=arguments.seed, steps=arguments.steps,
        repeat_rule=arguments.rule, record_levels=True, progress=False,
    )  # fmt: skip
    found, first = Traces(), np.inf
    for mol, levels in zip(molecules.to_rdkit(), molecules.info["levels"], strict=True):
        differing = np.flatnonzero(np.ptp(levels, axis=1))
        first = min(first, differing[0] if len(differing) else len(levels))
        if mol is not None:
            found.add(mol, levels.astype(np.float64))
    return found, int(first)


def draw(found: dict[str, tuple[Traces, int]], path: Path) -> None:
    """One row of panels for each schedule."""
    figure, axes = plt.subplots(
        len(found), len(PANELS), figsize=(12, 3.1 * len(found)), layout="constrained",
        squeeze=False, sharex=True, sharey="row",
    )  # fmt: skip
    for row, (schedule, (traces, first)) in zip(axes, found.items(), strict=True):
        for axis, (panel, names) in zip(row, PANELS.items(), strict=True):
            for name in names:
                if traces.lag[panel, name]:
                    lag, error = (values[first:] for values in traces.mean_lag((panel, name)))
                    x = np.arange(first, first + len(lag))
                    (line,) = axis.plot(x, lag, label=name, lw=1.2)
                    axis.fill_between(
                        x, lag - error, lag + error, color=line.get_color(), alpha=0.2
                    )
            axis.axhline(0, color="grey", lw=0.8)
            axis.grid(alpha=0.3)
            axis.set_title(f"{schedule}: {panel}", fontsize=10)
            axis.legend(fontsize=8)
        row[0].set_ylabel("level - mean of the molecule")
    for axis in axes[-1]:
        axis.set_xlabel("evaluation of the network")
    figure.savefig(path, dpi=150)
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", help="folder of a model, or the name of one that is shipped")
    parser.add_argument("--out", type=Path, default=Path("runs/level-traces"))
    parser.add_argument("--n", type=int, default=500, help="molecules of each schedule")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, help="levels of the grid, all by default")
    parser.add_argument("--precision", default="fp32", choices=["fp32", "bf16"])
    parser.add_argument("--rule", choices=list(REPEAT_RULES), default="literal")
    parser.add_argument(
        "--schedules",
        nargs="+",
        default=["adaptive", "settled-first", "random-coin"],
        choices=[name for name in SCHEDULES if name != "replay"],
    )
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    model = EADModel.from_pretrained(arguments.model, precision=arguments.precision)
    found, body = {}, []
    for schedule in arguments.schedules:
        found[schedule] = traces, first = trace(model, schedule, arguments)
        body += [[schedule, *cells] for cells in traces.rows(first)]
    head = ["schedule", "atoms", "number", "level - mean of the molecule", "repeats of an atom"]
    draw(found, arguments.out / "level_traces.png")
    write_table(arguments.out, "level_traces.md", markdown(head, body))


if __name__ == "__main__":
    main()
