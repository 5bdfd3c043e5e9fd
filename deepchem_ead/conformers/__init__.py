"""Conformers of a molecule: drawn, checked, relaxed, ranked and pruned, whoever draws them.

Examples
--------
>>> options = ConformerOptions(n=10, relax="mmff94", prune=0.1, window=6.0)
>>> ensemble = find_ensemble(*read_graph("C[C@H](O)CN"), ETKDG, options)
>>> 0 < len(ensemble) <= 10, ensemble.method, ensemble.relaxed
(True, 'ETKDGv3', 'mmff94s')
"""

from deepchem_ead.conformers.ensemble import Ensemble, find_ensemble
from deepchem_ead.conformers.etkdg import ETKDG
from deepchem_ead.conformers.forms import Form, enumerate_forms
from deepchem_ead.conformers.graph import read_graph
from deepchem_ead.conformers.many import Answer, Entry, generate_conformers
from deepchem_ead.conformers.options import PURPOSES, ConformerOptions
from deepchem_ead.conformers.source import MakeSource, Pool, PooledSource, Request, Source

__all__ = [
    "ETKDG",
    "PURPOSES",
    "Answer",
    "ConformerOptions",
    "Ensemble",
    "Entry",
    "Form",
    "MakeSource",
    "Pool",
    "PooledSource",
    "Request",
    "Source",
    "enumerate_forms",
    "find_ensemble",
    "generate_conformers",
    "read_graph",
]
