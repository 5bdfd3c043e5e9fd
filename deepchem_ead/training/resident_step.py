"""One training step that never leaves the device, and its CUDA graph."""

from __future__ import annotations

import logging

import numpy as np
import torch
from torch import Tensor

from deepchem_ead.diffusion import EarlierState, sample_levels, turn_at_random
from deepchem_ead.generator.config import EADConfig
from deepchem_ead.generator.network import EADNetwork
from deepchem_ead.training.noising import earlier_levels, node_weights, subset_bounds
from deepchem_ead.training.resident_data import ResidentMolecules

logger = logging.getLogger(__name__)

#: Ordinary steps before a CUDA graph is captured: libraries and kernels set themselves up.
WARM_UP_STEPS = 3


class ResidentStep:
    """Gathering, noising, loss, gradients, clipping, AdamW and averages without the host.

    Nothing in a step waits for the device or copies to it, so that on a GPU the whole step can be
    captured as one CUDA graph. Where something does wait, the step goes on without a graph and a
    warning says what it was.

    Parameters
    ----------
    network : EADNetwork
        Moved to the device.
    molecules : ResidentMolecules
    config : EADConfig
    device : torch.device
    graph : bool
        Capture a CUDA graph if the device is a GPU.

    Attributes
    ----------
    optimizer : torch.optim.AdamW
    rate : Tensor, ()
        Learning rate of the next step.
    loss_sum : Tensor, ()
        Sum of the losses since `begin`.
    """

    def __init__(
        self,
        network: EADNetwork,
        molecules: ResidentMolecules,
        config: EADConfig,
        device: torch.device,
        graph: bool,
    ) -> None:
        self.config, self.molecules, self.device = config, molecules, device
        self.network = network.to(device).train()
        on_gpu = device.type == "cuda"
        self.rate = torch.tensor(config.learning_rate, device=device)
        self.optimizer = torch.optim.AdamW(
            [p for p in network.parameters() if p.requires_grad],
            lr=self.rate,
            weight_decay=config.weight_decay,
            amsgrad=config.amsgrad,
            fused=True,
            capturable=on_gpu,
        )
        self._generator = (
            torch.cuda.default_generators[device.index or 0] if on_gpu else torch.Generator()
        )
        self._plan_epoch, self._plan = 0, molecules.plan(0)
        self._row = torch.zeros(1, dtype=torch.int64, device=device)
        self._rank = torch.arange(len(self._plan.weight), device=device)
        self._loss: Tensor | None = None
        self.loss_sum = torch.zeros((), device=device)
        self._capturing = graph and on_gpu
        self.forget_graph()

    def begin(self, epoch: int, row: int, seed: tuple[int, ...]) -> None:
        """Go to a row of an epoch's plan; begin the random numbers of ``seed`` and the sum."""
        if epoch != self._plan_epoch:
            # Copied, because a graph knows the tensors by their addresses.
            for target, source in zip(self._plan, self.molecules.plan(epoch), strict=True):
                target.copy_(source)
            self._plan_epoch = epoch
        self._row.fill_(row)
        self.loss_sum.zero_()
        self._generator.manual_seed(int(np.random.SeedSequence(seed).generate_state(1)[0]))

    def forget_graph(self) -> None:
        """Capture anew: the tensors are others."""
        self._graph = None
        self._steps_to_graph = WARM_UP_STEPS if self._capturing else 0

    def advance(self) -> None:
        """Make a training step with the rate ``rate``."""
        if self._graph is not None:
            self._graph.replay()
        elif self._steps_to_graph == 0:
            self.gradients()
            self.update()
        else:
            self._warm_up()

    def gradients(self) -> None:
        """Loss and gradients of the next batch; changes nothing that lasts."""
        config, molecules = self.config, self.molecules
        self.optimizer.zero_grad(set_to_none=True)
        plan = [self._plan.molecules, self._plan.fixed_size]
        chosen, fixed_size = (t.index_select(0, self._row)[0] for t in plan)
        clean, is_dummy = molecules.gather(chosen)
        levels = sample_levels(
            molecules.layout,
            config.timesteps,
            config.interval,
            is_dummy,
            config.p_sync,
            self._generator,
            config.level_power,
        )
        eps = torch.randn(clean.shape, generator=self._generator, device=self.device)
        earlier = self._earlier(levels, clean) if config.self_conditioning else None
        conditions = None
        if config.condition_names:
            conditions = molecules.conditions(chosen)
            hidden = ~seen_conditions(*conditions.shape, config.p_uncond, self._generator)
            conditions = conditions.masked_fill(hidden, torch.nan)
        if not self.network.denoiser.equivariant:
            clean = turn_at_random(clean, molecules.layout, self._generator)
        losses = self.network(
            {
                "clean": clean,
                "levels": levels,
                "eps": eps,
                "layout": molecules.layout,
                "node_weight": node_weights(is_dummy, config),
                "earlier": earlier,
                "fixed_size": fixed_size,
                "conditions": conditions,
                "rank": self._rank,
            }
        )
        loss = (losses[:, 0] * self._plan.weight).sum()
        loss.backward()
        self._loss = loss.detach()

    def _earlier(self, levels: Tensor, clean: Tensor) -> EarlierState:
        """`noising.training_earlier`, for half of the molecules of every batch: the host decides
        nothing here."""
        layout = self.molecules.layout
        tells, ahead, eps = (
            draw(shape, generator=self._generator, device=self.device)
            for draw, shape in (
                (torch.rand, layout.n_molecules),
                (torch.rand, layout.n_molecules),
                (torch.randn, clean.shape),
            )
        )
        levels = earlier_levels(levels, layout, ahead, self.config.timesteps)
        return EarlierState(levels, eps, tells >= 0.5)

    def update(self) -> None:
        """Clip, step, average; count the loss and move on to the next batch."""
        network = self.network
        network.before_optimizer_step()
        self.optimizer.step()
        network.after_optimizer_step()
        self.loss_sum += self._loss
        self._row += 1

    def _warm_up(self) -> None:
        """A step on a stream of its own, as capturing asks for; after the last one, capture."""
        stream = torch.cuda.Stream(self.device)
        stream.wait_stream(torch.cuda.current_stream(self.device))
        self._steps_to_graph -= 1
        reason = None
        with torch.cuda.stream(stream):
            if self._steps_to_graph == 0:
                reason = self._why_not_capture()
            self.gradients()
            self.update()
        torch.cuda.current_stream(self.device).wait_stream(stream)
        if self._steps_to_graph == 0 and reason is None:
            reason = self._capture()
        if reason is not None:
            logger.warning("training without a CUDA graph: %s", reason)

    def _why_not_capture(self) -> str | None:
        """Something in the step that waits for the device, which a graph cannot hold."""
        mode, random = torch.cuda.get_sync_debug_mode(), self._generator.get_state()
        torch.cuda.set_sync_debug_mode("error")
        try:
            self.gradients()
        except RuntimeError as error:
            return f"the step waits for the device ({error})"
        finally:
            torch.cuda.set_sync_debug_mode(mode)
            self._generator.set_state(random)  # a step draws the same with and without a graph
        return None

    def _capture(self) -> str | None:
        torch.cuda.synchronize(self.device)
        self.optimizer.zero_grad(set_to_none=True)
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph):
                self.gradients()
                self.update()
        except RuntimeError as error:
            return f"capturing it failed ({error})"
        self._graph = graph
        return None


def seen_conditions(n: int, n_conditions: int, p_uncond: float, generator: torch.Generator):
    """`noising.training_conditions` with the random numbers of the device, (n, P) bool."""
    number, uncond, rank = (
        torch.rand(shape, generator=generator, device=generator.device)
        for shape in ((n, 1), (n, 1), (n, n_conditions))
    )
    # Compared one by one: a graph of the step cannot hold a copy from the host.
    number = 1 + sum((number >= bound).long() for bound in subset_bounds(n_conditions).tolist())
    number = number * (uncond >= p_uncond)
    return rank.argsort(1).argsort(1) < number
