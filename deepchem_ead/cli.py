"""Where the program ``deepchem-ead`` starts; its commands are in `deepchem_ead.commands`."""

from deepchem_ead.commands.app import app, main

__all__ = ["app", "main"]
