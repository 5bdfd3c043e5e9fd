"""The command line, run in this process."""

from __future__ import annotations

import sys

import pytest
from cli_data import Result

from deepchem_ead import cli


@pytest.fixture(scope="module")
def data_folder(tmp_path_factory):
    """Data sets of the tests that use this are not the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DEEPCHEM_DATA_DIR", str(tmp_path_factory.mktemp("data")))
        yield


@pytest.fixture
def deepchem_ead(monkeypatch, capsys):
    """Run the program in this process, as the installed entry point does."""

    def run(*words) -> Result:
        monkeypatch.setattr(sys, "argv", ["deepchem-ead", *map(str, words)])
        capsys.readouterr()
        try:
            cli.main()
            code = 0
        except SystemExit as done:
            code = done.code or 0
        return Result(code, *capsys.readouterr())

    return run
