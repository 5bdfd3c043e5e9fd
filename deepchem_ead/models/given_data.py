"""What is given to a model as data."""

from __future__ import annotations

from deepchem.data import Dataset


def check_dataset(dataset: object) -> None:
    """Refuse what is no dataset, and say how it becomes one.

    Raises
    ------
    TypeError
    """
    if not isinstance(dataset, Dataset):
        raise TypeError(
            f"a model takes a DeepChem dataset, not {type(dataset).__name__}: load_file_3d(...) "
            "reads one from a file, MoleculeBatch.to_dataset() makes one of molecules, "
            "dc.data.NumpyDataset(Molecule3DFeaturizer().featurize(...)) of SMILES"
        )
