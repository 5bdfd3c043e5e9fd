"""What training and sampling launch on a GPU compiles for it; test_pretended_gpu.py runs this.

Nothing is computed: kernels leave their results as they find them.
"""

from __future__ import annotations

import pytest
import torch
from gpu_cases import slow
from pretend_gpu import Device, pretend_gpu

from deepchem_ead.diffusion import Seen
from deepchem_ead.kernels.triton import attention_check, self_check
from deepchem_ead.models import EADConfig
from deepchem_ead.molnet.sample import load_sample
from deepchem_ead.training.resident import ResidentTrainer

HOPPER, CONSUMER = ((9, 0), 227 * 2**10), ((8, 9), 99 * 2**10)
EGNN = {"denoiser": "egnn", "n_features": 256}
ATTENTION = {"denoiser": "attention", "n_features": 192, "n_heads": 12}
WITH_COLUMNS = {**ATTENTION, "frame": "preconditioned", "position_target": "residual"}


def trainer_on(gpu, network, precision, monkeypatch):
    """A trainer whose kernels are not asked for the right results."""
    for check in (self_check, attention_check):
        monkeypatch.setattr(check, "failure", lambda *arguments: "")
    monkeypatch.setattr(Device, "capability", gpu[0])
    monkeypatch.setattr(Device, "shared_bytes", gpu[1])
    monkeypatch.setattr(Device, "compiled", {})
    X = load_sample()[0].to_padded(29)[:64]
    config = EADConfig(**network, precision=precision, n_layers=1, batch_size=32)
    trainer = ResidentTrainer(X, config, device="cuda", graph=False)
    assert trainer.network.denoiser.active_backend == f"triton {precision}"
    return trainer


def assert_compiled(wanted, gpu, tensor_cores):
    assert set(Device.compiled) == wanted
    for name, kernels in Device.compiled.items():
        for kernel in kernels:
            assert len(kernel.asm["cubin"]) > 1000
            assert kernel.metadata.shared <= gpu[1], name
    assert all(tensor_cores in k.asm["ptx"] for k in Device.compiled["forward_kernel"])


@pytest.mark.parametrize(
    "gpu, network, precision",
    [
        (HOPPER, EGNN, "bf16"),
        slow(HOPPER, EGNN, "fp32"),
        slow(CONSUMER, EGNN, "bf16"),
        slow(CONSUMER, EGNN, "fp32"),
        slow(HOPPER, ATTENTION, "bf16"),
        slow(CONSUMER, ATTENTION, "fp32"),
        slow(HOPPER, WITH_COLUMNS, "fp32"),
    ],
)
def test_a_training_step_compiles(gpu, network, precision, monkeypatch):
    with pretend_gpu(kernels=True):
        trainer = trainer_on(gpu, network, precision, monkeypatch)
        trainer._step.placement.begin(0, 0, 0)
        trainer._step.gradients()
    wanted = {"forward_kernel", "backward_kernel"}
    wanted |= {"node_kernel", "weight_kernel"} if network is EGNN else {"delta_kernel"}
    assert_compiled(wanted, gpu, "wgmma" if gpu is HOPPER and network is EGNN else "mma")


def test_an_evaluation_of_attention_compiles(monkeypatch):
    with pretend_gpu(kernels=True), torch.no_grad():
        trainer = trainer_on(HOPPER, ATTENTION, "fp32", monkeypatch)
        denoiser, layout = trainer.network.denoiser, trainer.molecules.layout
        x, h = (torch.zeros(layout.n_nodes, n, device="cuda") for n in (3, denoiser.in_features))
        denoiser(Seen(x, h, layout))
    assert_compiled({"forward_kernel"}, HOPPER, "mma")
