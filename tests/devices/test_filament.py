"""The filament cell: self-limited growth, the compliance point, RESET, spread, wear, retention."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

import hfsim
from hfsim.devices import Pulse, Transistor, apply_train
from hfsim.devices.memristor.filament import Filament, FilamentState, passage
from hfsim.errors import InputError
from hfsim.units import thermal_voltage

DEVICES = 4000
SET, RESET = Pulse(2.3, 1e4), Pulse(-1.0, 1e4)
APPLY = eqx.filter_jit(lambda cell, state, pulse, key=None: cell.apply(state, pulse, key))
READ = eqx.filter_jit(lambda cell, state: cell.conductance(state))
GATES = jnp.array([1.9, 2.0, 2.13, 2.25, 2.4])  # 17 to 107 uA


def build(**others):
    card = hfsim.load_card("cea-leti-2025-hybrid")
    transistor = card.build(Transistor, "transistor_saturation")
    return card.build(Filament, "filament", transistor=transistor, **others)


@pytest.fixture(scope="module")
def cell():
    """The hybrid chip's cell."""
    return build()


def closed(w, shape=(), N=0.0):
    """Devices with a closed filament of width `w`."""
    zero = jnp.zeros(shape)
    return FilamentState(zero, zero + w, zero, zero, zero + N)


# ---------------------------------------------------------------------------------------------- compliance


def test_the_conductance_follows_the_compliance_current(cell):
    # G = I_cc/V_C over a factor 6 of current, although nothing in the model knows V_C: it varies by 16 %, with the heat
    levels = dataclasses.replace(cell, V_G=GATES)
    state = APPLY(levels, levels.init(GATES.shape), SET)
    V_C = np.asarray(levels.compliance_current() / READ(levels, state))
    assert np.all(np.diff(V_C) < 0) and 0.95 < V_C.min() and V_C.max() < 1.2


def test_without_heat_the_clamp_voltage_is_that_of_the_growth_law(cell):
    # Cold, G = I/V_C at every level up to the logarithm of the width itself: kT L_0/alpha ln(w_110/w_17)/2 ... 5 %
    cold = dataclasses.replace(cell, V_G=GATES, R_th=0.0)
    state = APPLY(cold, cold.init(GATES.shape), SET)
    V_C = np.asarray(cold.compliance_current() / READ(cold, state))
    assert np.ptp(V_C) / V_C.mean() < 0.06


def test_the_clamp_voltage_falls_by_the_thermal_voltage_per_e_fold_of_width(cell):
    # V_C = (L_0/alpha)[E_a - kT ln(f t ...)]: cold, each decade loses kT L_0/alpha ln(10) = 0.238 V of cell voltage,
    # up to the slow change of the prefactor
    cold = dataclasses.replace(cell, R_th=0.0)
    widths = jnp.array([1e3, 1e4, 1e5])
    V = eqx.filter_jit(lambda c, t: c.settled(Pulse(2.3, t)).V)(cold, widths)
    expected = float(thermal_voltage(300.0) * cell.L_0 / cell.alpha * np.log(10))
    np.testing.assert_allclose(-np.diff(V), expected, rtol=0.12)


def test_the_growth_rate_falls_exponentially_with_the_cell_s_voltage(cell):
    # d ln(dw/dt)/dV = alpha/(L_0 kT), far above kT and far below the speed limit
    V = jnp.array([0.8, 0.9])
    ln_rate = cell._growing(2.0, V, 0.0, 300.0)
    slope = float(ln_rate[1] - ln_rate[0]) / 0.1
    assert slope == pytest.approx(float(cell.alpha / (cell.L_0 * thermal_voltage(300.0))), rel=1e-3)


@pytest.mark.parametrize(("nodes", "rel"), [(32, 6e-3), (512, 2e-4)])
def test_the_compliance_point_is_where_the_ode_ends(nodes, rel, x64):
    # settled() solves t = integral dA/(dA/dt) for the width; the pulse moves it from place to place. 1/nodes^2 apart.
    cell = build(nodes=nodes, V_G=GATES)
    for width in (1e3, 1e5):
        G = READ(cell, APPLY(cell, closed(cell.w_0, GATES.shape), Pulse(2.3, width)))
        point = eqx.filter_jit(lambda c, t: c.settled(Pulse(2.3, t)))(cell, width)
        np.testing.assert_allclose(point.G, np.minimum(G, 1e9), rtol=rel)
        np.testing.assert_allclose(point.I, cell.compliance_current(), rtol=1e-4)  # saturated


def test_the_compliance_point_has_the_ode_s_gradient(x64):
    # implicit differentiation against differences, and against the gradient through 96 places
    cell = build(nodes=96)
    names = ("E_a", "V_G", "alpha", "R_th", "rho", "w_eff")

    def settled(values, width):
        changed = dataclasses.replace(cell, **dict(zip(names, values, strict=True)))
        return jnp.log(changed.settled(Pulse(2.3, width)).G)

    def ode(values, width):
        changed = dataclasses.replace(cell, **dict(zip(names, values, strict=True)))
        state = FilamentState(0.0 * changed.w_0, changed.w_0, *[jnp.zeros(())] * 3)
        return jnp.log(changed.conductance(changed.apply(state, Pulse(2.3, width))))

    at = [getattr(cell, name) for name in names], jnp.asarray(1e4)
    implicit = jax.jit(jax.grad(settled, argnums=(0, 1)))(*at)
    forward = jax.jit(jax.jvp, static_argnums=0)(settled, at, jax.tree.map(lambda v: 1e-3 * v, at))[1]
    through = jax.jit(jax.grad(ode, argnums=(0, 1)))(*at)
    value = jax.jit(settled)
    flat, treedef = jax.tree.flatten(at)
    for i, leaf in enumerate(flat):
        step = 1e-4 * leaf
        high, low = (treedef.unflatten([*flat[:i], leaf + s, *flat[i + 1 :]]) for s in (step, -step))
        expected = float(value(*high) - value(*low)) / (2 * float(step))
        assert float(jax.tree.leaves(implicit)[i]) == pytest.approx(expected, rel=1e-4), i
        assert float(jax.tree.leaves(through)[i]) == pytest.approx(expected, rel=1e-2), i
    total = sum(jax.tree.leaves(jax.tree.map(lambda g, v: jnp.sum(g * 1e-3 * v), implicit, at)))
    assert float(forward) == pytest.approx(float(total), rel=1e-6)


def test_a_second_set_at_the_same_compliance_adds_little_and_a_stronger_one_more(cell):
    once = APPLY(cell, cell.init(()), SET)
    twice = APPLY(cell, once, SET)
    strong = dataclasses.replace(cell, V_G=jnp.float32(2.3))
    after = APPLY(strong, once, SET)
    G = [float(READ(cell, s)) for s in (once, twice, after)]
    # twice the time is ln 2 of an e-fold: 0.07 V of 1.1 V
    assert 1.0 < G[1] / G[0] < 1.1 and G[2] > 1.4 * G[0]


@pytest.mark.parametrize(("start", "voltage"), [(1.8, 2.3), (0.0, -0.9)], ids=["set", "reset"])
def test_two_pulses_are_one_of_twice_the_width(cell, start, voltage):
    # autonomous and one way: exact in time, up to the places (at 32 of them 0.5 % of the conductance)
    state = FilamentState(*(jnp.float32(v) for v in (start, 1.5, 0.0, 0.0, 0.0)))
    half = APPLY(cell, APPLY(cell, state, Pulse(voltage, 2e3)), Pulse(voltage, 2e3))
    whole = APPLY(cell, state, Pulse(voltage, 4e3))
    assert float(READ(cell, half)) == pytest.approx(float(READ(cell, whole)), rel=1e-2)


# --------------------------------------------------------------------------------------------------- RESET


def test_only_the_opposite_polarity_opens_the_gap(cell):
    on = closed(2.5, (5,))
    set_again = APPLY(cell, on, Pulse(jnp.array([0.2, 0.5, 1.0, 2.0, 4.0]), 1e4))
    assert np.all(np.asarray(set_again.x) == 0) and np.all(np.asarray(set_again.w) >= 2.5)
    off = APPLY(cell, on, Pulse(-jnp.array([0.2, 0.6, 1.0, 1.5, 2.0]), 1e4))
    x, w, G = np.asarray(off.x), np.asarray(off.w), np.asarray(READ(cell, off))
    assert np.all(np.diff(x) > 0) and np.all(np.diff(w) < 0) and np.all(np.diff(G) < 0)
    assert x[0] < 1e-3 and G[2] < 2.0 < 45.0 < G[0]


def test_reset_narrows_the_filament_by_its_law(cell):
    before = closed(2.5)
    after = APPLY(cell, before, RESET)
    expected = cell.w_0 + (2.5 - cell.w_0) * np.exp(-after.x / cell.x_w)
    assert float(after.w) == pytest.approx(float(expected), rel=1e-5)


def test_a_lower_level_can_follow_a_higher_one(cell):
    low = dataclasses.replace(cell, V_G=jnp.float32(1.95))
    high = dataclasses.replace(cell, V_G=jnp.float32(2.4))
    fresh = READ(cell, APPLY(low, low.init(()), SET))
    after = READ(cell, APPLY(low, APPLY(cell, APPLY(high, high.init(()), SET), RESET), SET))
    assert float(after) == pytest.approx(float(fresh), rel=0.02)


def test_the_weaker_transistor_protects_from_reset(cell):
    on = closed(2.5)
    choked = dataclasses.replace(cell, V_GR=jnp.float32(1.9))
    assert float(APPLY(choked, on, RESET).x) < 0.2 < 0.9 < float(APPLY(cell, on, RESET).x)


def test_reading_is_odd_and_does_not_disturb(cell):
    state = closed(2.5)
    assert float(cell.current(state, -0.2)) == -float(cell.current(state, 0.2)) < 0
    assert float(cell.current(state, 0.0)) == 0.0
    assert float(READ(cell, state)) == pytest.approx(float(cell.current(state, 0.2)) / 0.2, rel=1e-6)
    # ten thousand reads of 100 ns move an open device by 1.2 %; a second at 0.2 V would move the closed one by a third
    for before in (state, APPLY(cell, state, RESET)):
        after = APPLY(cell, before, Pulse(0.2, 1e6))
        assert float(READ(cell, after)) == pytest.approx(float(READ(cell, before)), rel=0.02)


def test_nothing_moves_without_voltage_or_time(cell):
    state = FilamentState(*(jnp.float32(v) for v in (0.7, 1.5, 0.3, -0.2, 12.0)))
    for pulse in (Pulse(0.0, 1e18), Pulse(2.0, 0.0), Pulse(-2.0, 0.0)):
        after = APPLY(cell, state, pulse, jax.random.key(0))
        for new, old in zip(jax.tree.leaves(after), jax.tree.leaves(state), strict=True):
            assert float(new) == pytest.approx(float(old), rel=1e-6)


# -------------------------------------------------------------------------------------------------- spread


@pytest.fixture(scope="module")
def population(cell):
    """Many devices after a RESET and after a SET, with draws."""
    cells = dataclasses.replace(cell, V_G=jnp.float32(2.25))
    high = APPLY(cells, cells.init((DEVICES,), jax.random.key(1)), SET, jax.random.key(2))
    low = APPLY(cells, high, RESET, jax.random.key(3))
    return cells, high, low


def test_the_low_resistance_state_is_normal_with_its_deviation(population):
    # sigma_G = 8.7 uS about the mean 78 uS; standard error of a deviation 1/sqrt(2 n); skew of a normal sqrt(6/n)
    cells, high, _ = population
    G = np.asarray(READ(cells, high), np.float64)
    assert G.std() == pytest.approx(8.7, rel=4 / np.sqrt(2 * DEVICES))
    assert abs(scipy.stats.skew(G)) < 4 * np.sqrt(6 / DEVICES)
    mean = READ(cells, dataclasses.replace(high, z_w=jnp.zeros(DEVICES)))
    assert float(jnp.std(mean)) < 0.05  # the gap's spread moves the end of a SET by the time to close alone
    assert G.mean() == pytest.approx(float(mean[0]), abs=4 * 8.7 / np.sqrt(DEVICES))


def test_the_high_resistance_state_is_log_normal(population):
    # ln G is nearly normal, G is not
    cells, _, low = population
    G = np.asarray(READ(cells, low), np.float64)
    assert 0.2 < np.log(G).std() < 0.45
    assert scipy.stats.skew(G) > 0.6 and abs(scipy.stats.skew(np.log(G))) < 0.5 * scipy.stats.skew(G)


def test_a_weak_conductance_stays_positive(cell):
    # at 12 uS the published deviation of 8.7 uS would make 8 % of a normal negative
    low = dataclasses.replace(cell, V_G=jnp.float32(1.83))
    G = np.asarray(READ(low, APPLY(low, low.init((DEVICES,), jax.random.key(1)), SET, jax.random.key(2))))
    assert 8 < np.median(G) < 16 and np.all(G > 0)


def test_draws_keep_their_variance_over_many_cycles_and_forget(population):
    cells, high, low = population
    again = APPLY(cells, low, SET, jax.random.key(4))
    for state in (low, again):
        for z in (state.z_x, state.z_w):
            assert float(jnp.std(z)) == pytest.approx(1.0, rel=4 / np.sqrt(2 * DEVICES))
    # after a whole cycle nothing of the first draw is left
    assert abs(np.corrcoef(high.z_w, again.z_w)[0, 1]) < 4 / np.sqrt(DEVICES) + 0.02


def test_a_pulse_that_moves_nothing_keeps_the_draw(population):
    cells, high, _ = population
    after = APPLY(cells, high, Pulse(0.1, 100.0), jax.random.key(9))
    np.testing.assert_allclose(after.z_w, high.z_w, atol=2e-3)


def test_draws_are_addressed_by_the_key(cell):
    def draw(seed):
        return APPLY(cell, cell.init((50,)), SET, jax.random.key(seed)).z_w

    np.testing.assert_array_equal(draw(5), draw(5))
    assert not np.any(np.asarray(draw(5)) == np.asarray(draw(6)))
    np.testing.assert_array_equal(APPLY(cell, cell.init((50,)), SET).z_w, 0.0)  # none without a key


# -------------------------------------------------------------------------------------- wear and retention


def test_cycles_are_counted(cell):
    # one opening is worth 1 - exp(-x/X_T), 0.93 for this RESET
    train = Pulse(jnp.array([2.3, -1.0] * 6), 1e4)
    after, _ = eqx.filter_jit(lambda c: apply_train(c, closed(0.5), train))(cell)
    assert 0.9 * 6 < float(after.N) < 6.0


def test_the_window_closes_at_the_published_endurance(cell):
    # window = G after SET over G after RESET; flat to 3e4 cycles, gone at 3e5
    cycles = jnp.array([0.0, 3e4, 1e5, 3e5, 1e6])
    on = APPLY(cell, closed(0.5, (5,), cycles), SET)
    off = APPLY(cell, on, RESET)
    window = np.asarray(READ(cell, on) / READ(cell, off))
    assert window[0] > 30 and window[1] == pytest.approx(window[0], rel=1e-3)
    assert np.all(np.diff(window) <= 1e-3 * window[0])
    assert 0.5 < window[2] / window[0] < 1.0 and window[3] < 3.0 and window[4] < 1.2


def test_waits_compose_and_stronger_heat_is_faster(cell):
    state = closed(3.0)
    whole = cell.wait(state, 3e4, 473.15)
    parts = cell.wait(cell.wait(state, 1e4, 473.15), 2e4, 473.15)
    assert float(parts.w) == pytest.approx(float(whole.w), rel=1e-6)
    assert float(cell.wait(state, 3e4, 523.15).w) < float(whole.w) < 3.0
    assert float(cell.wait(state, 3.15e8, 300.0).w) == pytest.approx(3.0, rel=1e-6)  # ten years


# ------------------------------------------------------------------------------------------------- the rest


def test_passage_of_an_exponential_rate_is_exact(x64):
    # rate = exp(-k s): s(t) = ln(1 + k t)/k, also where k is 0, and the time left over after the last place
    places = jnp.linspace(0.0, 2.0, 5)
    for k in (-3.0, 0.0, 1e-5, 4.0):
        for t in (0.01, 0.3, 1.4):
            moved, left = passage(places, -k * places, t)
            expected = np.log1p(k * t) / k if k and k * t > -1 else t
            if k == 0 or (k * t > -1 and expected < 2):
                assert float(moved) == pytest.approx(expected, rel=1e-7), (k, t)
                assert float(left) == 0
    moved, left = passage(places, jnp.zeros(5), 5.0)
    assert float(moved) == 2.0 and float(left) == 3.0


def test_devices_of_any_shape_are_computed_together(cell):
    voltage = jnp.array([[2.0, -1.0, 0.0], [1.5, -0.5, 3.0]])
    one = APPLY(cell, closed(1.5, (2, 3)), Pulse(voltage, 1e3))
    for i in np.ndindex(voltage.shape):
        alone = APPLY(cell, closed(1.5), Pulse(voltage[i], 1e3))
        assert float(one.x[i]) == pytest.approx(float(alone.x), abs=1e-5)
        assert float(one.w[i]) == pytest.approx(float(alone.w), abs=1e-5)


def test_heat_speeds_growth(cell):
    hot = dataclasses.replace(cell, R_th=jnp.float32(2.0))
    assert float(APPLY(hot, hot.init(()), SET).w) > float(APPLY(cell, cell.init(()), SET).w) * 1.05


@pytest.mark.parametrize("nodes", [3, 8.0, "32", 5000])
def test_a_wrong_number_of_places_is_refused(nodes):
    with pytest.raises(InputError, match="`nodes` must be an integer from 4 to 4096"):
        build(nodes=nodes)


@pytest.mark.parametrize(("name", "value"), [("E_a", 0.0), ("w_0", 1.0), ("sigma_x", -0.1), ("rho", np.nan)])
def test_a_wrong_parameter_is_refused(name, value):
    with pytest.raises(InputError, match=f"`Filament.{name}` must"):
        build(**{name: value})


@pytest.mark.parametrize("seconds", [-1.0, np.nan])
def test_impossible_waiting_times_are_refused(cell, seconds):
    with pytest.raises(InputError, match="`seconds` must be a finite time"):
        cell.wait(closed(1.0), seconds)
