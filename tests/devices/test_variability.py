"""Populations: each distribution against scipy, correlations, addresses, bounds, gradients, cards."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

import hfsim
from hfsim.cards import DISTRIBUTIONS as NAMED_IN_CARDS
from hfsim.cards import read_card
from hfsim.devices import FerroelectricCapacitor, GB2Kinetics, Pulse, Transistor
from hfsim.devices.variability import (
    DISTRIBUTIONS,
    ChipPart,
    Correlation,
    LogNormal,
    Normal,
    Population,
    RelativeNormal,
    TruncatedNormal,
    Uniform,
    WaferGradient,
    Weibull,
)
from hfsim.errors import InputError
from hfsim.hybrid import ferroelectric_capacitor
from hfsim.parameters import parameters

DEVICES = 20_000
VALUES = dict(V_T0=0.8, n=1.3, KP=125.0, W=1.0, L=0.5, E_sat=1e3, A_VT=7.0)


@pytest.fixture
def transistor():
    return Transistor(**VALUES)


def sampled(model, spreads, shape=(DEVICES,), seed=0, **others):
    return eqx.filter_jit(Population(model, spreads, **others).sample)(shape, jax.random.key(seed))


# ------------------------------------------------------------------------------------------ distributions

EXPECTED = {
    "normal": (Normal(5.0), scipy.stats.norm(125.0, 5.0)),
    "relative": (RelativeNormal(0.04), scipy.stats.norm(125.0, 5.0)),
    "truncated": (TruncatedNormal(5.0, 1.5), scipy.stats.truncnorm(-1.5, 1.5, 125.0, 5.0)),
    "lognormal": (LogNormal(0.3), scipy.stats.lognorm(0.3, scale=125.0)),
    "uniform": (Uniform(25.0), scipy.stats.uniform(100.0, 50.0)),
    "weibull": (Weibull(2.5), scipy.stats.weibull_min(2.5, scale=125.0)),
}


@pytest.mark.parametrize(("distribution", "expected"), EXPECTED.values(), ids=EXPECTED)
def test_draws_follow_their_distribution(transistor, distribution, expected):
    # Kolmogorov-Smirnov of 20,000 draws against scipy: sqrt(n) D < 1.95 holds for all but 1 in 1,000 keys
    KP = np.asarray(sampled(transistor, {"KP": distribution}).KP, np.float64)
    assert scipy.stats.kstest(KP, expected.cdf).statistic * np.sqrt(DEVICES) < 1.95


@pytest.mark.parametrize(("distribution", "expected"), EXPECTED.values(), ids=EXPECTED)
def test_quantiles_are_exact(distribution, expected, x64):
    # the distributions above hold float32 numbers, rounded to 6e-8
    z = jnp.linspace(-4.0, 4.0, 41)
    quantile = expected.ppf(scipy.stats.norm.cdf(np.asarray(z)))
    np.testing.assert_allclose(distribution.value(125.0, z), quantile, rtol=1e-6)


def test_extreme_draws_stay_finite_in_single_precision():
    # float32 normals end near 5.4 deviations
    z = jnp.array([-9.0, -5.5, 5.5, 9.0])
    for distribution, _ in EXPECTED.values():
        slope = jax.grad(lambda m, d=distribution: jnp.sum(d.value(m, z)))(125.0)
        assert np.all(np.isfinite(distribution.value(125.0, z))) and np.isfinite(slope)


def test_cards_name_every_distribution():
    assert set(NAMED_IN_CARDS) == set(DISTRIBUTIONS)


# ---------------------------------------------------------------------------------------------- addresses


def test_another_spread_changes_no_draw(transistor):
    alone = sampled(transistor, {"KP": LogNormal(0.1)})
    together = sampled(
        transistor, {"E_sat": Normal(0.01), "V_T0": Normal(0.01), "KP": LogNormal(0.1), "A_VT": Normal(0.1)}
    )
    np.testing.assert_array_equal(alone.KP, together.KP)
    assert np.corrcoef(together.KP, together.V_T0)[0, 1] ** 2 * DEVICES < 16


def test_the_key_chooses_the_draws(transistor):
    one, two = (sampled(transistor, {"KP": LogNormal(0.1)}, seed=seed).KP for seed in (0, 1))
    assert np.corrcoef(one, two)[0, 1] ** 2 * DEVICES < 16


def test_unspread_parameters_stay_as_they_are(transistor):
    population = sampled(transistor, {"KP": LogNormal(0.1)}, (3, 2))
    assert population.KP.shape == (3, 2)
    assert float(population.V_T0) == float(transistor.V_T0) and population.V_T0.shape == ()
    assert Population(transistor, {}).sample((3,), jax.random.key(0)) is transistor


def test_both_precisions_draw_the_same_devices(transistor, key):
    single = Population(transistor, {"KP": Weibull(3.0)}).sample((100,), key).KP
    with jax.enable_x64(True):
        double = Population(Transistor(**VALUES), {"KP": Weibull(3.0)}).sample((100,), key).KP
    np.testing.assert_allclose(single, double, rtol=1e-5)  # the lower tail of ln(1 - Phi) loses a digit


def test_a_part_of_a_model_is_spread_by_its_dotted_name(card, key):
    cell = ferroelectric_capacitor(card)
    population = sampled(cell, {"kinetics.b": RelativeNormal(0.05), "P_r": RelativeNormal(0.05)}, (7,))
    assert population.kinetics.b.shape == population.P_r.shape == (7,)
    assert population.polarisation(population.init((7,), up=1.0)).shape == (7,)


# -------------------------------------------------------------------------------------------- correlation


def correlation(rho, names=("V_T0", "KP")):
    return Correlation(jnp.array([[1.0, rho], [rho, 1.0]]), names)


@pytest.mark.parametrize("rho", [-0.7, 0.0, 0.9])
def test_correlated_draws_have_their_correlation_and_their_own_distribution(transistor, rho):
    # the copula's correlation is that of z; standard error (1 - rho^2)/sqrt(n)
    spreads = {"V_T0": Normal(0.01), "KP": LogNormal(0.3)}
    population = sampled(transistor, spreads, correlations=(correlation(rho),))
    found = np.corrcoef(population.V_T0, np.log(population.KP))[0, 1]
    assert abs(found - rho) < 4 * (1 - rho**2) / np.sqrt(DEVICES) + 1e-6
    KP = np.asarray(population.KP, np.float64)
    assert scipy.stats.kstest(KP, EXPECTED["lognormal"][1].cdf).statistic * np.sqrt(DEVICES) < 1.95


def test_a_third_member_of_a_group_changes_the_first_two_not(transistor):
    spreads = {"V_T0": Normal(0.01), "KP": LogNormal(0.3), "L": LogNormal(0.1)}
    two = sampled(transistor, spreads, correlations=(correlation(0.5),))
    matrix = jnp.array([[1.0, 0.5, 0.2], [0.5, 1.0, -0.4], [0.2, -0.4, 1.0]])
    three = sampled(transistor, spreads, correlations=(Correlation(matrix, ("V_T0", "KP", "L")),))
    np.testing.assert_allclose(two.KP, three.KP, rtol=1e-5)
    found = np.corrcoef([three.V_T0, np.log(three.KP), np.log(three.L)])
    np.testing.assert_allclose(found, matrix, atol=4 / np.sqrt(DEVICES))


@pytest.mark.parametrize(
    ("matrix", "names", "message"),
    [
        ([[1.0, 0.5], [0.5, 1.0]], ("V_T0",), "`names` must be two or more different parameters"),
        ([[1.0, 0.5], [0.5, 1.0]], ("V_T0", "V_T0"), "`names` must be two or more different parameters"),
        ([[1.0]], ("V_T0", "KP"), "`matrix` must be of shape"),
        ([[1.0, 0.5], [0.4, 1.0]], ("V_T0", "KP"), "`matrix` must be symmetric"),
        ([[0.9, 0.5], [0.5, 1.0]], ("V_T0", "KP"), "`matrix` must be symmetric with ones"),
        ([[1.0, 1.0], [1.0, 1.0]], ("V_T0", "KP"), "`matrix` must be positive definite"),
        ([[1.0, 1.5], [1.5, 1.0]], ("V_T0", "KP"), "`matrix` must be positive definite"),
    ],
)
def test_a_matrix_that_is_no_correlation_is_refused(matrix, names, message):
    with pytest.raises(InputError, match=message):
        Correlation(jnp.array(matrix), names)


# -------------------------------------------------------------------------------------------------- wafer


def test_a_gradient_over_the_wafer_is_the_polynomial(transistor, key):
    X, Y = jnp.array([0.0, 1.0, -0.6]), jnp.array([0.0, 0.0, 0.8])
    population = Population(transistor, {}, gradients={"KP": WaferGradient(0.1, -0.05, 0.2)})
    KP = population.sample((3,), key, dies=(X, Y)).KP
    np.testing.assert_allclose(KP, [125.0, 125 * 1.3, 125 * (1 - 0.06 - 0.04 + 0.2)], rtol=1e-6)


def test_a_gradient_moves_the_centre_of_the_spread(transistor, key):
    # dies along the first axis, devices along the second: the median at the edge is 1.5 that at the centre
    spread, gradient = {"KP": LogNormal(0.2)}, {"KP": WaferGradient(0.0, 0.0, 0.5)}
    dies = (jnp.array([[0.0], [1.0]]), jnp.zeros((2, 1)))
    KP = Population(transistor, spread, gradients=gradient).sample((2, DEVICES), key, dies=dies).KP
    bare = Population(transistor, spread).sample((2, DEVICES), key).KP
    np.testing.assert_allclose(KP / bare, [[1.0], [1.5]] * np.ones((1, DEVICES)), rtol=1e-5)


def test_a_gradient_without_dies_is_refused(transistor, key):
    population = Population(transistor, {}, gradients={"KP": WaferGradient(0.1, 0.0, 0.0)})
    with pytest.raises(InputError, match="`dies` must be given"):
        population.sample((3,), key)


# ------------------------------------------------------------------------------------------------- bounds


def test_values_beyond_the_bounds_are_set_to_them_and_counted(transistor, key):
    # the slope factor is bounded below by 1: N(1.3, 0.3) crosses it with Phi(-1) = 15.9 %
    draw = eqx.filter_jit(Population(transistor, {"n": Normal(0.3), "KP": LogNormal(0.1)}).draw)((DEVICES,), key)
    share = int(draw.clipped["n"]) / DEVICES
    assert share == pytest.approx(scipy.stats.norm.cdf(-1), abs=4 * np.sqrt(0.16 * 0.84 / DEVICES))
    assert int(jnp.sum(draw.model.n == 1.0)) == int(draw.clipped["n"]) and float(jnp.min(draw.model.n)) == 1.0
    assert int(draw.clipped["KP"]) == 0


def test_what_is_sampled_can_be_built_anew(transistor, key):
    population = Population(transistor, {"n": Normal(1.0), "W": Normal(5.0)}).sample((1000,), key)
    Transistor(**{name: value for name, _, value in parameters(population)})


# ---------------------------------------------------------------------------------------------- gradients


def test_means_widths_correlations_and_trends_have_the_right_gradients(x64, key):
    # every continuous input of the population, against central differences
    shape = (4, 3)
    dies = jnp.linspace(-0.8, 0.8, 12).reshape(shape), jnp.full(shape, 0.3)
    inputs = dict(
        means=jnp.array([0.8, 1.3, 125.0, 1.0, 0.5, 5.0]),
        widths=jnp.array([0.01, 0.03, 0.3, 0.1, 0.02, 4.0]),
        cut=jnp.array(1.7),
        rho=jnp.array([0.5, 0.2, -0.4]),
        trend=jnp.array([0.1, -0.2, 0.3]),
    )
    names = ("V_T0", "n", "KP", "W", "L", "E_sat")

    def number(inputs):
        w, (a, b, c) = inputs["widths"], inputs["rho"]
        model = Transistor(**{**VALUES, **dict(zip(names, inputs["means"], strict=True))})
        matrix = jnp.array([[1.0, a, b], [a, 1.0, c], [b, c, 1.0]])
        population = Population(
            model,
            dict(
                V_T0=Normal(w[0]),
                n=RelativeNormal(w[1]),
                KP=LogNormal(w[2]),
                W=TruncatedNormal(w[3], inputs["cut"]),
                L=Uniform(w[4]),
                E_sat=Weibull(w[5]),
            ),
            (Correlation(matrix, ("V_T0", "KP", "E_sat")),),
            {"KP": WaferGradient(*inputs["trend"])},
        )
        return jnp.sum(population.sample(shape, key, dies=dies).current(2.0, 0.1, 0.9))

    number = jax.jit(number)
    gradients = jax.jit(jax.grad(number))(inputs)
    for name, values in inputs.items():
        for i in np.ndindex(values.shape):
            step = 1e-5 * abs(float(values[i]))
            high, low = ({**inputs, name: values.at[i].add(s)} for s in (step, -step))
            expected = float(number(high) - number(low)) / (2 * step)
            assert expected != 0 and float(gradients[name][i]) == pytest.approx(expected, rel=1e-5), (name, i)


def test_a_mean_over_a_population_has_the_gradient_of_the_expectation(transistor, key):
    # d E[m exp(s z)]/ds = m s exp(s^2/2); standard error of the mean of m z exp(s z)
    def mean(s):
        return jnp.mean(Population(transistor, {"KP": LogNormal(s)}).sample((DEVICES,), key).KP)

    expected = 125.0 * 0.3 * np.exp(0.3**2 / 2)
    assert float(jax.jit(jax.grad(mean))(0.3)) == pytest.approx(expected, abs=4 * 125 * 1.25 / np.sqrt(DEVICES))


# --------------------------------------------------------------------------------------------------- chips


def chips_of(share, cells=1.0, s=0.1, number=400, devices=100):
    spread = Population(Transistor(**VALUES), {"KP": LogNormal(s)}, chip={"KP": ChipPart(share, cells)})
    keys = jax.random.split(jax.random.key(2), number)
    return np.log(jax.jit(jax.vmap(lambda key: spread.sample((devices,), key).KP))(keys) / 125.0)


@pytest.mark.parametrize(("share", "cells"), [(0.0, 1.0), (0.25, 1.0), (0.25, 4.0), (1.0, 1.0)])
def test_devices_of_a_chip_share_a_part_of_the_variance(share, cells):
    # between chips s^2 c, within a chip s^2 (1 - c)/n; a variance of N draws is known to sqrt(2/N)
    ln = chips_of(share, cells)
    within = np.mean(np.var(ln, axis=1, ddof=1))
    assert within == pytest.approx(0.01 * (1 - share) / cells, rel=4 * np.sqrt(2 / ln.size), abs=1e-12)
    between = np.var(ln.mean(axis=1), ddof=1) - within / ln.shape[1]
    own = 0.01 * (1 - share) / cells / ln.shape[1]
    assert between == pytest.approx(0.01 * share, abs=4 * np.sqrt(2 / len(ln)) * (0.01 * share + own))


def test_a_chip_s_part_changes_no_draw_of_the_devices(transistor):
    alone = sampled(transistor, {"KP": LogNormal(0.1)}, chip={"KP": ChipPart(0.0)})
    np.testing.assert_array_equal(alone.KP, sampled(transistor, {"KP": LogNormal(0.1)}).KP)


def test_a_correlation_holds_between_chips_and_within_them(transistor):
    # 1,000 chips of 200 devices: correlation of the chips' means, and of what is left in each
    chip = {"KP": ChipPart(0.5), "E_sat": ChipPart(0.5)}
    spread = Population(
        transistor,
        {"KP": LogNormal(0.01), "E_sat": LogNormal(0.01)},
        (Correlation.pair("KP", "E_sat", 0.6),),
        chip=chip,
    )
    keys = jax.random.split(jax.random.key(3), 1000)
    drawn = jax.jit(jax.vmap(lambda key: spread.sample((200,), key)))(keys)
    ln = np.log(np.stack([drawn.KP / 125.0, drawn.E_sat / 1e3]))
    means = ln.mean(axis=-1)
    assert np.corrcoef(means)[0, 1] == pytest.approx(0.6, abs=4 * 0.64 / np.sqrt(1000))
    left = (ln - means[..., None]).reshape(2, -1)
    assert np.corrcoef(left)[0, 1] == pytest.approx(0.6, abs=4 * 0.64 / np.sqrt(left.shape[1]))


def test_means_spreads_shares_and_a_correlation_of_chips_have_the_right_gradients(x64, key):
    def number(mean, s, share, rho):
        model = Transistor(**{**VALUES, "KP": mean[0], "E_sat": mean[1]})
        chip = {"KP": ChipPart(share[0], jnp.array([1.0, 2.0, 4.0])), "E_sat": ChipPart(share[1])}
        spreads = {"KP": LogNormal(s[0]), "E_sat": RelativeNormal(s[1])}
        population = Population(model, spreads, (Correlation.pair("KP", "E_sat", rho[0]),), chip=chip)
        return jnp.sum(population.sample((5, 3), key).current(2.0, 0.1, 0.9) ** 2)

    values = [jnp.array(x) for x in ([125.0, 5.0], [0.2, 0.1], [0.25, 0.6], [-0.4])]
    judge = jax.jit(number)
    gradients = jax.jit(jax.grad(number, argnums=(0, 1, 2, 3)))(*values)
    for place, value in enumerate(values):
        for i in range(len(value)):
            step = 1e-5 * abs(float(value[i]))
            high, low = ([*values[:place], value.at[i].add(x), *values[place + 1 :]] for x in (step, -step))
            expected = float(judge(*high) - judge(*low)) / (2 * step)
            assert expected != 0 and float(gradients[place][i]) == pytest.approx(expected, rel=1e-5), (place, i)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_the_ends_of_the_share_have_finite_gradients(transistor, key, share):
    def number(share):
        spread = Population(transistor, {"KP": LogNormal(0.1)}, chip={"KP": ChipPart(share)})
        return jnp.sum(spread.sample((4,), key).KP)

    assert np.isfinite(jax.grad(number)(share))


# ------------------------------------------------------------------------------------------- ferroelectric


def test_the_spread_of_polarisation_peaks_near_the_coercive_voltage():
    # Setup: 600 capacitors whose field scale b varies by 3 %; one 1 us pulse of each amplitude from saturation.
    # Nothing tells the spread where to peak: P(V) is steepest there (arXiv:2411.05094 sees it in arrays).
    card = hfsim.load_card("hzo-8nm-switching")
    cell = card.build(FerroelectricCapacitor, "ferroelectric_capacitor", kinetics=card.build(GB2Kinetics, "kinetics"))
    voltages = jnp.linspace(0.4, 2.4, 41)
    cells = sampled(cell, {"kinetics.b": RelativeNormal(0.03)}, (600,))

    @jax.jit
    def polarisation(voltage):
        return cells.polarisation(cells.apply(cells.init((600,)), Pulse(voltage, 1000.0)))

    P = np.asarray(jax.lax.map(polarisation, voltages))
    sigma, median = P.std(axis=1), np.median(P, axis=1)
    coercive = np.interp(0.0, median, voltages)
    peak = float(voltages[np.argmax(sigma)])
    assert abs(peak / coercive - 1) < 0.1
    # saturated either way it is small, and jittering P_r instead would give the reverse
    assert max(sigma[0], sigma[-1]) < 0.2 * sigma.max()
    assert sigma.max() > 0.03 * 22.7 / 3


# -------------------------------------------------------------------------------------------------- cards

TEXT = """
[card]
name = "test"
title = "A card of this test"
citation = "nowhere"

[film]
P_r = { value = 20.0, unit = "uC/cm2", source = "chosen: test" }
S = { value = 0.36, unit = "um2", source = "chosen: test" }
t = { value = 10.0, unit = "nm", source = "chosen: test" }
eps_r = { value = 30.0, unit = "1", source = "chosen: test" }

[film_spread]
P_r = { value = 0.05, unit = "1", distribution = "relative normal", source = "literature: 3-10 %" }
t = { value = 300.0, unit = "pm", distribution = "truncated normal", source = "chosen: test" }

[film_gradient]
P_r = { value = [0.0, 0.1, -0.2], unit = "1", source = "chosen: test" }

[kinetics]
a = { value = 6.9, unit = "1", source = "chosen: test" }
b = { value = 1.7, unit = "MV/cm", source = "chosen: test" }
p = { value = 0.6, unit = "1", source = "chosen: test" }
q = { value = 0.7, unit = "1", source = "chosen: test" }
tau0 = { value = 1.0, unit = "ns", source = "chosen: test" }
alpha = { value = 3.3, unit = "1", source = "chosen: test" }
beta = { value = 2.0, unit = "1", source = "chosen: test" }

[kinetics_spread]
b = { value = 0.05, unit = "1", distribution = "lognormal", source = "literature: 3-8 %" }

[correlation]
"film.P_r kinetics.b" = { value = -0.4, unit = "1", source = "chosen: test" }
"other.x kinetics.b" = { value = 0.9, unit = "1", source = "chosen: a model that is not built here" }
"""


def film(old="", new=""):
    assert old in TEXT
    card = read_card(TEXT.replace(old, new, 1) if old else TEXT)
    model = card.build(FerroelectricCapacitor, "film", kinetics=card.build(GB2Kinetics, "kinetics"))
    return Population.from_card(card, model, {"": "film", "kinetics": "kinetics"})


def test_a_card_declares_a_population(key):
    population = film()
    assert {name: type(s) for name, s in population.spreads.items()} == {
        "P_r": RelativeNormal,
        "t": TruncatedNormal,
        "kinetics.b": LogNormal,
    }
    assert float(population.spreads["t"].s) == pytest.approx(0.3)  # pm in the card, nm in the model
    assert [g.names for g in population.correlations] == [("P_r", "kinetics.b")]
    assert float(population.correlations[0].matrix[0, 1]) == pytest.approx(-0.4)
    dies = (jnp.zeros(DEVICES), jnp.ones(DEVICES))
    cells = eqx.filter_jit(population.sample)((DEVICES,), key, dies=dies)
    assert np.median(cells.P_r) == pytest.approx(20.0 * 0.9, rel=4 * 0.05 * 1.25 / np.sqrt(DEVICES))
    found = np.corrcoef(cells.P_r, np.log(cells.kinetics.b))[0, 1]
    assert found == pytest.approx(-0.4, abs=4 / np.sqrt(DEVICES))


def test_a_part_of_a_card_s_model_alone_has_its_own_spread():
    card = read_card(TEXT)
    population = Population.from_card(card, card.build(GB2Kinetics, "kinetics"), {"": "kinetics"})
    assert set(population.spreads) == {"b"} and population.correlations == ()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            't = { value = 300.0, unit = "pm"',
            't = { value = 3.0, unit = "V"',
            "`film_spread.t.unit` must be convertible",
        ),
        ('b = { value = 0.05, unit = "1"', 'b = { value = 0.05, unit = "V"', "`kinetics_spread.b.unit` must be conv"),
        ("b = { value = 0.05", "B = { value = 0.05", "`kinetics_spread.B` must be a parameter of the model"),
        ("[0.0, 0.1, -0.2]", "[0.0, 0.1]", "`film_gradient.P_r.value` must be a list of three"),
        ("[0.0, 0.1, -0.2]", "0.1", "`film_gradient.P_r.value` must be a list of three"),
        ("P_r = { value = [", "P = { value = [", "`film_gradient.P` must be a parameter of the model"),
        ("value = -0.4", "value = -1.4", "`matrix` must be positive definite"),
        ('"film.P_r kinetics.b"', '"film.P_r"', "must be two parameters split by a blank"),
    ],
)
def test_a_wrong_population_in_a_card_is_refused(old, new, message):
    with pytest.raises(InputError, match=message.replace("[", r"\[")):
        film(old, new)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(spreads={"V_T": Normal(0.1)}), "`spreads` must name parameters of the model"),
        (dict(spreads={}, gradients={"V_T": WaferGradient(0.0, 0.0, 0.0)}), "`gradients` must name parameters"),
        (dict(spreads={"V_T0": Normal(0.1)}, correlations=(correlation(0.5),)), "`correlations` must name spread"),
        (
            dict(spreads={"V_T0": Normal(0.1), "KP": LogNormal(0.1)}, correlations=(correlation(0.5),) * 2),
            "`correlations` must hold each parameter in one group",
        ),
        (dict(spreads={"V_T0": Normal(0.1)}, chip={"KP": ChipPart(0.5)}), "`chip` must name spread parameters"),
    ],
)
def test_a_population_that_does_not_fit_its_model_is_refused(transistor, arguments, message):
    with pytest.raises(InputError, match=message):
        Population(transistor, **arguments)


def test_a_share_beyond_one_and_a_pair_that_is_none_are_refused():
    with pytest.raises(InputError, match="`ChipPart.share` must lie in"):
        ChipPart(1.2)
    with pytest.raises(InputError, match="`matrix` must be positive definite"):
        Correlation.pair("V_T0", "KP", 1.0)


def test_a_negative_width_and_a_raw_key_are_refused(transistor):
    with pytest.raises(InputError, match="`LogNormal.s` must lie in"):
        LogNormal(-0.1)
    with pytest.raises(InputError, match="`key` must be a typed key"):
        Population(transistor, {"KP": LogNormal(0.1)}).sample((2,), jax.random.PRNGKey(0))


def test_a_population_is_a_function_of_its_normals(transistor):
    spreads = {"KP": LogNormal(0.1), "V_T0": Normal(0.02), "n": Normal(0.01)}
    chip, together = {"KP": ChipPart(0.5)}, (Correlation.pair("KP", "V_T0", 0.5),)
    population, key = Population(transistor, spreads, together, chip=chip), jax.random.key(0)
    z = population.normals((7,), key)
    assert set(z) == {"KP", "V_T0", "n", "chip of KP"} and z["n"].shape == (7,) and z["chip of KP"].shape == ()
    drawn, made = population.sample((7,), key), population.from_normals((7,), z).model
    for name in spreads:
        np.testing.assert_array_equal(getattr(made, name), getattr(drawn, name))
    at_rest = population.from_normals((7,), jax.tree.map(jnp.zeros_like, z)).model
    np.testing.assert_array_equal(at_rest.KP, np.full(7, 125.0, np.float32))
    # one normal moves what it is correlated with, by rho, and nothing else
    moved = population.from_normals((7,), {**jax.tree.map(jnp.zeros_like, z), "chip of KP": jnp.ones(())}).model
    np.testing.assert_allclose(moved.KP, 125.0 * np.exp(0.1 * np.sqrt(0.5)), rtol=1e-6)
    np.testing.assert_allclose(moved.V_T0, 0.8 + 0.02 * 0.5 * np.sqrt(0.5), rtol=1e-6)
    np.testing.assert_array_equal(moved.n, at_rest.n)
