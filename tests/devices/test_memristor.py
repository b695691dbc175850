"""The memristor: its level law, its draws, and its relaxation, which composes in value and is one trajectory."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from hfsim.devices import Memristor
from hfsim.errors import InputError
from hfsim.hybrid import memristor
from hfsim.parameters import specifications
from tests.finite_differences import check_parameter_gradients

DEVICES = 20_000
MONTH, TEN_YEARS = 2.6e6, 3.156e8  # s
VALUES = dict(V_C=1.1, G_reset=1.0, sigma_reset=0.3, sigma_set=8.7, nu=0.002, sigma_u=0.25, t_0=1.0, E_relax=1.0)


read = jax.jit(lambda cell, state: cell.conductance(state))


@pytest.fixture
def cell(card):
    """The chip's memristor."""
    return memristor(card)


def programmed(cell, level, shape=(DEVICES,), seed=0):
    """An array of `shape` at exactly `level` [uS]."""
    state = cell.init(shape, jax.random.key(seed))
    return cell.program(state, jnp.full(shape, level))


def quiet(cell, **others):
    """The memristor without the spread of programming."""
    return dataclasses.replace(cell, sigma_set=0.0, sigma_reset=0.0, **others)


# ------------------------------------------------------------------------------------------- programming


def test_the_level_is_the_compliance_current_over_the_clamp_voltage(cell):
    state = quiet(cell).set(quiet(cell).init((3,), jax.random.key(0)), jnp.array([11.0, 55.0, 110.0]))
    np.testing.assert_allclose(read(quiet(cell), state), [10.0, 50.0, 100.0], rtol=1e-6)


def test_a_set_lands_with_its_spread_at_every_level(cell, key):
    # 8.7 uS; standard error of a deviation of n draws 1/sqrt(2 n)
    for I_cc in (33.0, 110.0):
        G = np.asarray(cell.set(cell.init((DEVICES,), key), jnp.full(DEVICES, I_cc)).programmed)
        assert abs(G.mean() - I_cc / 1.1) < 4 * 8.7 / np.sqrt(DEVICES)
        assert G.std() == pytest.approx(8.7, rel=4 / np.sqrt(2 * DEVICES))


def test_a_set_never_lowers(cell):
    cell = quiet(cell, nu=0.0, sigma_u=0.0)
    state = programmed(cell, 50.0, (3,))
    after = cell.set(state, jnp.array([0.0, 54.9, 77.0]))
    np.testing.assert_allclose(read(cell, after), [50.0, 50.0, 70.0], rtol=1e-6)


def test_a_set_starts_from_what_relaxation_left(cell):
    cell = quiet(cell, nu=0.02, sigma_u=0.0)
    state = cell.wait(programmed(cell, 50.0, (2,)), MONTH)
    assert float(read(cell, state)[0]) < 38.0
    np.testing.assert_allclose(read(cell, cell.set(state, jnp.zeros(2))), read(cell, state), rtol=1e-6)


def test_a_reset_leaves_a_log_normal(cell, key):
    # ln G has mean ln(1 uS) and deviation 0.3, so G has mean exp(0.045)
    G = np.asarray(cell.init((DEVICES,), key).programmed, np.float64)
    z = np.log(G) / 0.3
    assert scipy.stats.kstest(z, "norm").pvalue > 1e-3
    assert abs(z.mean()) * np.sqrt(DEVICES) < 4 and abs(z.var() - 1) < 4 * np.sqrt(2 / DEVICES)
    spread = np.sqrt(np.expm1(0.09)) * np.exp(0.045)
    assert abs(G.mean() - np.exp(0.045)) < 4 * spread / np.sqrt(DEVICES)


def test_each_programming_draws_afresh_and_each_array_its_own(cell, key):
    state = cell.init((8,), key)
    one, two = cell.reset(state), cell.reset(cell.reset(state))
    other = cell.init((8,), jax.random.key(1))
    for a, b in ((state, one), (one, two), (state, other)):
        assert not np.any(np.asarray(a.programmed) == np.asarray(b.programmed))
    np.testing.assert_array_equal(cell.reset(state).programmed, one.programmed)  # the same event, the same draw


def test_programming_counts_events_and_starts_the_clock_again(cell, key):
    state = cell.wait(cell.init((2,), key), 100.0)
    after = cell.set(state, jnp.full(2, 50.0))
    assert int(after.event) == int(state.event) + 1
    assert float(state.clock.seconds) == 100.0 and float(after.clock.seconds) == 0.0


def test_draws_do_not_change_with_precision(card, key):
    @jax.jit
    def life(cell):
        state = cell.set(cell.init((16,), key), jnp.full(16, 60.0))
        return cell.conductance(cell.wait(state, MONTH))

    levels = []
    for double in (False, True):
        with jax.enable_x64(double):
            levels.append(np.asarray(life(memristor(card))))
    np.testing.assert_allclose(*levels, rtol=1e-5)


# -------------------------------------------------------------------------------------------- relaxation


def test_reading_changes_nothing(cell):
    state = cell.wait(programmed(cell, 50.0, (8,)), MONTH)
    np.testing.assert_array_equal(read(cell, state), read(cell, state))


def test_freshly_programmed_it_reads_as_programmed(cell):
    np.testing.assert_array_equal(read(cell, programmed(cell, 50.0, (8,))), 50.0)


@pytest.mark.parametrize("parts", [(1.0, 2.0), (1e-3, 1e3), (1.0,) * 20, (1e6, 1.0, 1e8), (0.0, 5.0)])
def test_waits_compose_in_value(cell, parts):
    state = programmed(cell, 50.0, (64,))
    whole = cell.wait(state, float(np.sum(parts)))
    for part in parts:
        state = cell.wait(state, part)
    np.testing.assert_allclose(read(cell, state), read(cell, whole), rtol=1e-6)


def test_waits_at_two_temperatures_compose_in_effective_time(cell):
    # 398 K runs exp[1 eV/k (1/300 - 1/398)] times as fast
    state = programmed(cell, 50.0, (64,))
    fast = float(np.exp(1.0 / 8.617333262e-5 * (1 / 300 - 1 / 398)))
    one = cell.wait(cell.wait(state, 10.0, 398.0), 1e3)
    np.testing.assert_allclose(read(cell, one), read(cell, cell.wait(state, 10.0 * fast + 1e3)), rtol=1e-5)


@pytest.mark.parametrize("seconds", [1.0, MONTH, TEN_YEARS])
def test_relaxation_has_its_mean_and_spread(cell, seconds):
    # G = G_set exp(-nu u) + sigma_u W(u): a month is u = 14.8, ten years 19.6
    u = np.log1p(seconds)
    G = np.asarray(read(cell, cell.wait(programmed(cell, 80.0), seconds)), np.float64)
    sigma = 0.25 * np.sqrt(u)
    assert abs(G.mean() - 80.0 * np.exp(-0.002 * u)) < 4 * sigma / np.sqrt(DEVICES)
    assert G.std() == pytest.approx(sigma, rel=4 / np.sqrt(2 * DEVICES))


def test_a_month_costs_what_the_card_chose(cell):
    # 3 % of the level and 1 uS, so that the published "stable over a month" holds within the spread of 8.7 uS
    G = np.asarray(read(cell, cell.wait(programmed(cell, 100.0), MONTH)))
    assert G.mean() == pytest.approx(97.0, abs=0.1) and G.std() == pytest.approx(1.0, abs=0.05)


def test_a_device_keeps_its_trajectory(cell):
    # later increments do not know the earlier one, whichever times are asked for
    state = programmed(cell, 0.0)
    early, late = (np.asarray(read(cell, cell.wait(state, t))) for t in (10.0, MONTH))
    step = late - early
    expected = 0.25 * np.sqrt(np.log1p(MONTH) - np.log1p(10.0))
    assert step.std() == pytest.approx(expected, rel=4 / np.sqrt(2 * DEVICES))
    assert abs(np.corrcoef(early, step)[0, 1]) * np.sqrt(DEVICES) < 4


def test_each_programming_has_its_own_path(cell):
    one = programmed(cell, 50.0)
    two = cell.program(one, jnp.full(DEVICES, 50.0))
    a, b = (np.asarray(read(cell, cell.wait(s, MONTH))) for s in (one, two))
    assert abs(np.corrcoef(a, b)[0, 1]) * np.sqrt(DEVICES) < 4


def test_many_short_waits_are_one_long_one_in_single_precision(cell):
    # a hundred thousand waits of 0.1 s, as a training run makes them: plain float32 addition would be 0.1 % off
    state = programmed(cell, 50.0, (4,))
    waits = jax.jit(lambda s: jax.lax.fori_loop(0, 100_000, lambda _, s: cell.wait(s, 0.1), s))
    short, long = waits(state), cell.wait(state, 1e4)
    assert float(short.clock.seconds) == pytest.approx(1e4, rel=1e-7)
    np.testing.assert_allclose(read(cell, short), read(cell, long), rtol=1e-6)


def test_relaxation_never_changes_the_sign_of_a_conductance(cell):
    # a hundred times the card's loss over ten years: a power law of time stays positive, a linear loss would not
    cell = quiet(cell, nu=0.2, sigma_u=0.0)
    state = cell.wait(programmed(cell, 80.0, (2,)), TEN_YEARS)
    left = 80.0 * (1 + TEN_YEARS) ** -0.2
    np.testing.assert_allclose(read(cell, state), left, rtol=1e-5)
    assert 0 < left < 2


@pytest.mark.parametrize("seconds", [-1.0, np.nan, np.inf])
def test_impossible_waiting_times_are_refused(cell, seconds):
    with pytest.raises(InputError, match="`seconds` must be a finite time"):
        cell.wait(programmed(cell, 80.0, (2,)), seconds)


@pytest.mark.parametrize("name", ["t_0", "E_relax"])
def test_an_array_of_devices_has_one_clock(cell, name):
    values = {field: getattr(cell, field) for field in specifications(type(cell))}
    with pytest.raises(InputError, match=f"{name}` must be one number"):
        type(cell)(**{**values, name: jnp.ones(3)})


def test_vmap_over_arrays_equals_a_loop(cell):
    keys = jax.random.split(jax.random.key(3), 3)

    def life(key):
        state = cell.set(cell.init((4,), key), jnp.full(4, 60.0))
        return cell.conductance(cell.wait(state, MONTH))

    one = jax.jit(life)
    np.testing.assert_allclose(jax.jit(jax.vmap(life))(keys), [one(key) for key in keys], rtol=1e-6)


# --------------------------------------------------------------------------------------------- gradients


def life(cell, key, I_cc=60.0, seconds=1e5):
    """What every parameter touches: a RESET and its relaxation, a SET and its, at 350 K."""
    state = cell.wait(cell.init((5,), key), seconds, 350.0)
    after = cell.wait(cell.set(cell.init((5,), key), jnp.full(5, I_cc)), seconds, 350.0)
    return jnp.sum(cell.conductance(state)) + jnp.sum(cell.conductance(after))


def test_every_parameter_has_the_right_gradient(card, key, x64):
    # at sigma_u = 0 t_0 and E_relax act through the mean alone; sigma_u's own gradient is the path
    check_parameter_gradients(quiet_paths(memristor(card)), lambda cell: life(cell, key))


def quiet_paths(cell):
    return eqx.tree_at(lambda m: m.sigma_u, cell, jnp.zeros_like(cell.sigma_u))


def test_current_and_time_have_the_right_gradients(card, key, x64):
    cell = quiet_paths(memristor(card))
    total = jax.jit(lambda current, seconds: life(cell, key, current, seconds))
    slopes = jax.jit(jax.grad(total, argnums=(0, 1)))(60.0, 1e5)
    for index, (point, step) in enumerate(((60.0, 1e-3), (1e5, 1.0))):
        low, high = [60.0, 1e5], [60.0, 1e5]
        low[index], high[index] = point - step, point + step
        expected = (total(*high) - total(*low)) / (2 * step)
        assert float(slopes[index]) == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize("name", ["t_0", "E_relax", "seconds"])
def test_the_gradient_of_the_noise_in_time_is_right_in_expectation(card, x64, name):
    # Setup: devices at G = 1 uS, no drift; f = G^2, whose mean is 1 + sigma_u^2 u. Reference: d E[f]/dx =
    # sigma_u^2 du/dx in closed form. A single device's gradient is sqrt(u) Z's at fixed Z, hence a mean over many.
    cell = eqx.tree_at(lambda m: m.nu, quiet(memristor(card)), jnp.float64(0.0))
    seconds, kelvin = 1e4, 330.0

    def squares(inputs):
        changed = dataclasses.replace(cell, t_0=inputs["t_0"], E_relax=inputs["E_relax"])
        state = changed.wait(programmed(changed, 1.0), inputs["seconds"], kelvin)
        return changed.conductance(state) ** 2

    def log_times(inputs):
        fast = jnp.exp(inputs["E_relax"] / 8.617333262e-5 * (1 / 300 - 1 / kelvin))
        return jnp.log1p(inputs["seconds"] * fast / inputs["t_0"])

    at = {"t_0": jnp.float64(1.0), "E_relax": jnp.float64(1.0), "seconds": jnp.float64(seconds)}
    tangent = {k: jnp.ones(()) if k == name else jnp.zeros(()) for k in at}
    _, slopes = jax.jit(lambda at: jax.jvp(squares, (at,), (tangent,)))(at)
    expected = 0.25**2 * jax.grad(log_times)(at)[name]
    error = float(jnp.std(slopes)) / np.sqrt(DEVICES)
    assert abs(float(slopes.mean() - expected)) < 4 * error
    assert error < 0.05 * abs(float(expected))  # the test can tell


@pytest.mark.parametrize("double", [False, True], ids=["float32", "float64"])
def test_gradients_are_finite_at_the_corners(card, double):
    with jax.enable_x64(double):

        def total(cell, level, seconds):
            return jnp.sum(cell.conductance(cell.wait(programmed(cell, level, (4,)), seconds, 400.0)))

        gradient = jax.jit(jax.grad(total, argnums=(0, 1, 2)))
        for level in (-5.0, 0.0, 1e-3, 100.0):
            for seconds in (0.0, 1e-9, TEN_YEARS):
                leaves = jax.tree.leaves(gradient(memristor(card), level, seconds))
                assert all(np.all(np.isfinite(leaf)) for leaf in leaves), (level, seconds)


# --------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("V_C", 0.0),
        ("G_reset", -1.0),
        ("sigma_reset", np.nan),
        ("sigma_set", -8.7),
        ("nu", 1.06),
        ("sigma_u", "small"),
        ("t_0", 0.0),
        ("E_relax", np.inf),
    ],
)
def test_a_wrong_parameter_is_refused(name, value):
    with pytest.raises(InputError, match=f"`Memristor.{name}` must"):
        Memristor(**{**VALUES, name: value})


def test_a_raw_key_is_refused(cell):
    with pytest.raises(InputError, match="`key` must be a typed key"):
        cell.init((2,), jax.random.PRNGKey(0))
