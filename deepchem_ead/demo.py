"""From data to molecules in a few minutes: what ``deepchem-ead demo`` does."""

from __future__ import annotations

import time
from pathlib import Path

from deepchem_ead import tasks
from deepchem_ead.metrics import evaluate_molecules
from deepchem_ead.models.ead import EADModel
from deepchem_ead.molnet.qm9pack import qm9pack_version


def run_demo(out: Path, minutes: float, n: int, precision: str, **overrides) -> None:
    """Train on QM9, generate, score, and write SDF, SMILES and a picture to a folder.

    Parameters
    ----------
    out : Path
        Folder for the results; what an earlier demo left there is replaced.
    minutes : float
        Time to train.
    n : int
        Molecules to generate.
    precision : str
        Arithmetic of training; generation is always in fp32.
    **overrides
        Fields of the preset "qm9-small" to change.
    """
    began = time.perf_counter()
    source = "qm9" if qm9pack_version() else "qm9-sample"
    print(f"1/4  loading {source}" + " (parsed once, then cached)" * (source == "qm9"))
    dataset = tasks.training_data(source)

    run = out / "run"
    overrides = {"precision": precision} | overrides
    model = tasks.new_model("qm9-small", overrides, dataset, model_dir=run)
    tasks.forget_run(model)
    print(
        f"2/4  training on {len(dataset):,} molecules for {minutes:g} minutes: "
        f"{tasks.n_parameters(model):,} parameters, {model.model.denoiser.active_backend}"
    )
    tasks.train(model, dataset, run, epochs=1000, minutes=minutes)

    print(f"3/4  generating {n} molecules with the adaptive schedule")
    model = EADModel.from_pretrained(run / "model", precision="fp32")
    molecules = model.generate(n, schedule="adaptive", seed=0)

    report = evaluate_molecules(molecules)
    molecules.to_sdf(out / "molecules.sdf")
    molecules.to_smi(out / "molecules.smi")
    molecules.grid(out / "molecules.png")
    print(
        f"4/4  {molecules.info['n_evaluations']} network evaluations in "
        f"{molecules.info['seconds']:.0f} s\n"
    )
    print(tasks.metrics_table(report, f"after {minutes:g} min", "qm9", "edm"))
    print(
        f"\nmolecules  {out / 'molecules.sdf'}, {out / 'molecules.smi'}\n"
        f"picture    {out / 'molecules.png'}\n"
        f"model      {run / 'model'}   (curve in {run / 'curve.csv'})\n"
        f"all of it took {time.perf_counter() - began:.0f} s\n\n"
        "Weights trained for 66 minutes come with the package; they do better:\n"
        f"  deepchem-ead generate --model qm9-small --n {n} --out better.sdf"
    )
