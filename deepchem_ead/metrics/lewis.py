"""The former place of :mod:`deepchem_ead.chem.lewis`."""

from deepchem_ead.chem.lewis import VALENCE_STATES, group_valences, lewis_structure

__all__ = ["VALENCE_STATES", "group_valences", "lewis_structure"]
