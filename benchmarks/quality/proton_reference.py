"""Energies of protonation states by GFN2-xTB in ALPB water against known pKa values.

    python -m benchmarks.proton_reference

Fits what `deepchem_ead.conformers.protonation` holds: a line for acids without charge and one for
cations, with the error of acids that were left out, one by one, and of fifteen others that were
never used. Beside them stands one constant for the proton, and the mean pKa alone. The pKa values
(water, 25 degrees) are textbook ones. Minutes on one core.
"""

from __future__ import annotations

import numpy as np
from tqdm import tqdm

from benchmarks.tables import markdown
from deepchem_ead.conformers import ETKDG, ConformerOptions, find_ensemble, read_graph
from deepchem_ead.conformers.protonation import ACIDS, CATIONS, PER_UNIT

#: Acid, base, pKa.
FITTED = (
    ("OC=O", "[O-]C=O", 3.75), ("CC(=O)O", "CC(=O)[O-]", 4.76),
    ("OC(=O)c1ccccc1", "[O-]C(=O)c1ccccc1", 4.20), ("OC(=O)CCl", "[O-]C(=O)CCl", 2.87),
    ("CCC(=O)O", "CCC(=O)[O-]", 4.87), ("CC(C)(C)C(=O)O", "CC(C)(C)C(=O)[O-]", 5.03),
    ("Oc1ccccc1", "[O-]c1ccccc1", 9.99),
    ("Oc1ccc([N+](=O)[O-])cc1", "[O-]c1ccc([N+](=O)[O-])cc1", 7.15),
    ("Oc1ccc(Cl)cc1", "[O-]c1ccc(Cl)cc1", 9.41), ("CCS", "CC[S-]", 10.61),
    ("Sc1ccccc1", "[S-]c1ccccc1", 6.62), ("c1c[nH]cn1", "c1c[n-]cn1", 14.2),
    ("O=C1CCC(=O)N1", "O=C1CCC(=O)[N-]1", 9.62),
    ("CS(=O)(=O)Nc1ccccc1", "CS(=O)(=O)[N-]c1ccccc1", 8.85),
    ("[NH4+]", "N", 9.25), ("C[NH3+]", "CN", 10.63), ("C[NH2+]C", "CNC", 10.73),
    ("C[NH+](C)C", "CN(C)C", 9.80), ("CC[NH+](CC)CC", "CCN(CC)CC", 10.75),
    ("[NH3+]c1ccccc1", "Nc1ccccc1", 4.60), ("c1cc[nH+]cc1", "c1ccncc1", 5.23),
    ("c1c[nH+]c[nH]1", "c1cnc[nH]1", 6.99), ("C1CC[NH2+]CC1", "C1CCNCC1", 11.12),
    ("C1COCC[NH2+]1", "C1COCCN1", 8.50), ("[NH3+]Cc1ccccc1", "NCc1ccccc1", 9.34),
    ("NC(N)=[NH2+]", "NC(N)=N", 13.6), ("CC(=[NH2+])N", "CC(=N)N", 12.4),
    ("Cc1cccc[nH+]1", "Cc1ccccn1", 5.97), ("CN(C)c1cc[nH+]cc1", "CN(C)c1ccncc1", 9.70),
    ("OCC[NH3+]", "OCCN", 9.50),
)  # fmt: skip
HELD_OUT = (
    ("CC(O)C(=O)O", "CC(O)C(=O)[O-]", 3.86), ("Cc1ccc(O)cc1", "Cc1ccc([O-])cc1", 10.26),
    ("Oc1ccc2ccccc2c1", "[O-]c1ccc2ccccc2c1", 9.51), ("OC(=O)C=C", "[O-]C(=O)C=C", 4.25),
    ("O=C1NC(=O)c2ccccc21", "O=C1[N-]C(=O)c2ccccc21", 8.30), ("CCCS", "CCC[S-]", 10.65),
    ("OCC(=O)O", "OCC(=O)[O-]", 3.83), ("C1CC[NH2+]C1", "C1CCNC1", 11.31),
    ("c1ccc2[nH+]cccc2c1", "c1ccc2ncccc2c1", 4.90),
    ("c1ccc2[nH]c[nH+]c2c1", "c1ccc2[nH]cnc2c1", 5.53), ("CC(C)(C)[NH3+]", "CC(C)(C)N", 10.68),
    ("COc1ccc([NH3+])cc1", "COc1ccc(N)cc1", 5.34), ("Nc1cccc[nH+]1", "Nc1ccccn1", 6.86),
    ("CC[NH3+]", "CCN", 10.65), ("C[NH+]1CCOCC1", "CN1CCOCC1", 7.38),
)  # fmt: skip


def measured(acids: tuple[tuple[str, str, float], ...], label: str) -> np.ndarray:
    """E(base) - E(acid), RT ln(10) pKa (kcal/mol) and whether the acid is a cation, (n, 3)."""
    rows = []
    for acid, base, pka in tqdm(acids, desc=label):
        energies = [lowest(smiles) for smiles in (acid, base)]
        cation = "+" in acid.replace("[N+](=O)[O-]", "")
        rows.append((energies[1] - energies[0], PER_UNIT * pka, float(cation)))
    return np.array(rows)


def lowest(smiles: str) -> float:
    """Energy of the lowest of six conformers, kcal/mol."""
    options = ConformerOptions(n=6, relax="gfn2", solvent="water")
    energies = find_ensemble(*read_graph(smiles), ETKDG, options).energies
    assert energies is not None
    return float(energies.min())


def rms(values: np.ndarray) -> float:
    """Root of the mean square."""
    return float(np.sqrt(np.mean(np.square(values))))


def main() -> None:
    """Measure and print the table."""
    fitted, others = measured(FITTED, "fitted"), measured(HELD_OUT, "held out")
    table = []
    for kind, shipped, cation in (("acids", ACIDS, 0.0), ("cations", CATIONS, 1.0)):
        x, y, _ = fitted[fitted[:, 2] == cation].T
        held_x, held_y, _ = others[others[:, 2] == cation].T
        line = np.polyfit(x, y, 1)
        left_out = [
            y[i] - np.polyval(np.polyfit(np.delete(x, i), np.delete(y, i), 1), x[i])
            for i in range(len(x))
        ]
        table.append(
            [kind, f"{line[0]:.4f} (shipped {shipped.slope})",
             f"{line[1]:.2f} (shipped {shipped.offset})", f"{rms(np.array(left_out)):.1f}",
             f"{rms(held_y - np.polyval(line, held_x)):.1f}", f"{rms(held_y - y.mean()):.1f}"]
        )  # fmt: skip
    print(markdown(["", "slope", "offset", "left out", "held out", "mean pKa, held out"], table))
    constant = float((fitted[:, 1] - fitted[:, 0]).mean())
    print(
        f"\none constant for the proton: {constant:.1f} kcal/mol, held out "
        f"{rms(others[:, 1] - others[:, 0] - constant):.1f}"
    )


if __name__ == "__main__":
    main()
