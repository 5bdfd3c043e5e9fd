"""Designed molecules: their table, files and pictures."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rdkit import Chem

from deepchem_ead.chem.atomic import atomic_path
from deepchem_ead.chem.files import file_format
from deepchem_ead.chem.molecules import MoleculeBatch
from deepchem_ead.chem.records import SMILES_TAG, as_text, rounded
from deepchem_ead.chem.sdf import format_sdf
from deepchem_ead.designs.targets import Target
from deepchem_ead.metrics.text_table import aligned

if TYPE_CHECKING:
    import pandas as pd

#: What to do where a stage of the funnel leaves nothing.
_REMEDIES = {
    "valid": "generate more, train the model longer, or choose protocol='edm'",
    "sound": "generate more, or choose another suite",
    "novel": "generate more, or take another reference",
    "predictable": "choose a predictor that knows these elements and sizes",
}


@dataclass(frozen=True, eq=False, repr=False)
class DesignResult:
    """The molecules chosen by `design`, best first.

    Attributes
    ----------
    molecules : MoleculeBatch
        Its properties, which are also the tags of a written file: for each target
        ``NAME_requested``, ``NAME_predicted``, ``NAME_uncertainty`` (one standard deviation, if the
        predictor tells) and ``NAME_unit``, the unit of these three, in which the target was
        written; and the other columns of the table.
    mols : list of rdkit.Chem.Mol
        The same molecules with bonds, charges and coordinates.
    table : pandas.DataFrame
        One row a molecule: ``molecule`` (its number among the generated ones), ``smiles``, the
        predictions, ``distance`` to the targets, ``chance_within`` (how likely the true values are
        within the tolerance, if there are tolerance and uncertainty), ``sa_score``.
    funnel : dict of str to int
        Molecules that were left after each stage.
    targets : list of Target
    message : str
        Why nothing is left, and what may help; "" if something is.
    """

    molecules: MoleculeBatch
    mols: list[Chem.Mol]
    table: pd.DataFrame
    funnel: dict[str, int]
    targets: list[Target]
    message: str

    @classmethod
    def build(
        cls,
        molecules: MoleculeBatch,
        mols: list[Chem.Mol],
        table: pd.DataFrame,
        funnel: dict[str, int],
        targets: list[Target],
        remarks: Sequence[str],
    ) -> DesignResult:
        """Join what was found out; ``remarks`` say what the last stages threw away."""
        table = table.reset_index(drop=True)
        properties: dict[str, np.ndarray] = {}
        for target in targets:
            wanted = target.quantity.written
            properties[f"{target.name}_requested"] = np.full(len(table), wanted)
            for column in (f"{target.name}_predicted", f"{target.name}_uncertainty"):
                if column in table:
                    properties[column] = table[column].to_numpy()
            if target.unit:
                properties[f"{target.name}_unit"] = np.full(len(table), target.unit)
        for column in ("distance", "chance_within", "sa_score", "molecule"):
            if column in table:
                properties[column] = table[column].to_numpy()
        names = [f"design {rank}" for rank in range(1, len(table) + 1)]
        molecules = replace(molecules, properties=properties, ids=names)
        return cls(molecules, mols, table, funnel, targets, _message(funnel, remarks))

    def __len__(self) -> int:
        return len(self.table)

    def __repr__(self) -> str:
        return f"DesignResult({len(self)} of {self.funnel['generated']} molecules)"

    def __str__(self) -> str:
        parts = [self.funnel_table()]
        if len(self):
            parts.append(self.top())
        if self.message:
            parts.append(self.message)
        return "\n\n".join(parts)

    def funnel_table(self) -> str:
        """How many molecules were left after each stage, as text."""
        everything = self.funnel["generated"]
        body = [[stage, f"{n:,}", f"{n / everything:.1%}"] for stage, n in self.funnel.items()]
        return aligned(["", "molecules", "share"], body)

    def top(self, n: int = 10) -> str:
        """The first rows of the table as text."""
        head = ["SMILES"]
        for target in self.targets:
            head.append(f"{target.name}/{target.unit}" if target.unit else target.name)
            if f"{target.name}_uncertainty" in self.table:
                head.append("+-")
        others = {"distance": "distance", "chance_within": "chance", "sa_score": "SA score"}
        others = {column: name for column, name in others.items() if column in self.table}
        body = []
        for _, row in self.table.head(n).iterrows():
            cells = [row["smiles"]]
            for target in self.targets:
                for column in (f"{target.name}_predicted", f"{target.name}_uncertainty"):
                    if column in self.table:
                        cells.append(f"{row[column]:.4g}")
            body.append(cells + [f"{row[column]:.2f}" for column in others])
        text = aligned([*head, *others.values()], body)
        more = len(self) - n
        return text + (f"\n... and {more} more" if more > 0 else "")

    def to_sdf(self, path: str | os.PathLike) -> None:
        """Write an SDF file with all properties as tags, atomically.

        Bonds and charges are those the molecules came with, or else those the protocol found.
        """
        properties = self.molecules.properties
        with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8") as stream:
            for i, mol in enumerate(self.mols):
                tags = {SMILES_TAG: self.table["smiles"][i]}
                tags |= {"charge": str(Chem.GetFormalCharge(mol))}
                tags |= {name: as_text(rounded(v[i])) for name, v in properties.items()}
                numbers, positions = self.molecules.atoms(i)
                name = self.molecules.ids[i]
                stream.write(format_sdf(numbers, positions, Chem.Mol(mol), name, tags))

    def write(self, path: str | os.PathLike) -> None:
        """Write .sdf, .xyz or .smi molecules, or the table as .csv.

        Raises
        ------
        ValueError
            For another suffix.
        """
        if Path(path).suffix.lower() == ".csv":
            with atomic_path(path) as temporary:
                self.table.to_csv(temporary, index=False, float_format="%.6g")
            return
        writers = {"sdf": self.to_sdf, "xyz": self.molecules.to_xyz, "smi": self.molecules.to_smi}
        writers[file_format(path)](path)

    def grid(self, path: str | os.PathLike, n: int = 12, columns: int = 4) -> Path:
        """Write a PNG with 2D drawings of the best molecules and their predictions.

        Raises
        ------
        ValueError
            If there is no molecule.
        """
        if not len(self):
            raise ValueError(f"there are no molecules to draw: {self.message}")
        from deepchem_ead.viz.drawing import draw_structures

        return draw_structures(
            self.mols[:n], [self._captions(i) for i in range(min(n, len(self)))], path, columns
        )

    def _captions(self, i: int) -> tuple[str, str]:
        row = self.table.iloc[i]
        shown = []
        for target in self.targets:
            text = f"{target.name} {row[f'{target.name}_predicted']:.3g}"
            if f"{target.name}_uncertainty" in self.table:
                text += f" ± {row[f'{target.name}_uncertainty']:.2g}"
            shown.append(f"{text} {target.unit}".rstrip())
        return row["smiles"], ", ".join(shown)


def _message(funnel: dict[str, int], remarks: Sequence[str]) -> str:
    if funnel["kept"]:
        return ""
    stages = list(funnel.items())
    k = next(k for k, (_, n) in enumerate(stages) if n == 0)
    stage, before = stages[k][0], stages[k - 1][1]
    remedy = _REMEDIES.get(stage.split(" (")[0]) or remarks[-1]
    return f"no molecule is left: none of {before:,} passes {stage!r}; {remedy}"
