"""Generation of what is asked for: conditions, guidance, guides and sizes of one model."""

from __future__ import annotations

import math
import re
import warnings

import deepchem as dc
import numpy as np
import pytest
import torch
from property_data import labelled, small_model

from deepchem_ead import CheckpointError, EADModel
from deepchem_ead.chem.elements import parse_elements
from deepchem_ead.diffusion import AtomLayout, sample_levels
from deepchem_ead.generation.options import SamplingOptions
from deepchem_ead.generation.request import Request, SteeredProperties
from deepchem_ead.generation.sizes import node_counts
from deepchem_ead.kernels.egnn_backend import EdgeBackend
from deepchem_ead.molnet import load_qm9_3d
from deepchem_ead.sampling import PropertyGuidance

SMALL = {"preset": "qm9-small", "n_layers": 2, "n_features": 32, "batch_size": 16}
FAST = dict(steps=20, seed=3, progress=False)
GAP = {"gap": 0.2}


@pytest.fixture(scope="module")
def train():
    return load_qm9_3d(source="sample", reload=False)[1][0]


@pytest.fixture(scope="module")
def model(train, tmp_path_factory):
    """Variable and given sizes, two properties; a few steps."""
    model = EADModel(
        **SMALL, conditions=["gap", "alpha"], variable_size=True, dummy_padding="random",
        p_fixed_size=0.5, model_dir=str(tmp_path_factory.mktemp("model")), learning_rate=1e-2,
        warmup_steps=0, learning_rate_decay="none",
    )  # fmt: skip
    model.fit(train.select(range(0, 1200, 10)), nb_epoch=4, checkpoint_interval=0)
    return model


@pytest.fixture(scope="module")
def plain(train, tmp_path_factory):
    """Unconditional, fixed size."""
    model = EADModel(**SMALL, model_dir=str(tmp_path_factory.mktemp("plain")))
    model.fit(train.select(range(64)), nb_epoch=2, checkpoint_interval=0)
    return model


def assert_same_molecules(one, other):
    assert np.array_equal(one.offsets, other.offsets)
    assert np.array_equal(one.atomic_numbers, other.atomic_numbers)
    assert np.array_equal(one.coordinates, other.coordinates)


def differ(one, other):
    return not np.array_equal(one.coordinates, other.coordinates)


# ---------------------------------------------------------------------------- conditions


def test_conditions_are_heard_and_none_is_unconditional(model):
    options = dict(n_atoms=9, **FAST)
    free = model.generate(3, **options)
    assert_same_molecules(free, model.generate(3, conditions={"gap": None}, **options))
    asked = model.generate(3, conditions=GAP, **options)
    assert differ(free, asked)
    assert differ(asked, model.generate(3, conditions={"gap": 0.3}, **options))
    assert differ(asked, model.generate(3, conditions={"alpha": 70.0}, **options))
    both = model.generate(3, conditions={"gap": 0.2, "alpha": 70.0}, **options)
    assert differ(asked, both)
    assert_same_molecules(
        asked, model.generate(3, conditions={"gap": f"{200 * 27.2114} meV"}, **options)
    )
    assert asked.info["conditions"] == {"gap": 0.2} and asked.info["guidance_scale"] == 0
    assert "conditions" not in free.info


@pytest.mark.parametrize("guidance_scale", [0.0, 1.5])
def test_molecules_do_not_depend_on_the_batch_size(model, guidance_scale):
    values = {"gap": np.linspace(0.18, 0.32, 7), "alpha": [70, None, 60, 80, None, 75, 50]}
    options = dict(conditions=values, guidance_scale=guidance_scale, **FAST)
    together = model.generate(7, batch_size=7, **options)
    for batch_size in (1, 3):
        assert_same_molecules(together, model.generate(7, batch_size=batch_size, **options))


def test_each_molecule_gets_its_own_value(model):
    values = [0.2, 0.3, 0.25]
    together = model.generate(3, conditions={"gap": values}, n_atoms=8, **FAST)
    for i, value in enumerate(values):
        alone = model.generate(i + 1, conditions={"gap": value}, n_atoms=8, **FAST)[i : i + 1]
        assert_same_molecules(together[i : i + 1], alone)
    assert together.info["conditions"] == {"gap": values}


def test_guidance_scale_zero_is_the_conditional_model_at_its_price(model):
    calls = 0

    def count(module, args, output):
        nonlocal calls
        calls += 1

    hook = model.model.sampling_denoiser.register_forward_hook(count)
    options = dict(conditions=GAP, schedule="synchronous", n_atoms=7, **FAST)
    conditional = model.generate(3, **options)
    assert calls == 21 == conditional.info["n_evaluations"]
    assert_same_molecules(conditional, model.generate(3, guidance_scale=0.0, **options))
    calls = 0
    guided = model.generate(3, guidance_scale=1.0, **options)
    hook.remove()
    assert calls == 42 == guided.info["n_evaluations"]
    assert guided.info["evaluations"] == [42] * 3
    assert differ(conditional, guided)


def test_levels_are_recorded_under_guidance(model):
    molecules = model.generate(
        2, conditions=GAP, guidance_scale=1.0, n_atoms=6, record_levels=True, **FAST
    )
    for trace, evaluations in zip(
        molecules.info["levels"], molecules.info["evaluations"], strict=True
    ):
        assert 2 * len(trace) == evaluations and (trace[-1] == 0).all()


@pytest.mark.parametrize(
    "arguments, message",
    [
        (dict(conditions={"logP": 1}), "no condition 'logP'; it was trained with gap, alpha"),
        (dict(conditions={"gap": "2 D"}), "the unit 'D' is none of"),
        (dict(conditions={"gap": [0.1, 0.2]}), "gap has 2 values for 3 molecules"),
        (dict(conditions=GAP, guidance_scale=-1), "guidance_scale must not be negative"),
        (dict(guidance_scale=1.0), "guidance_scale needs conditions"),
        (dict(conditions=GAP, n_atoms="data"), "one of free, histogram, from-conditions"),
        (dict(n_atoms="from-conditions"), "needs conditions to draw sizes from"),
    ],
)
def test_wrong_requests_are_explained(model, arguments, message):
    with pytest.raises(ValueError, match=message):
        model.generate(3, progress=False, **arguments)


def test_requests_to_models_that_cannot_fulfil_them(plain):
    with pytest.raises(ValueError, match="no condition 'gap'; it was not trained with conditions"):
        plain.generate(1, conditions=GAP)
    with pytest.raises(ValueError, match="has seen no data to know properties from"):
        EADModel(**SMALL, conditions="gap").generate(1, n_atoms=3, conditions=GAP)


def test_a_value_far_from_the_training_data_warns(model):
    with pytest.warns(UserWarning, match="gap=2 lies outside the training data, which reach from"):
        model.generate(1, conditions={"gap": 2.0}, n_atoms=3, steps=1, progress=False)


def test_no_molecules_may_be_asked_for_anything(model):
    assert len(model.generate(0, conditions=GAP, guidance_scale=1.0, progress=False)) == 0


def test_the_conditional_model_is_equivariant(model, train):
    """A2 with context, at mixed levels: rotations, reflections and shifts."""
    encoded = model.encoding.encode(train.X[:5])
    layout = encoded.layout
    generator = torch.Generator().manual_seed(0)
    levels = sample_levels(layout, 1000, 29, generator=generator)
    network = model.model.sampling_denoiser.double()
    request = Request(
        model, 5, {"gap": [0.2, None, 0.3, 0.25, 0.2]}, SamplingOptions(guidance_scale=1.0)
    )
    process, context = request.process(False), request.context(slice(None), False).double()
    try:
        draws = torch.randn(encoded.clean.shape, generator=generator, dtype=torch.float64)
        w = model.model.process.add_noise(encoded.clean.double(), levels, draws)
        clean = process.predict_clean(network, w, levels, layout, context)
        Q = torch.linalg.qr(torch.randn(3, 3, generator=generator, dtype=torch.float64))[0]
        shift = layout.expand(torch.randn(5, 3, generator=generator, dtype=torch.float64))
        moved = torch.cat([w[:, :3] @ Q.T + shift, w[:, 3:]], 1)
        expected = torch.cat([clean[:, :3] @ Q.T + shift, clean[:, 3:]], 1)
        moved_clean = process.predict_clean(network, moved, levels, layout, context)
        torch.testing.assert_close(moved_clean, expected, rtol=1e-9, atol=1e-9)
    finally:
        network.float()


# ---------------------------------------------------------------------------- sizes


def sizes_of(model, n, n_atoms, conditions=None, seed=0):
    values = Request(model, n, conditions).values
    return node_counts(model, n_atoms, values, np.arange(n), seed)


def test_sizes_of_a_variable_model_are_left_to_it(model):
    counts = model.model.size_counts.numpy()
    nodes, fixed = sizes_of(model, 4000, None)
    assert not fixed and nodes.max() == 29 and nodes.min() >= np.flatnonzero(counts)[0]
    # the mean of U{n..29} over the histogram, as in training
    expected = (counts * (np.arange(30) + 29) / 2).sum() / counts.sum()
    assert nodes.mean() == pytest.approx(expected, abs=4 * nodes.std() / 4000**0.5)


def test_sizes_follow_the_histogram_or_the_conditions(model, train):
    counts = model.model.size_counts.numpy()
    drawn, fixed = sizes_of(model, 4000, "histogram")
    assert fixed
    mean = (counts * np.arange(30)).sum() / counts.sum()
    assert drawn.mean() == pytest.approx(mean, abs=4 * drawn.std() / 4000**0.5)
    # the polarizability grows with the size
    edges = model.model.statistics.edges[1].numpy()
    small, large = (
        sizes_of(model, 500, "from-conditions", {"alpha": edges[k]})[0] for k in (1, -2)
    )
    assert small.mean() + 2 < drawn.mean() < large.mean() - 2
    # without a word, the room for atoms follows the conditions, too
    nodes, fixed = sizes_of(model, 500, None, {"alpha": edges[-2]})
    assert not fixed and (nodes >= large).all()


def test_who_says_the_size_is_in_the_configuration(model, train, tmp_path):
    model.save_pretrained(tmp_path)
    drawing = EADModel.from_pretrained(tmp_path, sizes="drawn")
    wanted = {"alpha": float(model.model.statistics.edges[1, 16])}
    for word, asked in (("histogram", None), ("from-conditions", wanted)):
        drawn, fixed = sizes_of(drawing, 50, None, asked)
        assert fixed and np.array_equal(drawn, sizes_of(model, 50, word, asked)[0])
        free, fixed = sizes_of(drawing, 50, "free", asked)
        assert not fixed and np.array_equal(free, sizes_of(model, 50, None, asked)[0])
    with pytest.raises(ValueError, match="needs a model that knows dummy atoms"):
        EADModel(**SMALL, conditions="alpha").generate(1, n_atoms="free")


def test_the_flag_is_set_when_every_node_is_an_atom(model):
    request = Request(model, 2, GAP)
    assert request.context(slice(None), True)[:, 0].tolist() == [1, 1]
    assert request.context(slice(None), False)[:, 0].tolist() == [0, 0]
    assert model.generate(2, n_atoms=[5, 7], conditions=GAP, **FAST).counts.tolist() == [5, 7]
    molecules = model.generate(20, n_atoms="histogram", steps=1, seed=0, progress=False)
    assert np.array_equal(molecules.counts, sizes_of(model, 20, "histogram")[0])


def test_sizes_of_a_conditional_model_without_dummies_follow_the_conditions(train):
    model = EADModel(**SMALL, conditions="alpha")
    model.fit(train.select(range(0, 1520, 16)), nb_epoch=1, checkpoint_interval=0)
    low, high = np.quantile(train.y[:, 0], [0.05, 0.9])
    assert sizes_of(model, 300, None, {"alpha": low})[0].mean() + 3 < (
        sizes_of(model, 300, None, {"alpha": high})[0].mean()
    )
    drawn, fixed = sizes_of(model, 300, None)
    assert fixed and np.array_equal(drawn, sizes_of(model, 300, "histogram")[0])


# ---------------------------------------------------------------------------- guides


class Sizes:
    """Counts atoms of carbon, squares of distances beside them."""

    tasks = ["n_C", "spread"]
    mad = [1.0, 5.0]
    elements = "C,H,F,N,O,S"

    def __init__(self):
        self.seen = []

    def property_of(self, positions, type_probabilities, layout):
        self.seen.append((positions, type_probabilities, layout))
        spread = layout.mean(layout.center(positions).square().sum(1, keepdim=True))
        return torch.cat([layout.sum(type_probabilities[:, :1]), spread], 1)


def test_a_guide_reads_atoms_and_not_dummies(model):
    oracle = Sizes()
    steered = SteeredProperties(PropertyGuidance(oracle, {"n_C": 3}), model.encoding, False)
    layout = AtomLayout.from_counts([3, 2, 2])
    x_hat = torch.randn(
        7, 3 + model.encoding.n_features, generator=torch.Generator().manual_seed(0)
    )
    kinds = {"H": 0, "C": 1, "N": 2, "O": 3, "F": 4, "dummy": 5}
    x_hat[:, 3:] = 0
    for node, kind in enumerate(["C", "dummy", "C", "dummy", "dummy", "O", "H"]):
        x_hat[node, 3 + kinds[kind]] = 0.25
    x_hat[0, 3 + kinds["N"]] = 0.05  # a little nitrogen
    x_hat[2, 3 + kinds["H"]] = -0.1  # less than none is none
    x_hat.requires_grad_()
    values = steered(x_hat, layout)
    n_carbon = values[:, 0].detach()
    positions, types, inner = oracle.seen[0]
    assert inner.counts.tolist() == [2, 2] and torch.equal(positions, x_hat[[0, 2, 5, 6], :3])
    columns = [parse_elements(Sizes.elements).index(z) for z in (6, 7, 8, 1)]
    expected = torch.zeros(4, 6)
    expected[[0, 1, 2, 3], [columns[0], columns[0], columns[2], columns[3]]] = 1
    expected[0, columns[0]], expected[0, columns[1]] = 5 / 6, 1 / 6
    torch.testing.assert_close(types, expected)
    assert float(n_carbon[0]) == pytest.approx(11 / 6) and n_carbon[2] == 0
    assert values[1].isnan().all()  # a molecule of dummies
    (gradient,) = torch.autograd.grad(values[[0, 2]].sum(), x_hat)
    assert not gradient[[1, 3, 4]].any() and gradient[0].any()
    fixed = SteeredProperties(PropertyGuidance(oracle, {"n_C": 3}), model.encoding, True)
    fixed(x_hat.detach(), layout)
    assert oracle.seen[1][2].counts.tolist() == [2, 2, 3]  # every node is an atom


def test_only_properties_with_a_target_are_steered(model):
    guide = PropertyGuidance(Sizes(), {"spread": [5.0, 6.0]}, scale=10.0)
    assert guide.asked == ["spread"] and guide.columns == [1]
    layout = AtomLayout.from_counts([3, 2])
    x_hat = torch.rand(5, 3 + model.encoding.n_features)
    both = Sizes().property_of(x_hat[:, :3], x_hat[:, 3:8], layout)
    values = SteeredProperties(guide, model.encoding, True)(x_hat, layout)
    torch.testing.assert_close(values[values[:, 0].argsort()], both[both[:, 1].argsort(), 1:])
    asked = Request(model, 2, options=SamplingOptions(guide=guide))
    assert asked.context(slice(None), True)[:, -1:].tolist() == [[5.0], [6.0]]
    assert asked.process(True).tolerance.tolist() == [5.0 / 20**0.5]
    assert asked.describe()["targets"] == {"spread": [5.0, 6.0]}


@pytest.mark.parametrize("target", [{"spread": 5.5}, {"n_C": 1.0}, {"n_C": 7.0}])
def test_a_guide_steers_a_trained_unconditional_model(target):
    """Towards an extent in space (Angstrom^2) and a composition that nobody told the model."""
    model = EADModel.from_pretrained("qm9-small")
    options = dict(n_atoms=10, steps=40, seed=0, progress=False, schedule="synchronous")
    ((name, value),) = target.items()

    def measure(molecules):
        if name == "n_C":
            return (molecules.atomic_numbers.reshape(6, 10) == 6).sum(1)
        x = molecules.coordinates.reshape(6, 10, 3)
        return ((x - x.mean(1, keepdims=True)) ** 2).sum(2).mean(1)

    free = model.generate(6, **options)
    guide = PropertyGuidance(Sizes(), target, max_tau=math.inf)  # these mean something at any noise
    guided = model.generate(6, guide=guide, **options)
    missed, missed_before = (np.abs(measure(m) - value).mean() for m in (guided, free))
    assert missed < 0.6 * missed_before
    assert guided.info["targets"] == target
    assert guided.info["n_evaluations"] == free.info["n_evaluations"] == 41


def test_guide_and_conditions_work_together(model):
    guide = PropertyGuidance(Sizes(), {"n_C": [3, 4, None]}, max_tau=math.inf)
    options = dict(conditions=GAP, guidance_scale=1.0, n_atoms=8, **FAST)
    guided, free = model.generate(3, guide=guide, **options), model.generate(3, **options)
    assert guided.info["n_evaluations"] % 2 == 0
    moved = [np.abs(guided[i].coordinates - free[i].coordinates).max() for i in range(3)]
    assert min(moved[:2]) > 10 * moved[2]  # no target for the third, but rounding errors


def test_conditions_without_a_guide_are_remarked_on(model):
    options = {"n_atoms": 5, "steps": 3, "seed": 0, "progress": False}
    with pytest.warns(UserWarning, match="asking for gap without a guide.*guide='none'") as told:
        asked = model.generate(2, conditions={"gap": 0.2}, **options)
    assert [warning.filename for warning in told] == [__file__]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        quiet = model.generate(2, conditions={"gap": 0.2}, guide="none", **options)
        model.generate(2, conditions={"gap": 0.2}, guidance_scale=1.0, **options)
        model.generate(2, **options)
    assert_same_molecules(asked, quiet)


def test_guides_must_know_the_elements(plain):
    guide = PropertyGuidance(Sizes(), {"n_C": 3}, elements="H,C,N,O")
    with pytest.raises(
        ValueError, match="guiding model knows the elements H,C,N,O, the generating"
    ):
        plain.generate(1, guide=guide)


@pytest.mark.parametrize("backend", ["auto", "torch"])
def test_a_property_model_is_a_guide(plain, train, backend):
    oracle = dc.models.EGNNPropertyModel(tasks=["gap", "mu"], n_layers=1, n_features=32)
    oracle.fit(train.select(range(64)), nb_epoch=1, checkpoint_interval=0)
    for module in oracle.model.modules():
        if isinstance(module, EdgeBackend):
            module.backend = backend
    guide = PropertyGuidance(oracle, {"gap": "5.4 eV"})
    guided = plain.generate(3, guide=guide, n_atoms=8, **FAST)
    assert differ(guided, plain.generate(3, n_atoms=8, **FAST))
    assert np.isfinite(guided.coordinates).all()


class Learned(Sizes):
    """A guide with labels of this mean and mean absolute deviation."""

    tasks = ["n_C"]

    def __init__(self, mean, mad):
        self.mean, self.mad = [mean], [mad]


@pytest.mark.parametrize(
    ("mean", "mad", "target", "said"),
    [
        (1e-4, 0.79, 0.5, "the guide has learned n_C from .* as a transformer makes them"),
        (-0.002, 0.61, -3.0, "as a transformer makes them"),
        (0.5, 0.2, 6800.0, "n_C=6800 is far from all .* mean 0.5 .* untransformed"),
        (6863.0, 1062.0, [6000.0, 0.2e6], "n_C=200000 is far"),
        (4.0, 1.2, 6.0, None),
        (0.0, 1.0, 3.0, None),  # nothing learned
        (0.0, 0.02, 0.1, None),
    ],
)
def test_targets_in_another_unit_than_the_guides_labels_are_warned_about(
    plain, mean, mad, target, said
):
    options = SamplingOptions(guide=PropertyGuidance(Learned(mean, mad), {"n_C": target}))
    with warnings.catch_warnings(record=True, action="always") as told:
        Request(plain, 2, None, options)
    assert len(told) == (said is not None)
    assert said is None or re.search(said, str(told[0].message))


def test_a_guide_of_normalised_labels_is_warned_about(plain, train):
    """Whatever became of the dataset's marks: its labels are known from the model."""
    part = train.select(range(64))
    transformer = dc.trans.NormalizationTransformer(transform_y=True, dataset=part)
    guide = small_model(["gap", "mu"])
    columns = [list(part.tasks).index(task) for task in ("gap", "mu")]
    y = transformer.transform(part).y[:, columns]
    guide.fit(dc.data.NumpyDataset(part.X, y), nb_epoch=1, checkpoint_interval=0)
    with pytest.warns(UserWarning, match="the guide has learned gap from labels") as told:
        plain.generate(1, conditions={"gap": "5 eV"}, guide=guide, n_atoms=5, **FAST)
    assert [warning.filename for warning in told] == [__file__]


# ---------------------------------------------------------------------------- does it obey?


def test_a_model_learns_to_obey_a_property_that_shows(train, tmp_path):
    """The number of atoms as the property: molecules of variable size have the size asked for."""
    n_atoms = (train.X[:, :, 3] > 0).sum(1)
    rows = np.concatenate([np.flatnonzero(n_atoms == n)[:6] for n in (9, 10, 13, 14)])
    rows = np.tile(rows, 500)[:9600]  # 300 steps in one epoch
    X, y = train.X[rows][:, :14], n_atoms[rows, None].astype(float)
    model = EADModel(
        "qm9-small", n_layers=2, n_features=32, batch_size=32, variable_size=True, max_atoms=14,
        conditions="n_atoms", learning_rate=1e-2, warmup_steps=10, ema_decay=0.98, interval=0,
        timesteps=50, model_dir=str(tmp_path),
    )  # fmt: skip
    model.fit(dc.data.NumpyDataset(X, y, np.ones_like(y)), nb_epoch=1, checkpoint_interval=0)
    options = dict(schedule="synchronous", seed=0, progress=False)

    def mean_size(**asked):
        return model.generate(20, **asked, **options).counts.mean()

    small, large = (mean_size(conditions={"n_atoms": n}) for n in (9.5, 13.5))
    assert abs(small - 9.5) < 1.5 and abs(large - 13.5) < 1.5
    assert small + 1 < mean_size() < large
    # guidance goes beyond what the conditional model says
    assert mean_size(conditions={"n_atoms": 9.5}, guidance_scale=1.0) < small


def test_a_property_model_steers_to_the_conditions_it_knows(model, tmp_path):
    """As a model, by its name, and the same spelled out."""
    oracle = small_model(["gap", "Cv"])
    oracle.fit(labelled(["gap", "Cv"], slice(32)), nb_epoch=1, checkpoint_interval=0)
    oracle.save_pretrained(tmp_path / "oracle")
    asked = {"gap": 0.2, "Cv": 30.0, "alpha": 70.0}
    options = dict(n_atoms=8, **FAST)
    guided = model.generate(2, conditions=asked, guide=oracle, **options)
    assert guided.info["conditions"] == {"gap": 0.2, "alpha": 70.0}
    assert guided.info["targets"] == {"gap": 0.2, "Cv": 30.0}
    for guide, told in [
        (str(tmp_path / "oracle"), asked),
        (PropertyGuidance(oracle, {"gap": 0.2, "Cv": 30.0}), {"gap": 0.2, "alpha": 70.0}),
    ]:
        assert_same_molecules(guided, model.generate(2, conditions=told, guide=guide, **options))
    alone = model.generate(2, conditions={"Cv": 30.0}, guide=oracle, **options)
    assert "conditions" not in alone.info or not alone.info["conditions"]
    with pytest.raises(ValueError, match="the guide knows gap, Cv, and conditions=..alpha"):
        model.generate(2, conditions={"alpha": 70.0}, guide=oracle, **options)
    with pytest.raises(ValueError, match="homo"):
        model.generate(2, conditions={"gap": 0.2, "homo": -0.2}, guide=oracle, **options)


def test_a_guide_by_name_makes_molecules_compact_or_stretched():
    model = EADModel.from_pretrained("qm9-small")

    def radii(value):
        molecules = model.generate(
            6, steps=30, seed=0, progress=False, n_atoms=14, guide="radius-of-gyration",
            conditions={"radius_of_gyration": value},
        )  # fmt: skip
        x = molecules.coordinates.reshape(6, 14, 3)
        return np.sqrt(((x - x.mean(1, keepdims=True)) ** 2).sum(2).mean(1))

    compact, stretched = radii(1.7), radii(2.3)
    whole = stretched < 3  # few steps of a small model leave some in pieces, which no guide mends
    assert whole.sum() >= 3 and (compact[whole] < stretched[whole] - 0.2).all()


def test_an_unknown_guide_is_answered_with_those_there_are(plain):
    with pytest.raises(CheckpointError, match="guides by name: .*radius-of-gyration"):
        plain.generate(2, **FAST, conditions={"radius_of_gyration": 2.0}, guide="radius")
