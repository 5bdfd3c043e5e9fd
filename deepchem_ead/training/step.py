"""One training step, wherever its data lie: loss, gradients, update; and its CUDA graph."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from deepchem_ead.training.estimates import refuse_several
from deepchem_ead.training.placement import Placement
from deepchem_ead.training.world import World

logger = logging.getLogger(__name__)

#: Ordinary steps before a CUDA graph is captured: libraries and kernels set themselves up.
WARM_UP_STEPS = 3

#: From what the network returns, labels and weights to one number.
Loss = Callable[[Any, list, list], Tensor]


class TrainingStep:
    """Loss, gradients, their mean over all processes, and the optimiser's step.

    Clipping, averages and the rate are hung on the optimiser's steps (see `hooks`). Where neither
    the placement nor the network waits for the device, the whole step can be captured as one CUDA
    graph. Where something does wait, it goes on without a graph and a warning says what it was.

    Parameters
    ----------
    network : nn.Module
        On the device.
    optimizer : torch.optim.Optimizer
    loss : callable
        Of the network's outputs, labels and weights; a mean over the weights.
    placement : Placement
    world : World
    refuse : callable, optional
        Given the loss and the placement before a step is made of it. The host then waits for the
        device in every step, and there is no graph.
    graph : torch.Generator, optional
        Capture a CUDA graph; the generator is the one that the placement draws with.

    Attributes
    ----------
    loss : Tensor, ()
        Of the latest step.
    loss_sum : Tensor, ()
        Sum of the losses since `forget_losses`.
    """

    def __init__(
        self,
        network: nn.Module,
        optimizer: torch.optim.Optimizer,
        loss: Loss,
        placement: Placement,
        world: World,
        refuse: Callable[[float, Placement], None] | None = None,
        graph: torch.Generator | None = None,
    ) -> None:
        refuse_several(network, world)
        self.network, self.optimizer, self.placement = network, optimizer, placement
        self.world, self._loss_of, self._refuse = world, loss, refuse
        self.trained = [p for group in optimizer.param_groups for p in group["params"]]
        device = self.trained[0].device
        self.loss = torch.zeros((), device=device)
        self.loss_sum = torch.zeros((), device=device)
        self._generator, self._device = graph, device
        self.forget_graph()

    def forget_losses(self) -> None:
        """Begin a new sum."""
        self.loss_sum.zero_()

    def forget_graph(self) -> None:
        """Capture anew: the tensors are others."""
        self._graph: torch.cuda.CUDAGraph | None = None
        self._steps_to_graph = 0 if self._generator is None else WARM_UP_STEPS

    def advance(self) -> None:
        """Make a training step of the placement's batch."""
        if self._graph is not None:
            self._graph.replay()
        elif self._steps_to_graph == 0:
            self.gradients()
            if self._refuse is not None:
                self._refuse(float(self.loss), self.placement)
            self.update()
        else:
            self._warm_up()

    def gradients(self) -> None:
        """Loss and gradients of the batch; changes nothing that lasts."""
        self.optimizer.zero_grad(set_to_none=True)
        (inputs, labels, weights), share = self.world.share(self.placement.batch())
        loss = self._loss_of(self.network(inputs), labels, weights)
        if self.world.size > 1:
            loss = loss * share
        loss.backward()
        found = loss.detach()
        self.world.average([found, *gradients_of(self.trained)])
        self.loss.copy_(found)

    def update(self) -> None:
        """The optimiser's step, with all that is hung on it."""
        self.optimizer.step()
        self.loss_sum += self.loss

    def _warm_up(self) -> None:
        """A step on a stream of its own, as capturing asks for; after the last one, capture."""
        stream = torch.cuda.Stream(self._device)
        stream.wait_stream(torch.cuda.current_stream(self._device))
        self._steps_to_graph -= 1
        reason = None
        with torch.cuda.stream(stream):
            if self._steps_to_graph == 0:
                reason = self._why_not_capture()
            self.gradients()
            self.update()
        torch.cuda.current_stream(self._device).wait_stream(stream)
        if self._steps_to_graph == 0 and reason is None:
            reason = self._capture()
        if reason is not None:
            logger.warning("training without a CUDA graph: %s", reason)

    def _why_not_capture(self) -> str | None:
        """Something in the step that waits for the device, which a graph cannot hold."""
        assert self._generator is not None
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
        torch.cuda.synchronize(self._device)
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


def weighted_mean(outputs, labels, weights) -> Tensor:
    """Weighted mean of the molecules' losses, (B, 1) each."""
    loss = outputs if isinstance(outputs, Tensor) else outputs[0]
    (weight,) = weights
    return (loss * weight).sum() / weight.sum()


def gradients_of(parameters: Sequence[Tensor]) -> list[Tensor]:
    """The gradients of parameters that have one."""
    return [p.grad for p in parameters if p.grad is not None]
