"""Models that know bonds and formal charges: what they learn from, what they give and keep."""

from __future__ import annotations

import copy
from dataclasses import replace

import deepchem as dc
import numpy as np
import pytest
import torch

from deepchem_ead import EADModel, MoleculeBatch
from deepchem_ead.errors import CheckpointError, MoleculeError
from deepchem_ead.generation.given import Given
from deepchem_ead.generator.config import EADConfig
from deepchem_ead.generator.encoding import AtomEncoding
from deepchem_ead.molnet.sample import load_sample
from deepchem_ead.tasks import TaskMixture
from deepchem_ead.training.host_batch import Noising
from deepchem_ead.training.noising import noised
from deepchem_ead.training.placement import ResidentPlacement
from deepchem_ead.training.resident_data import ResidentMolecules

JOINT = dict(
    denoiser="attention", n_layers=1, n_features=32, n_heads=4, bonds=True,
    charged_kinds="N+,O-", stereo=True, include_charge=False, feature_target="types",
    frame="preconditioned", position_target="residual", channel_levels=True,
    self_conditioning=True, tasks="free,edit,conformer,perceive", batch_size=8,
)  # fmt: skip


@pytest.fixture(scope="module")
def molecules() -> MoleculeBatch:
    """QM9 molecules with bonds, the first of them charged in two places."""
    table, _ = load_sample()
    mols = MoleculeBatch.from_padded(table.to_padded(29)).to_rdkit()
    charged = [m for m in mols if any(a.GetFormalCharge() for a in m.GetAtoms())]
    return MoleculeBatch.from_rdkit([*charged[:2], *mols[400:422]])


@pytest.fixture(scope="module")
def X(molecules) -> np.ndarray:
    return molecules.to_padded(29, with_bonds=True)


@pytest.fixture(scope="module")
def model(X) -> EADModel:
    model = EADModel("qm9", **JOINT)
    model.fit(dc.data.NumpyDataset(X), nb_epoch=1)
    return model


@pytest.fixture(scope="module")
def noisy(X) -> EADModel:
    """A model whose bonds have noise."""
    model = EADModel("qm9", **JOINT, bond_noise=True)
    model.fit(dc.data.NumpyDataset(X), nb_epoch=1)
    return model


@pytest.fixture(params=["model", "noisy"])
def either(request) -> EADModel:
    return request.getfixturevalue(request.param)


def config(**changes) -> EADConfig:
    return EADConfig.load("qm9", **{**JOINT, **changes})


def most_centres(X) -> int:
    """The molecule with most atoms that may be stereocentres."""
    encoded = AtomEncoding(config()).encode(X)
    n_centres = encoded.layout.sum(encoded.centres.int())
    return int(encoded.order[int(n_centres.argmax())])


def edges(batch, i=0):
    """Bonds of a molecule as a set of sorted ends and orders."""
    return {(*sorted(bond[:2]), bond[2]) for bond in batch.graph(i).bonds.tolist()}


def test_encoding_and_back(molecules, X):
    encoding = AtomEncoding(config())
    encoded = encoding.encode(X, n_nodes=encoding.count_atoms(X) + 2)
    assert encoded.is_dummy.sum() == 2 * len(X)
    batch = noised(encoded, config(tasks="conformer"), 0, equivariant=True)
    kinds = batch["bonds"].kinds
    assert batch["bonds"].given.all()
    p = torch.nn.functional.one_hot(kinds, 5).float()
    graphs = encoding.decode_graphs(encoded.clean, p, encoded.layout, sizes_fixed=False)
    back = encoded.order.argsort()
    numbers, _ = encoding.decode(encoded.clean, encoded.layout, False)
    decoded = MoleculeBatch.from_arrays(
        numbers, [np.zeros((len(z), 3)) + np.arange(len(z))[:, None] for z in numbers],
        bonds=[graphs.graph(i, slice(0, 0)).bonds for i in range(len(X))],
    )[back]  # fmt: skip
    assert graphs.formal_charges.any()
    offsets = np.cumsum([0, *map(len, numbers)])
    for i, k in enumerate(back):
        charges = graphs.formal_charges[offsets[k] : offsets[k + 1]]
        assert np.array_equal(charges, molecules.graph(i).formal_charges)
        ours, theirs = edges(decoded, i), edges(molecules, i)
        assert {e[:2] for e in ours} == {e[:2] for e in theirs}
        assert sum(e[2] for e in ours) == sum(e[2] for e in theirs)


@pytest.mark.parametrize(
    ("task", "given"), [("free", 0), ("variation", 0), ("perceive", 0), ("conformer", 1)]
)
def test_which_bonds_a_task_gives_in_training(X, task, given):
    encoded = AtomEncoding(config()).encode(X)
    bonds = noised(encoded, config(tasks=task), 3, equivariant=True)["bonds"]
    assert (bonds.given == bool(given)).all()


def test_edit_gives_the_bonds_within_the_kept_part(X):
    encoded = AtomEncoding(config()).encode(X)
    batch = noised(encoded, config(tasks="edit"), 3, equivariant=True)
    kept, (i, j) = batch["levels"] == 0, encoded.layout.pairs
    assert torch.equal(batch["bonds"].given, kept[i] & kept[j])
    assert 0.05 < kept.float().mean() < 0.95


def test_a_mixture_gives_bonds_molecule_by_molecule(X):
    encoded = AtomEncoding(config()).encode(X)
    layout = encoded.layout
    given = noised(encoded, config(tasks="free,conformer"), 1, equivariant=True)["bonds"].given
    of_atoms = torch.zeros(layout.n_nodes).index_add_(0, layout.pairs.first, given.float())
    shares = layout.sum(of_atoms) / (layout.counts * (layout.counts - 1))
    assert set(shares.tolist()) == {0.0, 1.0}
    assert TaskMixture.read("free,conformer").by_channel


@pytest.mark.parametrize("padding", ["full", "random"])
def test_molecules_on_the_device_have_the_bonds_of_those_on_the_host(X, padding):
    settings = config(dummy_padding=padding, batch_size=32)
    encoding = AtomEncoding(settings)
    resident = ResidentMolecules(X, encoding, settings, torch.device("cpu"))
    chosen = resident.plan(1).molecules[0]
    found = resident.gather(chosen)
    rows = np.argsort(encoding.count_atoms(X), kind="stable")[chosen]
    expected = encoding.encode(X[rows], n_nodes=resident.layout.counts.numpy())
    assert all(
        torch.equal(getattr(found, name), getattr(expected, name))
        for name in ("clean", "bonds", "centres", "is_dummy")
    )


def test_tags_are_given_with_the_graph(X):
    encoded = AtomEncoding(config()).encode(X)
    assert encoded.centres.any()
    told = {
        task: noised(encoded, config(tasks=task), 3, equivariant=True)["stereo"]
        for task in ("free", "perceive", "edit", "conformer")
    }
    for task in ("free", "perceive"):
        assert not told[task].tags.any() and not told[task].sides.any()
    n_edit, n_conformer = (int(told[task].tags.abs().sum()) for task in ("edit", "conformer"))
    assert 0 < n_edit < n_conformer <= int(encoded.centres.sum())
    again = noised(encoded, config(tasks="conformer"), 3, equivariant=True)["stereo"]
    other = noised(encoded, config(tasks="conformer"), 4, equivariant=True)["stereo"]
    assert torch.equal(again.tags, told["conformer"].tags)
    assert not torch.equal(other.tags, again.tags)
    mirrored = AtomEncoding(config()).encode(X * np.where(np.arange(11) < 3, -1, 1))
    turned = noised(mirrored, config(tasks="conformer"), 3, equivariant=True)["stereo"]
    assert torch.equal(turned.tags, -again.tags) and torch.equal(turned.sides, again.sides)


def test_noise_of_bonds_belongs_to_the_step_or_the_row(X):
    """The same for both directions; what is scored does not depend on the batch."""
    settings = config(bond_noise=True, variable_size=False, dummy_padding="full")
    encoding = AtomEncoding(settings)
    encoded = encoding.encode(X)
    batches = [noised(encoded, settings, step, equivariant=True) for step in (2, 2, 4)]
    first, again, other = (batch["bonds"].eps for batch in batches)
    earlier = batches[2]["earlier"].bond_eps  # told in this step
    assert torch.equal(first, again) and not (first == other).any() and not (earlier == other).any()
    i, j = encoded.layout.pairs
    for eps_of in (first, earlier):
        table = dict(zip(zip(i.tolist(), j.tolist(), strict=True), eps_of.tolist(), strict=True))
        assert all(table[pair] == table[pair[::-1]] for pair in table)
        assert len({tuple(row) for row in table.values()}) == len(table) // 2
    noising, rows = Noising(settings, encoding, True), np.arange(len(X))
    together = noising.evaluation(X, None, None, rows)
    twice = noising.evaluation(X[[7, 7]], None, None, np.array([7, 9]))
    mine, others = (twice["bonds"].eps.chunk(2)[int(k)] for k in twice["rank"])
    assert not (mine == others).any()
    layout = together["layout"]
    among_all = layout.index[layout.pairs.first] == together["rank"][7]
    assert torch.equal(together["bonds"].eps[among_all], mine)


def test_both_placements_tell_the_same(model, X):
    """Given the same molecules: one batch of all."""
    chosen = most_centres(X)
    settings = config(
        tasks="edit,conformer", dummy_padding="full", p_fixed_size=0.0, bond_noise=True
    )
    encoding, same = AtomEncoding(settings), np.repeat(X[chosen : chosen + 1], 8, 0)
    resident = ResidentMolecules(same, encoding, settings, torch.device("cpu"))
    placement = ResidentPlacement(resident, settings, True)
    for step in range(5):
        placement.begin(0, 0, step)
        (there, _, _) = placement.batch()
        here = Noising(settings, encoding, True).training(same, None, None, step)
        assert here["stereo"].tags.any()
        for name in ("stereo", "bonds"):
            pairs = zip(here[name], there[name], strict=True)
            assert all(a is b or torch.equal(a, b) for a, b in pairs)
        losses = [model.model({**batch, "conditions": None}) for batch in (here, there)]
        torch.testing.assert_close(losses[0].mean(), losses[1].mean())


def test_weights_that_were_told_no_stereo_can_begin(X, molecules, tmp_path):
    data = dc.data.NumpyDataset(X)
    before = EADModel("qm9", **{**JOINT, "stereo": False})
    before.fit(data, nb_epoch=1)
    before.save_pretrained(tmp_path)
    model = EADModel("qm9", initial_weights=tmp_path, **JOINT)
    assert np.array_equal(model.predict(data), before.predict(data))
    options = dict(start=Given(molecules[5:6], "conformer"), n_atoms=int(molecules.counts[5]))
    found, expected = (one.generate(2, **options, **OPTIONS) for one in (model, before))
    assert np.array_equal(found.coordinates, expected.coordinates)
    model.save_pretrained(tmp_path / "told")
    with pytest.raises(CheckpointError, match="stereo is False here and True there"):
        EADModel("qm9", initial_weights=tmp_path / "told", **{**JOINT, "stereo": False})


def test_opposite_tags_make_other_molecules(model, molecules, X):
    """The same in any batch; one tag of several is enough."""
    model, chosen = copy.deepcopy(model), most_centres(X)
    torch.nn.init.ones_(model.model.sampling_denoiser.handedness.first.out.weight)
    given = molecules[chosen : chosen + 1]
    options = dict(n_atoms=int(given.counts[0]), **OPTIONS)

    def conformers(molecule, **more):
        start = Given(molecule, "conformer")
        return model.generate(3, start=start, **options, **more).coordinates

    here = conformers(given)
    assert np.array_equal(here, conformers(given, batch_size=1))
    mirrored = replace(given, coordinates=-given.coordinates)
    assert np.abs(here - conformers(mirrored)).max() > 1e-3
    nowhere = replace(given, coordinates=0 * given.coordinates)
    assert np.abs(here - conformers(nowhere)).max() > 1e-3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda X: X[:, :, :4], r"knows bonds and formal charges.*bonds=True"),
        (lambda X: X[:, :, :5], r"knows bonds and formal charges.*bonds=True"),
        (
            lambda X: np.where(np.arange(11) == 4, -np.abs(X), X) * (X[:, :, 3:4] > 0),
            r"molecule 0 \(here\) holds an atom of the kind N-, .* H,C,N,O,F,N\+,O-; pass charged",
        ),
    ],
)
def test_data_that_do_not_fit_are_refused(X, change, message):
    with pytest.raises(MoleculeError, match=message):
        AtomEncoding(config()).encode(change(X), ["here"] + ["there"] * (len(X) - 1))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"charged_kinds": "S-"}, "S- is no charged atom of one of the elements"),
        ({"charged_kinds": "N"}, "N is no charged atom"),
        ({"denoiser": "egnn", "self_conditioning": False, "n_heads": 8}, "bonds need a denoiser"),
        (
            {"bonds": False, "stereo": False, "bond_noise": True},
            "of a model that has some: bonds=True",
        ),
        ({"bonds": False}, "stereo is told with the bonds that are given: set bonds=True"),
    ],
)
def test_settings_that_do_not_fit_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        config(**options)


OPTIONS = dict(steps=4, seed=0, progress=False)


def test_generated_molecules_have_bonds_and_charges_of_their_own(either, tmp_path):
    batch = either.generate(5, **OPTIONS)
    assert batch.graphs is not None and len(batch.graphs.bonds_given) == 5
    sums = np.add.reduceat(batch.graphs.formal_charges.astype(int), batch.offsets[:-1])
    assert np.array_equal(batch.charges, sums)
    either.save_pretrained(tmp_path)
    again = EADModel.from_pretrained(tmp_path).generate(5, batch_size=2, **OPTIONS)
    assert np.array_equal(again.graphs.bonds, batch.graphs.bonds)
    assert np.array_equal(again.coordinates, batch.coordinates)


def test_a_conformer_keeps_kinds_and_bonds(either, molecules):
    given = molecules[:1]  # charged
    batch = either.generate(
        3, start=Given(given, "conformer"), n_atoms=int(given.counts[0]), **OPTIONS
    )
    for i in range(3):
        assert edges(batch, i) == edges(given)
        assert np.array_equal(batch.graph(i).formal_charges, given.graph(0).formal_charges)
    assert np.abs(batch.positions[0] - given.positions[0]).max() > 0.1


def test_perceiving_keeps_atoms_where_they_are(either, molecules):
    given = molecules[3:4]
    batch = either.generate(
        2, start=Given(given, "perceive"), n_atoms=int(given.counts[0]), **OPTIONS
    )
    for i in range(2):
        assert np.array_equal(batch.positions[i], given.positions[0])
        assert np.array_equal(batch.numbers[i], given.numbers[0])


def test_an_edit_keeps_the_bonds_of_the_kept_part(either, molecules):
    whole = molecules[5]
    kept = [0, 1, 2, 3]
    bonds = [b for b in whole.graph(0).bonds.tolist() if b[0] in kept and b[1] in kept]
    part = MoleculeBatch.from_arrays(
        [whole.numbers[0][kept]], [whole.positions[0][kept]], bonds=[bonds]
    )
    batch = either.generate(3, start=Given(part, "edit"), n_atoms=12, **OPTIONS)
    for i in range(3):
        assert np.array_equal(batch.positions[i][:4], part.positions[0])
        within = {e for e in edges(batch, i) if e[1] < 4} if batch.graphs.bonds_given[i] else None
        assert within in (None, edges(part))
