"""Molecules from the model that comes with the package: what ``deepchem-ead demo`` does."""

from __future__ import annotations

import time
from pathlib import Path

from deepchem_ead.choices import DEFAULT_MODEL
from deepchem_ead.commands.jobs.evaluation import metrics_table
from deepchem_ead.commands.jobs.runs import n_parameters
from deepchem_ead.metrics import evaluate_molecules
from deepchem_ead.models.ead import EADModel


def run_demo(out: Path, n: int, precision: str, steps: int | None = None) -> None:
    """Generate molecules, score them, and write SDF, SMILES and a picture to a folder.

    Parameters
    ----------
    out : Path
        Folder for the results; what an earlier demo left there is replaced.
    n : int
        Molecules to generate.
    precision : str
        Arithmetic of the network.
    steps : int, optional
        Denoising steps; the model's by default.
    """
    began = time.perf_counter()
    model = EADModel.from_pretrained(DEFAULT_MODEL, precision=precision)
    print(
        f"1/3  loaded {DEFAULT_MODEL}: {n_parameters(model):,} parameters, "
        f"{model.model.sampling_denoiser.active_backend}"
    )
    config = model.config
    print(
        f"2/3  generating {n} molecules in {steps or config.sampling_steps} steps: "
        f"schedule {config.sampling_schedule}, repeat rule {config.repeat_rule}"
    )
    molecules = model.generate(n, seed=0, steps=steps)

    report = evaluate_molecules(molecules)
    out.mkdir(parents=True, exist_ok=True)
    molecules.to_sdf(out / "molecules.sdf")
    molecules.to_smi(out / "molecules.smi")
    molecules.grid(out / "molecules.png")
    print(
        f"3/3  {molecules.info['n_evaluations']:,} network evaluations in "
        f"{molecules.info['seconds']:.0f} s\n"
    )
    print(metrics_table(report, DEFAULT_MODEL))
    print(
        f"\nmolecules  {out / 'molecules.sdf'}, {out / 'molecules.smi'}\n"
        f"picture    {out / 'molecules.png'}\n"
        f"all of it took {time.perf_counter() - began:.0f} s\n\n"
        "More molecules, and a model of your own after three minutes of training:\n"
        f"  deepchem-ead generate --model {DEFAULT_MODEL} --n 1000 --out more.sdf\n"
        "  deepchem-ead train qm9 --minutes 3 --out runs/first"
    )
