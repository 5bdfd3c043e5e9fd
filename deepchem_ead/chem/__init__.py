"""Elements, molecules, given and perceived bonds, and molecule files (numpy and RDKit only)."""

from deepchem_ead.chem.bonds import bond_orders, molecule_from_orders
from deepchem_ead.chem.elements import (
    PRESETS,
    Vocabulary,
    number_of,
    parse_elements,
    symbol_of,
)
from deepchem_ead.chem.files import MoleculeWriter, open_writer
from deepchem_ead.chem.kinds import count_kinds, format_kinds, parse_kinds
from deepchem_ead.chem.molecules import MoleculeBatch

__all__ = [
    "PRESETS",
    "MoleculeBatch",
    "MoleculeWriter",
    "Vocabulary",
    "bond_orders",
    "count_kinds",
    "format_kinds",
    "molecule_from_orders",
    "number_of",
    "open_writer",
    "parse_elements",
    "parse_kinds",
    "symbol_of",
]
