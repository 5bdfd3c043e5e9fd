"""What medicinal chemists look at: SA, QED, logP, alerts."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from rdkit import Chem
from rdkit.Chem import QED, rdMolDescriptors
from rdkit.Chem.FilterCatalog import FilterCatalog, FilterCatalogParams

from deepchem_ead.chem.synthesis import sa_scores
from deepchem_ead.metrics.checks.check import CHECKS, NOTHING, BaseCheck, Column, Outcome
from deepchem_ead.metrics.view import MoleculeView

_CATALOGS = ("PAINS", "BRENK", "NIH")


@cache
def _alerts() -> FilterCatalog:
    parameters = FilterCatalogParams()
    for name in _CATALOGS:
        parameters.AddCatalog(getattr(FilterCatalogParams.FilterCatalogs, name))
    return FilterCatalog(parameters)


@CHECKS.register("drug_likeness")
@dataclass(frozen=True)
class DrugLikeness(BaseCheck):
    """Measures only: small molecules need not be drugs."""

    name = "drug_likeness"
    judges = False
    columns = {
        "sa_score": Column("synthetic accessibility, 1 (easy) to 10 (hard)", "mean"),
        "qed": Column("quantitative estimate of drug-likeness, 0 to 1", "mean"),
        "logp": Column("Crippen's octanol-water partition coefficient", "mean"),
        "no_alerts": Column("nothing in the PAINS, Brenk and NIH lists", "share"),
        "alerts": Column("which"),
    }

    def __call__(self, view: MoleculeView) -> Outcome:
        if view.mol is None:
            return NOTHING
        mol = Chem.RemoveHs(view.mol)
        found = sorted({entry.GetDescription() for entry in _alerts().GetMatches(mol)})
        return Outcome(
            columns={
                "sa_score": float(sa_scores([mol])[0]),
                "qed": float(QED.qed(mol)),
                "logp": float(rdMolDescriptors.CalcCrippenDescriptors(mol)[0]),
                "no_alerts": not found,
                "alerts": ", ".join(found),
            }
        )
