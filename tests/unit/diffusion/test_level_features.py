"""What a denoiser is told about noise levels."""

from __future__ import annotations

import math

import pytest
import torch

from deepchem_ead.diffusion import LEVEL_FEATURES, N_LEVEL_FEATURES, SIGMA_COLUMN, NoiseSchedule

SCHEDULE = NoiseSchedule.polynomial_2(1000)
LEVELS = torch.arange(1001)


@pytest.mark.parametrize("kind", LEVEL_FEATURES)
def test_columns_are_counted_finite_and_of_order_one(kind):
    features = LEVEL_FEATURES[kind](LEVELS, SCHEDULE)
    assert features.shape == (1001, N_LEVEL_FEATURES[kind])
    assert features.dtype == torch.float64
    assert features.abs().max() <= 1.01


@pytest.mark.parametrize("kind", LEVEL_FEATURES)
def test_real_levels_continue_integer_ones(kind):
    features = LEVEL_FEATURES[kind](LEVELS, SCHEDULE)
    real = LEVEL_FEATURES[kind](LEVELS.double(), SCHEDULE)
    torch.testing.assert_close(real, features, rtol=0, atol=1e-12)
    between = LEVEL_FEATURES[kind](torch.tensor([400.5]), SCHEDULE)[0]
    low, high = features[400], features[401]
    assert (between >= torch.minimum(low, high)).all()
    assert (between <= torch.maximum(low, high)).all()


def test_linear_is_edms_time():
    assert LEVEL_FEATURES["linear"](LEVELS, SCHEDULE)[:, 0].tolist() == [
        t / 1000 for t in range(1001)
    ]


def test_fourier_holds_sigma_time_logarithm_and_waves():
    features = LEVEL_FEATURES["fourier"](LEVELS, SCHEDULE)
    torch.testing.assert_close(
        features[:, SIGMA_COLUMN["fourier"]], SCHEDULE.sigma, atol=1e-12, rtol=0
    )
    assert features[:, 1].tolist() == [t / 1000 for t in range(1001)]
    expected = SCHEDULE.gamma / SCHEDULE.gamma[-1]
    torch.testing.assert_close(features[:, 2], expected, atol=1e-12, rtol=0)
    for k, frequency in enumerate((1, 2, 4, 8)):
        angle = math.pi * frequency * LEVELS.double() / 1000
        torch.testing.assert_close(features[:, 3 + k], angle.sin(), atol=1e-12, rtol=0)
        torch.testing.assert_close(features[:, 7 + k], angle.cos(), atol=1e-12, rtol=0)


def test_the_logarithm_tells_low_levels_apart():
    """t / T moves by 0.01 from level 0 to 10, where the noise grows more than fourfold."""
    features = LEVEL_FEATURES["fourier"](torch.tensor([0, 10]), SCHEDULE)
    assert SCHEDULE.tau[10] / SCHEDULE.tau[0] > 4
    assert features[1, 2] - features[0, 2] > 0.2
