"""Typical bond lengths and valences of the EDM metric protocol, as numbers only.

The values are those of EDM (Hoogeboom et al., arXiv:2203.17003), ``qm9/bond_analyze.py`` at commit
fce07d7, who took them from http://www.wiredchemist.com/chemistry/data/bond_energies_lengths.html
and http://chemistry-reference.com/tables/Bond%20Lengths%20and%20Enthalpies.pdf.

EDM looks a pair up with the lighter element first. Its double C-S length is listed under carbon
only, so that lookup finds it, while one from sulfur would not. Listing each pair once, under its
lighter element, keeps exactly what EDM finds.
"""

from __future__ import annotations

#: Elements each vocabulary knows, by rising atomic number (also EDM's order of type codes).
VOCABULARIES: dict[str, tuple[str, ...]] = {
    "qm9": ("H", "C", "N", "O", "F"),
    "geom": (
        "H", "B", "C", "N", "O", "F", "Al", "Si", "P", "S", "Cl", "As", "Br", "I", "Hg", "Bi",
    ),
}  # fmt: skip

#: Tolerance in pm added to the typical length of an order-1, -2, -3 bond.
MARGINS: tuple[int, int, int] = (10, 5, 3)

#: order -> lighter element -> "heavier element: length in pm, ..." (heavier or equal).
BOND_LENGTHS: dict[int, dict[str, str]] = {
    1: {
        "H": "H 74, B 119, C 109, N 101, O 96, F 92, Si 148, P 144, S 134, Cl 127, As 152, Br 141, "
        "I 161",
        "B": "Cl 175",
        "C": "C 154, N 147, O 143, F 135, Si 185, P 184, S 182, Cl 177, Br 194, I 214",
        "N": "N 145, O 140, F 136, P 177, S 168, Cl 175, Br 214, I 222",
        "O": "O 148, F 142, Si 163, P 163, S 151, Cl 164, Br 172, I 194",
        "F": "F 142, Si 160, P 156, S 158, Cl 166, Br 178, I 187",
        "Si": "Si 233, S 200, Cl 202, Br 215, I 243",
        "P": "P 221, S 210, Cl 203, Br 222",
        "S": "S 204, Cl 207, Br 225, I 234",
        "Cl": "Cl 199, Br 214",
        "Br": "Br 228",
        "I": "I 266",
    },
    2: {
        "C": "C 134, N 129, O 120, S 160",
        "N": "N 125, O 121",
        "O": "O 121, P 150",
        "P": "S 186",
    },
    3: {"C": "C 120, N 116, O 113", "N": "N 110"},
}

#: Bond-order sums EDM counts as stable.
EDM_VALENCES: dict[str, tuple[int, ...]] = {
    "H": (1,), "B": (3,), "C": (4,), "N": (3,), "O": (2,), "F": (1,), "Al": (3,), "Si": (4,),
    "P": (3, 5), "S": (4,), "Cl": (1,), "As": (3,), "Br": (1,), "I": (1,), "Hg": (1, 2),
    "Bi": (3, 5),
}  # fmt: skip
