"""Bonds that are told or have noise of their own, on one network at equal processor time.

    nohup nice -n 19 env OMP_NUM_THREADS=1 python -m benchmarks.bonds --out runs/bonds \
        --hours 6 --seeds 0 1 2 > runs/bonds.log 2>&1 &
    python -m benchmarks.bonds --out runs/bonds --report

Trains a small network that knows bonds and charges on QM9, to make molecules from nothing and to
find the bonds of geometries, for each seed without noise of bonds ("told": they are known or not,
and the network is told its earlier estimate) and with it ("diffused", ``bond_noise``), in turns of
``--turn`` minutes of processor time, at a constant rate, until each has had ``--hours``. It can be
killed and given again. ``--report`` measures, of the latest checkpoints:

- at several levels, on the same validation molecules and noise, told its estimate from one step of
  50 further up: the error of the positions' noise, and of the pairs that are bonded or estimated to
  be, the share whose kind is right (at low levels "diffused" reads it off the noisy rows);
- of ``--n`` molecules in 50 steps: stable and valid by distances (EDM's protocol); stable, valid,
  and valid in one piece by their own bonds;
- of ``--n`` test geometries: the share whose bonds and formal charges are all found.

Prints Markdown; what has been measured is kept in the folder.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rdkit import Chem

from benchmarks.perception import plain_smiles
from benchmarks.tables import markdown
from benchmarks.turns import (
    COMMON,
    LEVELS,
    SMALL,
    Training,
    chosen,
    in_turns,
    noised,
    parsed,
    spread,
    title_of,
)
from deepchem_ead import EADModel, MoleculeBatch, evaluate_molecules, perceive_bonds
from deepchem_ead.diffusion import BOND_KINDS, Asked, channel, forward_step, unordered
from deepchem_ead.generator.likeliest_bonds import misfits
from deepchem_ead.molnet import DATASETS

CANDIDATES = {"told": False, "diffused": True}
#: Beside `COMMON`. Without earlier estimates bonds would not be told.
OPTIONS = {"self_conditioning": True, "stereo": False, "tasks": "free=3,perceive=1"}
STEPS = 50


def training(candidate: str, seed: int, arguments: argparse.Namespace) -> Training:
    """Where a training is, and what it trains."""
    changes = {**COMMON, **SMALL, **OPTIONS, **arguments.options, "seed": seed}
    changes["bond_noise"] = CANDIDATES[candidate]
    return Training(arguments.out / f"{candidate}-{seed}", "qm9-joint", changes)


@torch.no_grad()
def errors_by_level(model: EADModel, X: np.ndarray) -> list[tuple[float, float]]:
    """Error of the positions' noise per coordinate, and share of right bonds, at each level."""
    process, denoiser = model.model.process, model.model.sampling_denoiser
    generator, found = torch.Generator().manual_seed(1), []
    for asked, clean, noise in noised(model, X):
        assert asked.bonds is not None
        kinds = asked.bonds.kinds
        estimate = process.estimate(denoiser, _told_before(model, asked, clean, generator))
        tau = process.tau_at(asked.levels)
        target = process.frame.project(channel(noise, "positions"), tau, asked.layout)
        missed = channel(estimate.noise, "positions") - target
        likeliest = estimate.bonds.argmax(1)
        bonded = (kinds > 0) | (likeliest > 0) & (kinds == 0)
        right = (likeliest == kinds)[bonded].double().mean()
        found.append((float(missed.square().mean()), float(right)))
    return found


def _told_before(
    model: EADModel, asked: Asked, clean: torch.Tensor, generator: torch.Generator
) -> Asked:
    """The question as a sampler asks it: with an estimate from a step further up."""
    process, denoiser, layout = model.model.process, model.model.sampling_denoiser, asked.layout
    ahead = model.config.timesteps / STEPS
    levels = asked.levels, asked.levels + ahead
    tau_s, tau_t = map(process.schedule.tau_at, levels)
    numbers = unordered(layout)
    eps = torch.randn(clean.shape, generator=generator)
    shape = (len(numbers) // 2, len(BOND_KINDS))
    more = [torch.randn(shape, generator=generator)[numbers] for _ in range(2)]
    w = forward_step(asked.w, tau_s, tau_t, process.draw_noise(eps, layout))
    bonds = before = asked.bonds
    if process.bond_noise is not None and bonds is not None:
        nobody = torch.zeros(layout.n_nodes, dtype=torch.bool)
        u_s, u_t = (
            process.bond_noise.precision(each, nobody, process.schedule, layout) for each in levels
        )
        bonds = process.bond_noise.noised(bonds._replace(eps=more[0]), u_s)
        before = process.bond_noise.noisier(bonds, u_s, u_t, more[1])
    earlier = asked.replace(w=w, levels=levels[1], bonds=before)
    found = process.estimate(denoiser, earlier)
    previous = process.clean(earlier, found.noise)
    return asked.replace(bonds=bonds, previous=previous, previous_bonds=found.bonds)


def sampled(model: EADModel, n: int) -> dict[str, float]:
    """What is generated, by distances and by its own bonds."""
    batch = model.generate(
        n, "synchronous", stepper="ancestral", steps=STEPS, seed=0, n_atoms="histogram",
        progress=False,
    )  # fmt: skip
    report = evaluate_molecules(batch)
    stable, valid, whole = np.mean(judged_by_own_bonds(batch), 0)
    return {
        "EDM stable": report.molecule_stability,
        "EDM valid": report.validity,
        "own stable": float(stable),
        "own valid": float(valid),
        "own valid, one piece": float(whole),
    }


def judged_by_own_bonds(batch: MoleculeBatch) -> list[tuple[bool, bool, bool]]:
    """By the bonds each came with: all atoms have a valence; valid; valid and in one piece."""
    # Of molecules that are said to be sampled several pieces would be no molecule.
    mols = replace(batch, info={}, _smiles=None, _reasons=None).to_rdkit()
    found = []
    for i, mol in enumerate(mols):
        graph = batch.graph(i)
        if graph is None or graph.bonds is None or not batch.counts[i]:
            found.append((False, False, False))
            continue
        numbers, charges = (a.astype(np.int64) for a in (batch.numbers[i], graph.formal_charges))
        wrong = misfits(numbers, charges, graph.bonds[:, :2], graph.bonds[:, 2])
        whole = mol is not None and len(Chem.GetMolFrags(mol)) == 1
        found.append((not wrong.any(), mol is not None, whole))
    return found


def perceived(model: EADModel, X: np.ndarray) -> float:
    """Share of molecules whose bonds and formal charges are all found."""
    known = MoleculeBatch.from_padded(X)
    known = known[np.flatnonzero(known.graphs.bonds_given)]
    bare = MoleculeBatch.from_arrays(known.numbers, known.positions)
    found, right = (plain_smiles(each) for each in (perceive_bonds(bare, model=model), known))
    return float(np.mean([a == b for a, b in zip(found, right, strict=True)]))


def measured(model: EADModel, n: int, valid: np.ndarray, test: np.ndarray) -> dict[str, Any]:
    """All numbers of a model."""
    return {
        "errors": errors_by_level(model, valid),
        "samples": sampled(model, n) | {"perceived": perceived(model, test)},
    }


def print_report(arguments: argparse.Namespace, parts: Sequence) -> None:
    """Tables of errors, of bonds and of samples; means and standard errors over seeds."""
    valid, test = (chosen(part, arguments.n) for part in parts[1:])
    measure = partial(measured, n=arguments.n, valid=valid, test=test)
    tables: list[list[list[str]]] = [[], [], []]
    columns: list[str] = []
    for candidate in arguments.candidates:
        runs = [training(candidate, seed, arguments) for seed in arguments.seeds]
        runs = [run for run in runs if run.spent > 0]
        if not runs:
            continue
        found = [run.measured(arguments.n, measure) for run in runs]
        title = title_of(candidate, runs, found)
        by_level = np.array([each["errors"] for each in found]).transpose(2, 1, 0)
        for table, levels in zip(tables, by_level, strict=False):
            table.append([title, *map(spread, levels)])
        columns = list(found[0]["samples"])
        tables[2].append([title, *(spread([f["samples"][key] for f in found]) for key in columns)])
    heads = [["positions' error", *map(str, LEVELS)], ["bonds right", *map(str, LEVELS)]]
    for head, table in zip([*heads, ["samples", *columns]], tables, strict=True):
        print(markdown(head, table) + "\n", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--candidates", nargs="+", default=list(CANDIDATES), choices=CANDIDATES)
    arguments = parsed(parser)
    parts = DATASETS[arguments.data].parts((), bonds=True)
    if arguments.report:
        print_report(arguments, parts)
        return
    arguments.out.mkdir(parents=True, exist_ok=True)
    runs = [
        (training(candidate, seed, arguments), parts[0])
        for seed in arguments.seeds
        for candidate in arguments.candidates
    ]
    in_turns(runs, arguments)


if __name__ == "__main__":
    main()
