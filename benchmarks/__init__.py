"""Measurements: ``engine`` times the package, ``quality`` judges molecules, ``training`` trains.

README.md is the index. Each one is run, and imported, by its own name, whatever folder it is in:
``python -m benchmarks.NAME``.
"""

from pathlib import Path

__path__ += [str(Path(__file__).parent / name) for name in ("engine", "quality", "training")]
