"""bf16 where a processor has no instructions for it: the fastest path there is, said once."""

from __future__ import annotations

import logging

import pytest
import torch
from denoiser_data import network as egnn

from deepchem_ead.denoisers import AttentionDenoiser
from deepchem_ead.diffusion import AtomLayout, Seen
from deepchem_ead.kernels import attention_backend, formats, native
from deepchem_ead.kernels import egnn_backend as backend
from deepchem_ead.kernels.native import attention_kernel

LAYOUT = AtomLayout.from_counts([3, 5, 9])
KINDS = ["egnn", "attention"]


def build(kind, **options):
    torch.manual_seed(0)
    if kind == "egnn":
        return egnn(n_features=32, **options)
    return AttentionDenoiser(7, 6, 1, 32, n_heads=4, **options)


def outputs(net):
    draw = torch.Generator().manual_seed(1)
    x = torch.randn(LAYOUT.n_nodes, 3, generator=draw)
    h = torch.randn(LAYOUT.n_nodes, net.in_features, generator=draw)
    with torch.no_grad():
        return torch.cat(net(Seen(x, h, LAYOUT)), 1)


@pytest.fixture
def without_bf16(monkeypatch):
    """A processor with AVX512 or AVX2 and no instructions for bf16."""
    if not native.available(32, "fp32"):
        pytest.skip(native.status())
    found = attention_kernel.attention_or_reason
    lacking = "bf16 needs AVX512-BF16, the processor has avx2"
    monkeypatch.setattr(
        attention_kernel,
        "attention_or_reason",
        lambda precision: (None, lacking) if precision == "bf16" else found(precision),
    )
    monkeypatch.setattr(backend.native, "available", lambda n_features, p: p == "fp32")
    monkeypatch.setattr(formats, "multiplies_bf16", lambda device: False)
    monkeypatch.setattr(attention_backend, "multiplies_bf16", lambda device: False)
    formats.say_exact.cache_clear()


@pytest.mark.parametrize("kind", KINDS)
def test_the_exact_kernel_computes_what_no_kernel_does_in_bf16(kind, without_bf16, caplog):
    asked, exact = build(kind, precision="bf16"), build(kind, precision="fp32")
    assert asked.active_backend.startswith("native fp32 (")
    assert "bf16" in asked.active_backend
    with caplog.at_level(logging.WARNING, logger="deepchem_ead.kernels.formats"):
        assert torch.equal(outputs(asked), outputs(exact))
        outputs(build(kind, precision="bf16"))
    (said,) = [r.getMessage() for r in caplog.records if r.name.endswith("formats")]
    assert said.startswith("precision='bf16' computes in fp32 here")


@pytest.mark.parametrize("kind", KINDS)
def test_without_any_kernel_pytorch_computes_in_fp32(kind, without_bf16, monkeypatch):
    monkeypatch.setattr(backend, "native", None)
    monkeypatch.setattr(attention_backend, "attention_kernel", None)
    asked, exact = build(kind, precision="bf16"), build(kind, precision="fp32", backend="torch")
    assert asked.active_backend.startswith("torch")
    assert "fp32" in asked.active_backend
    assert torch.equal(outputs(asked), outputs(exact))


@pytest.mark.parametrize("kind", KINDS)
def test_who_insists_is_told(kind, without_bf16):
    with pytest.raises(RuntimeError, match='backend="native"'):
        build(kind, precision="bf16", backend="native").active_backend  # noqa: B018


@pytest.mark.parametrize("kind", KINDS)
def test_auto_is_the_fastest_exact_path(kind, without_bf16):
    net = build(kind)
    assert net.active_backend == "native fp32"
    assert torch.equal(outputs(net), outputs(build(kind, precision="fp32")))


def test_only_processors_that_multiply_in_bf16_are_taken_to(monkeypatch):
    monkeypatch.setattr(formats.platform, "machine", lambda: "x86_64")
    for bf16, amx in ((False, False), (True, False), (False, True)):
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda found=bf16: found)
        monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda found=amx: found)
        assert formats.multiplies_bf16(torch.device("cpu")) is (bf16 or amx)
    assert formats.multiplies_bf16(torch.device("cuda"))
