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


def refuse_uneven(dataset: Dataset) -> None:
    """Refuse a dataset whose X, y, w and ids have different numbers of rows.

    DeepChem's NumpyDataset takes them, and pairs what is there.

    Raises
    ------
    ValueError
        Naming the numbers.
    """
    shapes = zip("X y w ids".split(), dataset.get_shape(), strict=True)
    rows = {name: int(shape[0]) for name, shape in shapes if len(shape)}  # a shard may have no y
    if len(set(rows.values())) > 1:
        counts = ", ".join(f"{name} {n}" for name, n in rows.items())
        raise ValueError(f"the dataset has rows of different numbers: {counts}; give one each")
