"""Runs a page or notebook of the documentation as it stands, in the current folder.

    python tests/page_runner.py README.md [shell]

Python blocks are run in order in one namespace, lines of shell blocks that begin with
``deepchem-ead`` between them where "shell" is given. Prints the seconds of each block.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

COMMAND = [sys.executable, "-c", "from deepchem_ead.cli import main; main()"]


def main(page: Path, languages: tuple[str, ...]) -> None:
    """Run the blocks of a page that are of these languages, or a notebook."""
    if page.suffix == ".ipynb":
        _run_notebook(page)
        return
    namespace: dict = {"__name__": "__main__"}
    text = page.read_text()
    for match in re.finditer(rf"^( *)```({'|'.join(languages)})\n(.*?)^ *```", text, re.M | re.S):
        indent, language, body = match.groups()
        body = re.sub(f"^{indent}", "", body, flags=re.M)
        line = text[: match.start()].count("\n") + 2
        began = time.perf_counter()
        if language == "python":
            exec(compile("\n" * (line - 1) + body, str(page), "exec"), namespace)
        else:
            for command in body.splitlines():
                if command.startswith("deepchem-ead "):
                    subprocess.run([*COMMAND, *shlex.split(command, comments=True)[1:]], check=True)
        print(f"{page.name}:{line} took {time.perf_counter() - began:.1f} s", flush=True)


def _run_notebook(page: Path) -> None:
    import nbformat
    from nbclient import NotebookClient

    began = time.perf_counter()
    NotebookClient(nbformat.read(page, as_version=4), timeout=900).execute()
    print(f"{page.name} took {time.perf_counter() - began:.1f} s", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), ("python", *(["sh"] if "shell" in sys.argv[2:] else [])))
