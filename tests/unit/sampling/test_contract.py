"""Every schedule, stepper and repeat rule keeps the contract; options can be written as text."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch

from deepchem_ead.sampling import (
    REPEAT_RULES,
    SCHEDULES,
    STEPPERS,
    AdaptiveSchedule,
    EtaStepper,
    HeunStepper,
    RandomCoinSchedule,
    StaircaseSchedule,
    resolve_repeat_rule,
    resolve_schedule,
    resolve_stepper,
)
from deepchem_ead.testing import SamplerTests

COIN = "random-coin:sync_fraction=0.5,interval=5"


class TestSynchronous(SamplerTests):
    pass


class TestStaircase(SamplerTests):
    schedule, symmetric = "staircase:window=3,interval=10", False


class TestAdaptive(SamplerTests):
    schedule = "adaptive:sync_fraction=0.5,interval=10"


class TestSettledFirst(SamplerTests):
    # What atoms wait for is correlated with what they do.
    schedule, bias = "settled-first:sync_fraction=0.5,interval=10", None


class TestRandomCoin(SamplerTests):
    schedule = COIN


class TestHold(SamplerTests):
    schedule, repeat_rule = COIN, "hold"


class TestLangevin(SamplerTests):
    schedule, repeat_rule = COIN, "langevin"


class TestLiteral(SamplerTests):
    schedule, repeat_rule, bias = COIN, "literal", None


class TestRenoise(SamplerTests):
    schedule, repeat_rule, bias = COIN, "renoise", None


class TestHalfTheNoise(SamplerTests):
    schedule, stepper = COIN, "ancestral:eta=0.5"


class TestDDIM(SamplerTests):
    stepper = "ddim"


class TestDPMSolver(SamplerTests):
    schedule, stepper, repeat_rule = COIN, "dpm++2m", "hold"


class TestHeun(SamplerTests):
    stepper = "heun"


class TestHeunWithACoin(SamplerTests):
    schedule, stepper = COIN, "heun"


class TestDPMSolverSinglestep(SamplerTests):
    schedule, stepper, repeat_rule = COIN, "dpm++2s", "hold"


class TestChurn(SamplerTests):
    # It sharpens, as any step does that an estimate is trusted for so far (test_sampling_churn.py).
    stepper, bias = "churn", None


class TestChurnWithACoin(SamplerTests):
    schedule, stepper, bias = COIN, "churn:gamma=2", None


class TestRTK(SamplerTests):
    # A mode has no spread.
    stepper, bias = "rtk", None


class TestRTKLangevin(SamplerTests):
    # What its step size leaves of so few iterations at the worst curvature (`best_step_size`).
    stepper, bias = "rtk-ula", 0.206


class TestRTKUnderdamped(SamplerTests):
    schedule, stepper, bias = COIN, "rtk-uld", 0.219


class TestDirect(SamplerTests):
    # With estimates that do not heed what they are told, passes change nothing.
    stepper = "direct:passes=3"


class TestQuotient(SamplerTests):
    schedule, stepper = COIN, "quotient"


class TestQuotientDDIM(SamplerTests):
    stepper = "quotient-ddim"


class TestQuotientSDE(SamplerTests):
    # Two atoms have the orbits that are most curved, and it is of first order.
    stepper, bias = "quotient-sde", 0.08


class TestQuotientSDEWithACoin(SamplerTests):
    schedule, stepper, bias = COIN, "quotient-sde", 0.08


def test_all_that_is_registered_is_tested_here():
    tested = [cls for cls in SamplerTests.__subclasses__() if cls.__module__ == __name__]
    for what, registry in (
        ("schedule", SCHEDULES), ("stepper", STEPPERS), ("repeat_rule", REPEAT_RULES)
    ):  # fmt: skip
        names = {getattr(cls, what).partition(":")[0] for cls in tested}
        assert names == set(registry) - {"replay"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ancestral:eta=0.5", EtaStepper(0.5)),
        ("ddim:noise_scale=0.5", EtaStepper(0.0, 0.5)),
        ("ancestral: eta=0 , noise_scale=1e-1", EtaStepper(0.0, 0.1)),
        ("heun", HeunStepper()),
    ],
)
def test_options_of_steppers(text, expected):
    assert resolve_stepper(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("adaptive:window=3,velocity=x0hat", AdaptiveSchedule(window=3, velocity="x0hat")),
        ("random-coin:together=true,interval=2", RandomCoinSchedule(together=True, interval=2)),
        ("staircase:window=none", StaircaseSchedule()),
    ],
)
def test_options_of_schedules(text, expected):
    assert resolve_schedule(text) == expected


def test_defaults_give_way_to_options():
    assert resolve_schedule("adaptive", {"interval": 7, "other": 1}).interval == 7
    assert resolve_schedule("adaptive:interval=3", {"interval": 7}).interval == 3


@pytest.mark.parametrize(
    ("resolve", "text", "message"),
    [
        (
            resolve_stepper,
            "ancestral:et=1",
            "no option 'et'; it has eta, noise_scale .did",
        ),
        (resolve_stepper, "heun:eta=1", "'heun' has no option 'eta'; it has none"),
        (resolve_stepper, "ancestral:eta", "options follow the name as in name:option=value"),
        (resolve_stepper, "ancestral:", "options follow the name"),
        (resolve_stepper, "ancestral:eta=1,eta=0", "eta is given twice"),
        (resolve_stepper, "ancestral:eta=much", "eta of stepper 'ancestral' must be of type float"),
        (resolve_stepper, "ancestral:eta=true", "must be of type float, not True"),
        (resolve_stepper, "ancestral:eta=2", "eta must lie between 0 and 1, not 2"),
        (resolve_schedule, "adaptive:window=2.5", "must be of type int, not 2.5"),
        (resolve_schedule, "replay:levels=1", "a replay needs levels"),
        (resolve_repeat_rule, "repaint:times=3", "'repaint' has no option 'times'; it has none"),
        (resolve_repeat_rule, 3, "repeat_rule must be one of literal, .* or an object, not 3"),
    ],
)
def test_wrong_options_are_refused(resolve, text, message):
    with pytest.raises(ValueError, match=message):
        resolve(text)


@dataclass(frozen=True)
class Cool:
    """A rule of another package: half of the way back from where the atom was led."""

    share: float = 0.5

    def __call__(self, w, x_hat, moved, tau_t, tau_s, noise):
        return torch.lerp(w, moved, self.share)


def test_parts_from_outside(monkeypatch):
    monkeypatch.setattr(REPEAT_RULES, "_parts", dict(REPEAT_RULES._parts))
    REPEAT_RULES.register("cool", Cool)
    assert resolve_repeat_rule("cool:share=0.25") == Cool(0.25)
    assert resolve_repeat_rule("cool") == resolve_repeat_rule(Cool) == Cool()
