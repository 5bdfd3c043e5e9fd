"""What the commands compute with; importing it takes seconds."""

from deepchem_ead.commands.jobs import (
    building,
    conformer_file,
    conformer_input,
    datasets,
    evaluation,
    file_job,
    from_molecules,
    installation,
    judgement,
    molecule_file,
    outputs,
    predictions,
    runs,
)

__all__ = [
    "building",
    "conformer_file",
    "conformer_input",
    "datasets",
    "evaluation",
    "file_job",
    "from_molecules",
    "installation",
    "judgement",
    "molecule_file",
    "outputs",
    "predictions",
    "runs",
]
