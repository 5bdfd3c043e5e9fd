"""The kernels that this machine can run; importing it skips a module where it can run none."""

from __future__ import annotations

import pytest

from deepchem_ead.kernels.native import build

if build.kernel_or_reason()[0] is None:
    try:
        build.compiler()
        build.best_instruction_set()
    except build.BuildError as error:
        pytest.skip(f"this machine cannot run the kernel: {error}", allow_module_level=True)

_NAMES = list(build.INSTRUCTION_SETS)

#: From the best instruction set down.
INSTRUCTION_SETS = _NAMES[_NAMES.index(build.best_instruction_set()) :]

#: Instruction set and number format.
VARIANTS = [
    (name, precision)
    for name in INSTRUCTION_SETS
    for precision in build.load_kernel(name).precisions
]
