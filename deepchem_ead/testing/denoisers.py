"""What every denoiser promises, as a class of tests to inherit from."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from deepchem_ead.denoisers import DENOISERS, DenoiserNetwork, InputColumns
from deepchem_ead.diffusion import AtomLayout, Outputs, Seen, Stereo, signed_volumes
from deepchem_ead.molnet.sample import load_sample
from deepchem_ead.testing.equivariance import (
    assert_equivariant,
    equivariance_error,
    places_of_pairs,
)

_N_IN, _N_OUT, _N_PAIR_OUT = 7, 5, 4


def noised_molecules(
    rows: list[int], dtype: torch.dtype = torch.float64
) -> tuple[Tensor, Tensor, AtomLayout]:
    """Positions (A, 3), columns (A, 7) and layout of QM9 molecules, each atom at its own level.

    A row of the shipped sample gives the same numbers in any company. The last column is the level.
    """
    table, _ = load_sample()
    xs, hs = [], []
    for row in rows:
        _, positions = table.numbers_and_positions(row)
        random = np.random.default_rng(row)
        level = random.random((len(positions), 1))
        xs.append(positions + level * random.normal(size=positions.shape))
        hs.append(np.hstack([random.normal(size=(len(positions), _N_IN - 1)), level]))
    layout = AtomLayout.from_counts([len(x) for x in xs])
    x, h = (torch.tensor(np.concatenate(parts), dtype=dtype) for parts in (xs, hs))
    return layout.center(x), h, layout


class DenoiserTests:
    """Inherit, set the name, and pytest holds the denoiser to the contract.

    Attributes
    ----------
    denoiser : str
        Name in `deepchem_ead.denoisers.DENOISERS`.
    options : dict
        Its options in these tests; small ones, so that they take seconds.
    learning_rate : float
        At which it learns from sixteen molecules in fifty steps.

    Examples
    --------
    >>> class TestMine(DenoiserTests):
    ...     denoiser = "egnn"
    ...     options = {"n_layers": 2, "n_features": 16}
    """

    denoiser: ClassVar[str]
    options: ClassVar[dict[str, Any]] = {"n_layers": 2, "n_features": 32}
    learning_rate: ClassVar[float] = 2e-3

    # ------------------------------------------------------------------ how they are made

    def make(
        self,
        dtype: torch.dtype = torch.float64,
        n_pair_columns: int = 0,
        n_pair_outputs: int = 0,
        stereo: bool = False,
    ) -> DenoiserNetwork:
        """A network with random weights whose outputs are not next to nothing."""
        cls = DENOISERS[self.denoiser]
        torch.manual_seed(0)
        told = {"pairs": n_pair_columns} if n_pair_columns else {}
        columns = InputColumns(
            {"features": _N_IN - 1, "level": 1}, sigma=_N_IN - 1, pairs=told, stereo=stereo
        )
        more = {"n_pair_outputs": n_pair_outputs} if n_pair_outputs else {}
        network = cls.build(columns, _N_OUT, cls.Options(**self.options), **more).to(dtype)
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter))
        return network

    # ------------------------------------------------------------------ one evaluation

    def test_outputs_have_their_shapes(self):
        x, h, layout = noised_molecules([0, 700])
        out = self.make()(Seen(x, h, layout))
        assert out.dx.shape == x.shape and out.dx.dtype == x.dtype
        assert out.h.shape[0] == len(x) and out.h.shape[1] >= _N_OUT

    def test_symmetries(self):
        network, molecules = self.make(), noised_molecules(list(range(0, 1800, 200)))
        if network.equivariant:
            assert_equivariant(network, *molecules)
        else:  # what it cannot know is measured, what it promises all the same is checked
            assert_equivariant(network, *molecules, symmetries=("translation", "permutation"))
            errors = equivariance_error(network, *molecules)
            assert errors["rotation"]["displacements"] > 1e-6, "then equivariant = True"

    def test_a_molecule_does_not_depend_on_its_company(self):
        network = self.make()
        x, h, layout = noised_molecules([3, 500, 900, 901])
        with torch.no_grad():
            together = network(Seen(x, h, layout))
            for i, row in enumerate([3, 500, 900, 901]):
                alone = network(Seen(*noised_molecules([row])))
                nodes = slice(int(layout.starts[i]), int(layout.starts[i] + layout.counts[i]))
                torch.testing.assert_close(alone.dx, together.dx[nodes], rtol=0, atol=1e-10)
                torch.testing.assert_close(alone.h, together.h[nodes], rtol=0, atol=1e-10)

    def test_single_and_coincident_atoms_are_finite(self):
        layout = AtomLayout.from_counts([1, 3, 1])
        x = torch.zeros(5, 3, dtype=torch.float64, requires_grad=True)
        h = torch.randn(5, _N_IN, generator=torch.Generator().manual_seed(0)).double()
        network = self.make()
        out = network(Seen(x, h, layout))
        (out.dx.square().sum() + out.h.square().sum()).backward()
        gradients = [p.grad for p in network.parameters() if p.grad is not None]
        assert all(value.isfinite().all() for value in (*out, x.grad, *gradients))

    def test_gradients_reach_every_parameter(self):
        x, h, layout = noised_molecules([10, 600])
        network = self.make()
        out = network(Seen(x, h, layout, reference=x + 0.1))
        (out.dx.square().sum() + out.h[:, :_N_OUT].square().sum()).backward()
        without = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]
        assert not without

    def test_the_reference_is_read_if_it_says_so(self):
        x, h, layout = noised_molecules([10, 600])
        network = self.make()
        with torch.no_grad():
            plain = network(Seen(x, h, layout))
            told = network(Seen(x, h, layout, reference=1.5 * x))
        assert torch.equal(plain.dx, told.dx) == ("reference" not in network.reads)

    def test_a_reference_moves_with_the_molecule(self):
        """Turned, mirrored and shifted together, state and estimate have an answer that turns."""
        network, (x, h, layout) = self.make(), noised_molecules([10, 600, 3])
        symmetries = ("translation", "permutation", "rotation", "reflection")

        def told(seen: Seen) -> Outputs:
            # Not of the shape of x, and not turned as it is.
            apart = seen.layout.center(seen.x)
            scale, share, weight = seen.h.split(1, 1)[:3]
            moved = 0.3 * scale * apart
            moved = moved + share * seen.layout.expand(seen.layout.mean(weight * apart))
            return network(seen.replace(reference=seen.x + moved))

        assert_equivariant(
            told, x, h, layout, symmetries=symmetries if network.equivariant else symmetries[:2]
        )

    def test_columns_of_pairs_are_read_if_it_says_so(self):
        x, h, layout = noised_molecules([10, 600])
        network = self.make(n_pair_columns=3)
        i, j = layout.pairs
        pairs = (x[i] - x[j]).norm(dim=1, keepdim=True) * torch.tensor([1.0, 2, 3]).to(x)
        with torch.no_grad():
            plain, told = (network(Seen(x, h, layout, pairs=p)) for p in (0 * pairs, pairs))
            turned = network(Seen(-x, h, layout, pairs=pairs))
        assert torch.equal(plain.h, told.h) == ("pairs" not in network.reads)
        if network.equivariant:
            torch.testing.assert_close(turned.dx, -told.dx, rtol=0, atol=1e-10)

    def test_pair_outputs_if_it_writes_them(self):
        """Invariant, the same to the last bit for (i, j) and (j, i), of their molecule alone."""
        x, h, layout = noised_molecules([10, 600, 3])
        assert self.make()(Seen(x, h, layout)).pairs is None
        if "pairs" not in DENOISERS[self.denoiser].writes:
            return
        reads = "pairs" in DENOISERS[self.denoiser].reads
        network = self.make(n_pair_columns=3 if reads else 0, n_pair_outputs=_N_PAIR_OUT)

        def told(seen: Seen) -> Outputs:
            i, j = seen.layout.pairs  # not the same for (i, j) and (j, i)
            columns = torch.cat([seen.h[i, :2], seen.h[j, :1]], 1)
            return network(seen.replace(pairs=columns) if reads else seen)

        symmetries = ("translation", "permutation", "rotation", "reflection")
        assert_equivariant(
            told, x, h, layout, symmetries=symmetries if network.equivariant else symmetries[:2]
        )
        out = told(Seen(x, h, layout, reference=x + 0.1))
        assert out.pairs.shape == (len(layout.pairs.first), _N_PAIR_OUT)
        i, j = layout.pairs
        assert torch.equal(out.pairs, out.pairs[places_of_pairs(j, i, layout)])
        sum(t.square().sum() for t in (out.dx, out.h[:, :_N_OUT], out.pairs)).backward()
        without = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]
        assert not without
        with torch.no_grad():
            together = told(Seen(x, h, layout)).pairs
            alone = [told(Seen(*noised_molecules([row]))).pairs for row in (10, 600, 3)]
            torch.testing.assert_close(torch.cat(alone), together, rtol=0, atol=1e-10)
            single = AtomLayout.from_counts([1])
            assert told(Seen(x[:1], h[:1], single)).pairs.shape == (0, _N_PAIR_OUT)

    def test_tags_of_centres_if_it_reads_them(self):
        """Mirrored molecules with mirrored tags have mirrored outputs; either alone does not."""
        if "stereo" not in DENOISERS[self.denoiser].reads:
            return
        network = self.make(stereo=True)
        x, h, layout = noised_molecules([10, 600, 3])

        def told(seen: Seen) -> Outputs:
            return network(seen.replace(stereo=_any_stereo(seen)))

        symmetries = ("translation", "permutation", "rotation", "reflection")
        assert_equivariant(
            told, x, h, layout, symmetries=symmetries if network.equivariant else symmetries[:2]
        )
        seen = Seen(x, h, layout, reference=x + 0.1, step=h[:, -1].abs())
        stereo = _any_stereo(seen)
        assert {-1, 0, 1} == set(stereo.tags.tolist())
        outputs = network(seen.replace(stereo=stereo))
        flipped = network(seen.replace(stereo=stereo._replace(tags=-stereo.tags)))
        assert not torch.isclose(flipped.dx, outputs.dx).all()
        (outputs.dx.square().sum() + outputs.h[:, :_N_OUT].square().sum()).backward()
        without = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]
        assert not without
        with torch.no_grad():
            nothing = network(seen.replace(stereo=Stereo.nothing(layout)))
            torch.testing.assert_close(nothing.dx, network(seen).dx, rtol=0, atol=1e-10)
            single = Seen(*noised_molecules([600]))
            alone = told(single)
            nodes = slice(int(layout.starts[1]), int(layout.starts[1] + layout.counts[1]))
            torch.testing.assert_close(
                alone.dx, told(Seen(x, h, layout)).dx[nodes], rtol=0, atol=1e-10
            )

    def test_known_atoms_do_not_move_meanwhile_if_it_reads_steps(self):
        """Where the step is 0, what a network has said of the atom does not enter what it says
        next."""
        x, h, layout = noised_molecules([10, 600])
        network = self.make()
        ones = torch.ones(len(x), dtype=x.dtype)
        with torch.no_grad():
            moving, still = (network(Seen(x, h, layout, step=s * ones)) for s in (1.0, 0.0))
        assert torch.equal(moving.dx, still.dx) == ("step" not in network.reads)

    def test_shapes_that_do_not_fit_are_refused(self):
        x, h, layout = noised_molecules([10])
        for wrong in (Seen(x[:-1], h, layout), Seen(x, h[:, 1:], layout)):
            try:
                self.make()(wrong)
            except ValueError:
                continue
            raise AssertionError("wrong shapes are computed without an error")

    def test_weights_survive_a_file(self, tmp_path):
        x, h, layout = noised_molecules([10, 600])
        network, other = self.make(), self.make()
        for parameter in other.parameters():
            parameter.data.zero_()
        torch.save(network.state_dict(), tmp_path / "weights.pt")
        other.load_state_dict(torch.load(tmp_path / "weights.pt", weights_only=True))
        assert torch.equal(network(Seen(x, h, layout)).dx, other(Seen(x, h, layout)).dx)

    # ------------------------------------------------------------------ in a model

    def test_it_learns(self):
        model, dataset = self._model(ema_decay=0.9), _dataset(16)
        before, after = (
            model.evaluate(dataset, "denoising_loss")["denoising_loss"]
            for epochs in (0, 25)
            if model.fit(dataset, nb_epoch=epochs) is not None
        )
        assert after < 0.8 * before, (before, after)

    def test_it_generates_with_every_schedule(self):
        model = self._model()
        model.fit(_dataset(8), nb_epoch=1)
        for schedule in ("synchronous", "adaptive", "staircase", "random-coin"):
            molecules = model.generate(2, schedule, n_atoms=5, steps=4, seed=0, progress=False)
            assert len(molecules) == 2 and np.isfinite(molecules.coordinates).all(), schedule

    def _model(self, **options):
        from deepchem_ead.models import EADModel

        reads = "reference" in DENOISERS[self.denoiser].reads
        return EADModel(
            preset="qm9-small", denoiser=self.denoiser, variable_size=False, batch_size=8,
            self_conditioning=reads, learning_rate=self.learning_rate, warmup_steps=0,
            **{**self.options, **options},
        )  # fmt: skip


def _any_stereo(seen: Seen) -> Stereo:
    """Tags and neighbours that follow from what is seen as those of molecules do."""
    layout = seen.layout
    molecules = seen.h[:, 0].split(layout.counts.tolist())
    # The four atoms of the largest first columns, in this order.
    first = torch.stack([column.argsort(descending=True)[:4] for column in molecules])
    told = Stereo(
        layout.expand(first), torch.zeros_like(layout.index), Stereo.nothing(layout).sides
    )
    side = signed_volumes(seen.x, told.nodes(layout)).values.sign()
    return told._replace(tags=(side * seen.h[:, 1].round().clamp(-1, 1)).to(torch.int64))


def _dataset(n: int):
    from deepchem.data import NumpyDataset

    table, _ = load_sample()
    return NumpyDataset(table.to_padded(29)[:n])
