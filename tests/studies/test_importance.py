"""Rare failures against closed forms: a half-space, two tails, arrays that share a part; the search for a tilt."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm

from hfsim import InputError
from hfsim.devices import Pulse
from hfsim.devices.variability import ChipPart, LogNormal, Normal, Population
from hfsim.studies import Chips, Tilt, Until, find_tilt, rare_failures

BETA = -norm.ppf(1e-5)
"""A margin of so many deviations fails in 1e-5 of the chips."""
PULSES = Population(Pulse(2.0, 100.0), {"voltage": Normal(0.1), "width": LogNormal(0.2)})


def half_space(pulse, key):
    """Fails beyond a plane at BETA deviations from the middle, both parameters alike."""
    z = ((pulse.voltage - 2.0) / 0.1 + jnp.log(pulse.width / 100.0) / 0.2) / jnp.sqrt(2.0)
    return {"margin": BETA - z, "fails": z > BETA, "both": z > jnp.array([BETA, 0.0])}


def two_tails(pulse, key):
    z = jnp.abs(pulse.voltage - 2.0) / 0.1
    return {"margin": -norm.ppf(0.5e-5) - z, "fails": z > -norm.ppf(0.5e-5)}


@pytest.fixture(scope="module")
def tilt():
    return find_tilt(half_space, PULSES, jax.random.key(1), margin="margin")


@pytest.fixture(scope="module")
def found(tilt):
    return rare_failures(half_space, PULSES, 4000, jax.random.key(2), fails="fails", tilt=tilt)


def test_the_search_finds_where_chips_fail(tilt):
    # the middle of the tail of a normal number beyond BETA lies at phi(BETA)/1e-5 = 4.48, half-way along each axis
    middle = norm.pdf(BETA) / 1e-5 / np.sqrt(2)
    assert abs(tilt.shift["voltage"] - middle) < 0.4 and abs(tilt.shift["width"] - middle) < 0.4
    assert tilt.scale["voltage"] == 1.0


def test_a_failure_of_one_in_100_000_chips_by_4000(found):
    p = found.probability
    assert p.low < 1e-5 < p.high and p.high / p.low < 1.25
    assert found.effective > 300 and found.failures > 1500 and found.gain > 1e3
    assert "plain failures" in repr(found) and "too few" not in repr(found)


def test_the_estimate_is_that_of_its_weights(found):
    data = found.study.dataset
    weighed = data.weight.values.astype(float) * data.fails.values
    assert found.probability.value == pytest.approx(weighed.mean(), rel=1e-6)
    assert found.effective == pytest.approx(weighed.sum() ** 2 / np.sum(weighed**2), rel=1e-6)
    # the density ratio, from the devices of one chip
    chip = int(np.flatnonzero(data.fails.values)[0])
    z = {name: float(value) for name, value in found.study.devices(chip).normals.items()}
    assert found.study.devices(chip).devices.voltage == pytest.approx(2 + 0.1 * z["voltage"], rel=1e-6)
    again = found.study.replay(chip)
    assert again["fails"] and again["weight"] == data.weight.values[chip]
    # weights are a density: their mean is 1, none is above 1/0.1
    weights = found.study.mean("weight")
    assert weights.low - weights.half_width < 1 < weights.high + weights.half_width
    assert data.weight.values.max() <= 10.001


def test_the_weight_is_the_ratio_of_the_densities():
    shift, scale = {"voltage": 2.0, "width": 0.0}, {"voltage": 1.5, "width": 3.0}
    tilt = Tilt({"voltage": 2.0}, scale, 0.2)
    study = rare_failures(half_space, PULSES, 20, jax.random.key(2), fails="fails", tilt=tilt).study
    for chip in (3, 5):
        z = {name: float(value) for name, value in study.devices(chip).normals.items()}
        nominal = np.prod([norm.pdf(value) for value in z.values()])
        tilted = np.prod([norm.pdf(z[name], shift[name], scale[name]) for name in z])
        expected = nominal / (0.2 * nominal + 0.8 * tilted)
        assert study.dataset.weight.values[chip] == pytest.approx(expected, rel=1e-4)


def test_several_failures_of_one_study(tilt):
    each = rare_failures(half_space, PULSES, 4000, jax.random.key(3), fails="both", tilt=tilt)
    assert each.probability.low[0] < 1e-5 < each.probability.high[0] and each.probability.value.shape == (2,)
    assert each.probability.low[1] < 0.5 < each.probability.high[1]


def test_a_wide_density_finds_both_tails():
    tilt = find_tilt(two_tails, PULSES, jax.random.key(1), margin="margin", names=["voltage"])
    assert tilt.scale["voltage"] > 3
    p = rare_failures(two_tails, PULSES, 6000, jax.random.key(2), fails="fails", tilt=tilt).probability
    assert p.low < 1e-5 < p.high


def test_what_a_chip_has_in_common_can_be_tilted():
    # all 100 devices of a chip lie high: with a share of 0.9 in common, the mean has a variance of 0.9 + 0.1/100
    chips = Chips(Population(Pulse(2.0, 100.0), {"voltage": Normal(0.1)}, chip={"voltage": ChipPart(0.9)}), (100,))
    beta = 4.0

    def experiment(pulses, key):
        return jnp.mean(pulses.voltage) > 2.0 + 0.1 * beta * np.sqrt(0.901)

    tilt = Tilt({"chip of voltage": beta})
    found = rare_failures(experiment, chips, 3000, jax.random.key(0), fails="value", tilt=tilt)
    assert found.probability.low < norm.sf(beta) < found.probability.high
    with pytest.raises(InputError, match="at most 64 numbers.*of 100"):
        rare_failures(experiment, chips, 10, jax.random.key(0), fails="value", tilt=Tilt({"voltage": 1.0}))


def test_without_a_failure_the_interval_ends_at_what_weights_allow():
    found = rare_failures(half_space, PULSES, 50, jax.random.key(0), fails="fails", tilt=Tilt({"voltage": -1.0}))
    assert found.failures == 0 and found.probability.low == 0 and "too few" in repr(found)
    # 0 of 50: below 7.1 % of the tilted chips, each worth ten at most
    assert found.probability.high == pytest.approx(10 * (1 - 0.025 ** (1 / 50)), rel=1e-6)


def test_a_study_stops_when_a_rare_probability_is_known(tilt):
    rule = Until("weighted_failure", relative=0.25)
    found = rare_failures(half_space, PULSES, 50_000, jax.random.key(2), fails="fails", tilt=tilt, until=rule)
    assert found.study.chips < 10_000 and found.probability.half_width < 0.3 * found.probability.value


def test_a_study_does_not_stop_before_the_first_failure():
    # none of the first 128 chips of this key fails; the rule looks there first
    rule = Until("weighted_failure", relative=0.5)
    plain = Tilt({"voltage": 0.0})

    def fails(pulse, key):  # 1.9e-3
        return {"fails": pulse.voltage > 2.29}

    found = rare_failures(fails, PULSES, 4000, jax.random.key(3), fails="fails", tilt=plain, until=rule, chunk=64)
    assert not np.any(found.study.dataset.fails.values[:128])
    assert found.study.chips > 128 and found.failures > 0


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"fails": "margin"}, r"logical output \(both, fails\)"),
        (
            {"experiment": lambda p, k: {"fails": p.voltage > 2, "weight": p.width}},
            "other names than weight.*but was weight",
        ),
        ({"experiment": lambda p, k: {"fails": p.voltage > 2, "weighted_failure": p.width}}, "was weighted_failure"),
        ({"tilt": Tilt({"V_C": 1.0})}, "normals of the chips"),
        ({"tilt": Tilt({}, {"voltage": 0.0})}, "be above 0"),
        ({"tilt": Tilt({"voltage": 1.0}, {}, 0.0)}, "defensive"),
        ({"confidence": 2.0}, "confidence"),
        ({"population": lambda key: PULSES.sample((), key)}, "be Chips or Parts"),
    ],
)
def test_wrong_arguments_are_named(changed, told):
    given = {"experiment": half_space, "population": PULSES, "n": 10, "key": jax.random.key(0), "fails": "fails"}
    with pytest.raises(InputError, match=told):
        rare_failures(**{**given, "tilt": Tilt({"voltage": 1.0}), **changed})


def test_a_search_that_finds_nothing_says_so():
    with pytest.raises(InputError, match="come below 0 in 2 rounds"):
        find_tilt(lambda p, k: {"m": 50.0 + p.voltage}, PULSES, jax.random.key(0), margin="m", chips=50, rounds=2)
    with pytest.raises(InputError, match=r"output of one number \(fails, margin\)"):
        find_tilt(half_space, PULSES, jax.random.key(0), margin="both", chips=50)
    for wrong, told in (({"chips": 0}, "`chips` must be an integer >= 10"), ({"rounds": 0}, "`rounds` must be")):
        with pytest.raises(InputError, match=told):
            find_tilt(half_space, PULSES, jax.random.key(0), margin="margin", **wrong)


def test_the_search_leaves_out_margins_that_are_not_finite(tilt):
    def broken(pulse, key):  # nine chips in ten of the left half
        wrong = (pulse.voltage < 2.0) & (jax.random.uniform(key) < 0.9)
        return {"margin": jnp.where(wrong, jnp.nan, half_space(pulse, key)["margin"])}

    found = find_tilt(broken, PULSES, jax.random.key(1), margin="margin")
    assert all(abs(found.shift[name] - tilt.shift[name]) < 0.4 for name in ("voltage", "width"))

    def nowhere(pulse, key):
        return {"margin": jnp.where(pulse.voltage < 2.2, -jnp.inf, pulse.width)}

    with pytest.raises(InputError, match="finite in 10 chips of a round, or more, but was so in [0-9] of 50"):
        find_tilt(nowhere, PULSES, jax.random.key(1), margin="margin", chips=50)
