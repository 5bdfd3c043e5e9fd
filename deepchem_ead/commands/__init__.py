"""The command line ``deepchem-ead``: one file a command, which loads nothing before it is run."""
