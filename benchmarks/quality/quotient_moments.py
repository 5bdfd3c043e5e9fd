r"""Samplers on the quotient space against exact second moments: what the curvature term is for.

    OMP_NUM_THREADS=1 python -m benchmarks.quotient_moments --out FOLDER [--n 500] [--steps 300]

Molecules of M atoms spread as N(0, I) modulo translation have ``E|x|^2 = 3 (M - 1)``. Langevin
dynamics with horizontal noise, ``dx = [P s + c h] dt + sqrt(2) P dw``, has the invariant density
``exp(-|x|^2 / 2) det K^(-(1 + c) / 2)``, of which ``E|x|^2 = 3 (M - 1) - 3 (1 + c)``: only c = -1
is right, the curvature term pointing outward. The same for whole runs of the package's steppers,
with the exact estimate and with one that turns molecules besides. Draws ``quotient-moments.png``
and prints a Markdown table; a few minutes on a free core.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import torch
from torch import Tensor

from benchmarks.tables import markdown
from deepchem_ead.diffusion import AtomLayout, DiffusionProcess, Orbits, Outputs, Seen
from deepchem_ead.sampling import MoleculeNoise, QuotientSDEStepper, Stepper, sample
from deepchem_ead.testing.toys import make_process

matplotlib.use("Agg")
from matplotlib import pyplot as plt  # noqa: E402

SIZES = (4, 6, 10)
CHAINS = {"c = -1 (eq. 9)": -1, "c = 0 (left out)": 0, "c = +1 (eq. 12 as printed)": 1}


@dataclass(frozen=True)
class OtherCurvature(QuotientSDEStepper):
    """The curvature term times a factor: 0 leaves it out, -1 has the sign of eq. 12."""

    factor: float = 0.0

    def outward(self, orbits: Orbits) -> Tensor:
        return self.factor * super().outward(orbits)


#: Title, stepper, whether the estimate turns molecules, and the exact ratio for M atoms.
Run = tuple[str, str | Stepper, bool, Callable[[int], float]]
RUNS: tuple[Run, ...] = (
    ("ancestral", "ancestral", False, lambda m: 1),
    ("quotient (B3)", "quotient", False, lambda m: 1),
    ("quotient-ddim (B1)", "quotient-ddim", False, lambda m: 1),
    ("quotient-sde (B2)", "quotient-sde", False, lambda m: 1),
    ("B2 without curvature", OtherCurvature(), False, lambda m: (m - 2) / (m - 1)),
    ("B2, sign of eq. 12", OtherCurvature(factor=-1), False, lambda m: (m - 3) / (m - 1)),
    ("quotient, turning estimate", "quotient", True, lambda m: 1),
    ("quotient-ddim, turning estimate", "quotient-ddim", True, lambda m: 1),
    ("quotient-sde, turning estimate", "quotient-sde", True, lambda m: 1),
)


def squares(x: Tensor, layout: AtomLayout) -> Tensor:
    """|x|^2 of each molecule, (B,)."""
    return layout.sum(layout.center(x).square().sum(1))


def chains(c: int, n: int, size: int = 4, dt: float = 0.004, steps: int = 700) -> Tensor:
    """Mean |x|^2 after each step of Langevin chains from N(0, I), (steps + 1,)."""
    layout = AtomLayout.from_counts([size] * n)
    generator = torch.Generator().manual_seed(0)

    def draw() -> Tensor:
        return torch.randn(n * size, 3, generator=generator, dtype=torch.float64)

    x, found = layout.center(draw()), []
    for _ in range(steps):
        found.append(squares(x, layout).mean())
        orbits = Orbits.of(x, torch.ones(len(x)), layout)
        push = (c * dt * orbits.curvature()).clamp(-1, 1)  # once in a long time, on a line
        x = x - dt * x + push + (2 * dt) ** 0.5 * orbits.horizontal(draw())
    return torch.stack([*found, squares(x, layout).mean()])


def gaussian(process: DiffusionProcess, turning: bool) -> Callable[[Seen], Outputs]:
    """The exact denoiser of N(0, I) at equal levels, or one that also turns molecules."""
    schedule, axis = process.schedule, torch.tensor([0.3, -0.6, 0.2], dtype=torch.float64)

    def denoiser(seen: Seen) -> Outputs:
        level = seen.levels * schedule.timesteps
        tau, alpha = (table(level).unsqueeze(1) for table in (schedule.tau_at, schedule.alpha_at))
        y = seen.x / alpha
        turn = torch.linalg.cross(axis.expand_as(y), y) if turning else 0
        return Outputs((tau * y + turn) / (1 + tau.square()), torch.zeros_like(seen.h))

    return denoiser


def ratio(run: Run, size: int, n: int, steps: int) -> tuple[float, float]:
    """Mean |x|^2 of sampled molecules over the exact one, and its standard error."""
    _, stepper, turning, _ = run
    process, layout = make_process(steps), AtomLayout.from_counts([size] * n)
    noise = MoleculeNoise(0, range(n), layout.counts, torch.float64)
    states = sample(process, gaussian(process, turning), layout, 1, stepper=stepper, noise=noise)
    found = squares(states.states[:, :3], layout) / (3 * (size - 1))
    return float(found.mean()), float(found.std()) / n**0.5


Ratios = dict[str, list[tuple[float, float]]]


def draw(traces: dict[str, Tensor], ratios: Ratios, path: Path) -> None:
    """Chains in time beside their exact values, and runs by the number of atoms."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.5, 3.6), layout="constrained")
    for (name, trace), c in zip(traces.items(), CHAINS.values(), strict=True):
        time = 0.004 * torch.arange(len(trace))
        (line,) = left.plot(time, trace, label=name)
        left.axhline(9 - 3 * (1 + c), color=line.get_color(), ls="--", lw=1)
    left.set(xlabel="time of Langevin dynamics, M = 4", ylabel="mean |x|²", ylim=(0, 10))
    left.legend(fontsize=7, title="curvature term; dashed: exact", title_fontsize=7)
    for title, _, _, exact in RUNS:
        values, errors = zip(*ratios[title], strict=True)
        bar = right.errorbar(
            SIZES, values, errors, marker="o", ms=3, lw=0, elinewidth=1, label=title
        )
        right.plot(SIZES, list(map(exact, SIZES)), color=bar[0].get_color(), ls="--", lw=1)
    right.set(xlabel="atoms", ylabel="mean |x|² of samples / exact", ylim=(0, 1.15))
    right.legend(fontsize=6, title="stepper; dashed: predicted", title_fontsize=7)
    figure.savefig(path, dpi=130)
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--n", type=int, default=500, help="molecules of each run")
    parser.add_argument("--steps", type=int, default=300, help="of each run")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    traces = {name: chains(c, 4 * arguments.n) for name, c in CHAINS.items()}
    found = {
        run[0]: [ratio(run, size, arguments.n, arguments.steps) for size in SIZES] for run in RUNS
    }
    draw(traces, found, arguments.out / "quotient-moments.png")
    for (name, trace), c in zip(traces.items(), CHAINS.values(), strict=True):
        late = trace[len(trace) * 3 // 4 :].mean()
        print(f"Langevin, M = 4, {name}: {late:.2f} late in the run, exact {9 - 3 * (1 + c)}")
    head = ["mean abs. x squared over the exact one", *(f"M = {m} (predicted)" for m in SIZES)]
    rows = []
    for title, _, _, exact in RUNS:
        row = zip(found[title], SIZES, strict=True)
        rows.append([title, *(f"{v:.3f} ± {e:.3f} ({exact(m):.3f})" for (v, e), m in row)])
    print(markdown(head, rows))


if __name__ == "__main__":
    main()
