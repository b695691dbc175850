"""Sensitivities against closed forms, their intervals against draws, and the check of a claim."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hfsim import InputError
from hfsim.devices import Pulse
from hfsim.draws import normal
from hfsim.studies import Design, Expectation, Objective, Term, Variable, check, sensitivities

PULSE = Pulse(2.0, 100.0)
DESIGN = Design(PULSE, [Variable("voltage", -3.0, 3.0), Variable("width", 1.0, 1e4)])


def measured(pulse, key):
    """Slope 3 in the voltage, 1/width in the width, with noise on the first."""
    noise = 0.5 * normal(key, (), jnp.float32)
    return (3.0 + noise) * pulse.voltage + jnp.log(pulse.width)


def test_effects_are_slope_times_tolerance_with_their_interval():
    found = sensitivities(DESIGN, measured, DESIGN.start(), jax.random.key(0), samples=400, tolerance=0.05)
    assert found.labels == ["voltage", "width"] and found.units == ["V", "ns"]
    np.testing.assert_allclose(found.tolerances, [0.1, 5.0], rtol=1e-5)
    assert abs(found.effects[0] - 0.3) < found.half_widths[0]
    assert found.half_widths[0] == pytest.approx(1.966 * 0.05 / 20, rel=0.1)  # t s/sqrt(n)
    assert found.effects[1] == pytest.approx(0.05, rel=1e-3) and found.half_widths[1] < 1e-6
    assert found.order().tolist() == [0, 1]
    given = {"voltage": 0.01, "width": 50.0}
    named = sensitivities(DESIGN, measured, DESIGN.start(), jax.random.key(0), tolerance=given)
    assert named.effects[1] == pytest.approx(0.5, rel=1e-3) and named.order().tolist() == [1, 0]
    np.testing.assert_array_equal(named.half_widths, 0)


def test_the_interval_covers_the_truth_as_often_as_it_says():
    find = [
        sensitivities(DESIGN, measured, DESIGN.start(), jax.random.key(seed), samples=8, tolerance=0.05)
        for seed in range(60)
    ]
    covered = np.mean([abs(found.effects[0] - 0.3) < found.half_widths[0] for found in find])
    assert 0.86 <= covered <= 1.0


def test_a_check_draws_anew_and_tells_a_claim_that_was_luck():
    objective = Objective([Term("measured", measured, statistic=Expectation(50))])
    truth = 6.0 + np.log(100.0)
    found = check(PULSE, {"measured": truth - 1.0}, objective, jax.random.key(7), repeats=20)["measured"]
    assert found.low < truth < found.high < truth + 0.2 and found.claimed < found.low
    other = check(PULSE, {"measured": truth}, objective, jax.random.key(8), repeats=20)["measured"]
    assert other.measured != found.measured


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"samples": 0}, "samples"),
        ({"tolerance": 0.0}, "tolerance"),
        ({"tolerance": {"voltage": 0.1}}, "width"),
    ],
)
def test_wrong_arguments_are_named(change, told):
    with pytest.raises(InputError, match=told):
        sensitivities(DESIGN, measured, DESIGN.start(), jax.random.key(0), **change)


def test_a_slope_that_is_not_finite_and_a_claim_without_its_term_are_refused():
    with pytest.raises(InputError, match="width"):
        sensitivities(DESIGN, lambda p, k: jnp.sqrt(p.width - p.width), DESIGN.start(), jax.random.key(0))
    objective = Objective([Term("measured", measured)])
    with pytest.raises(InputError, match="energy"):
        check(PULSE, {"energy": 1.0}, objective, jax.random.key(0))
    with pytest.raises(InputError, match="repeats"):
        check(PULSE, {"measured": 1.0}, objective, jax.random.key(0), repeats=1)
