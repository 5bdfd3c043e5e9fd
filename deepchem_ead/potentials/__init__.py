"""Energies of molecules and the way to their minima: MMFF94s, ANI-2xt, GFN2-xTB."""
