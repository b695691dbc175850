"""The Preisach model: its two defining properties, against relays one by one, and the saturated branch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hfsim.devices.ferroelectric.preisach import PreisachKinetics
from hfsim.errors import InputError

SET = dict(E_c=1.1, squareness=0.8, spread=0.7)
ROUNDING = 1e-14


@jax.jit
def sweep(kinetics, fields, up=0.0):
    """Polarisation after each of a list of fields, from saturation at rest."""

    def step(state, field):
        state = kinetics.expose(state, field, 1.0, 300.0)
        return state, kinetics.polarisation(state)

    return jax.lax.scan(step, kinetics.init((), up=up), fields)[1]


def relays(fields, up, rising=400, falling=400):
    """The same on single hysterons: a grid of coercive fields times quantiles of the bias fields."""
    low, high = SET["E_c"] * (1 - SET["spread"]), SET["E_c"] * (1 + SET["spread"])
    c = low + (high - low) * (np.arange(rising) + 0.5) / rising
    delta = SET["E_c"] / np.log((1 + SET["squareness"]) / (1 - SET["squareness"]))
    places = (np.arange(falling) + 0.5) / falling
    c, f = np.meshgrid(c, delta * np.log(places / (1 - places)))
    relay = np.where((np.arange(c.size).reshape(c.shape) * 7919) % 10 < 10 * up, 1.0, -1.0)
    trace = []
    for field in (0.0, *fields):  # at rest those with |f| > c take the state of their bias
        relay = np.where(field >= f + c, 1.0, np.where(field <= f - c, -1.0, relay))
        trace.append(relay.mean())
    remanent = np.where((f > c) | (f < -c), -np.sign(f), 1.0).mean()
    return np.array(trace[1:]) / remanent


@pytest.mark.parametrize("up", [0.0, 1.0, 0.3])
def test_any_sweep_is_that_of_single_relays(up, x64):
    # 160,000 relays; a field passes a line of cells, 1/400 of them, at most
    fields = np.random.default_rng(1).uniform(-2.5, 2.5, 80)
    P = np.asarray(sweep(PreisachKinetics(**SET), jnp.asarray(fields), up))
    np.testing.assert_allclose(P, relays(fields, up), atol=5e-3)
    assert np.ptp(P) > 1.5


@pytest.mark.parametrize("seed", range(4))
def test_return_point_memory(seed, x64):
    # Any excursion between two turning points that ends where it began leaves the model where it was, and all
    # that follows is as if it had not been.
    rng = np.random.default_rng(seed)
    before = [3.0 * rng.uniform(), -1.5, 1.8, -1.2]
    inside = list(rng.uniform(-1.2, 1.3, 11))
    afterwards = [1.55, -0.4, 1.9, -2.0]
    kinetics = PreisachKinetics(**SET)
    plain = sweep(kinetics, jnp.asarray([*before, 1.3, *afterwards]), 0.4)
    astray = sweep(kinetics, jnp.asarray([*before, 1.3, *inside, -1.2, 1.3, *afterwards]), 0.4)
    np.testing.assert_allclose(astray[len(before) + 1 + len(inside) + 1 :], plain[len(before) :], atol=ROUNDING)


def test_minor_loops_between_the_same_fields_are_congruent(x64):
    # from three histories, at different polarisations, the loop -0.6 to 1.4 MV/cm: the same but for a shift
    loop = [*np.linspace(-0.6, 1.4, 30), *np.linspace(1.4, -0.6, 30)]
    kinetics, traces = PreisachKinetics(**SET), []
    for history in ([3.0], [-3.0, 1.7, -0.9, 1.5], [-3.0]):
        whole = [*history, -0.6, 1.4, *loop]  # once around, so that both turning points are there
        traces.append(np.asarray(sweep(kinetics, jnp.asarray(whole)))[-len(loop) :])
    assert np.ptp([trace[0] for trace in traces]) > 0.2 and np.ptp(traces[0]) > 0.3
    for trace in traces[1:]:
        np.testing.assert_allclose(trace - trace[0], traces[0] - traces[0][0], atol=ROUNDING)


def test_the_major_loop_is_the_published_tanh(x64):
    # P = P_s tanh[(E -+ E_c)/(2 delta)] for one coercive field: here 0.1 % around it, whose effect is of second order
    kinetics = PreisachKinetics(E_c=1.1, squareness=0.8, spread=1e-3)
    delta = 1.1 / np.log(1.8 / 0.2)
    assert float(kinetics.delta) == pytest.approx(delta, rel=1e-12)
    fields = np.linspace(8.0, -8.0, 161)
    falling = np.asarray(sweep(kinetics, jnp.asarray([40.0, *fields])))[1:]
    rising = np.asarray(sweep(kinetics, jnp.asarray([-40.0, *fields[::-1]])))[1:]
    np.testing.assert_allclose(falling * 0.8, np.tanh((fields + 1.1) / (2 * delta)), atol=1e-6)
    np.testing.assert_allclose(rising * 0.8, np.tanh((fields[::-1] - 1.1) / (2 * delta)), atol=1e-6)


def test_the_major_loop_of_any_spread_is_the_mean_of_tanhs(x64):
    kinetics = PreisachKinetics(**SET)
    c = SET["E_c"] * (1 + SET["spread"] * np.polynomial.legendre.leggauss(40)[0])
    weight = np.polynomial.legendre.leggauss(40)[1] / 2
    fields = np.linspace(5.0, -5.0, 41)
    falling = np.asarray(sweep(kinetics, jnp.asarray([60.0, *fields])))[1:]

    def expected(E):
        return weight @ np.tanh((E + c[:, None]) / (2 * float(kinetics.delta)))

    np.testing.assert_allclose(falling, expected(fields) / expected(np.zeros(1)), atol=1e-12)


@pytest.mark.parametrize("up", [0.0, 0.25, 1.0])
def test_remanence_is_the_unit(up, x64):
    kinetics = PreisachKinetics(**SET)
    assert float(kinetics.polarisation(kinetics.init((), up=up))) == pytest.approx(2 * up - 1, abs=ROUNDING)
    # saturate and return: 60 MV/cm leaves e^-40
    assert float(sweep(kinetics, jnp.asarray([60.0, 0.0]))[-1]) == pytest.approx(1.0, abs=1e-12)


def test_the_everett_function_is_the_weight_of_its_triangle(x64):
    # mixed second differences, the density, are nowhere negative; the whole is 1; nothing without width
    kinetics = PreisachKinetics(**SET)
    a = np.linspace(-4, 4, 61)
    table = np.asarray(kinetics.everett(a[:, None], a[None, :]))
    density = -(table[1:, 1:] - table[:-1, 1:] - table[1:, :-1] + table[:-1, :-1])
    assert density.min() > -1e-14 and np.all(table[a[:, None] <= a[None, :]] == 0)
    assert float(kinetics.everett(jnp.asarray(60.0), jnp.asarray(-60.0))) == pytest.approx(1.0, abs=1e-12)


def test_width_has_no_effect_but_that_of_none():
    kinetics = PreisachKinetics(**SET)
    state = kinetics.expose(kinetics.init(()), 1.4, 1.0, 300.0)
    for width in (1e-3, 1e18):
        again = kinetics.expose(kinetics.init(()), 1.4, width, 300.0)
        assert float(kinetics.polarisation(again)) == float(kinetics.polarisation(state))
    same = kinetics.expose(state, -3.0, 0.0, 300.0)
    assert jax.tree.all(jax.tree.map(jnp.array_equal, state, same))


def test_a_full_memory_forgets_the_smallest_loop(x64):
    # two large turning points and twelve nested ones, in memories of 32 and 8: the first eight fields are the same;
    # then loops are lost, by no more than they are large; beyond them all, inside the large two, nothing is.
    nested = [1.2 * 0.95**i * (-1) ** i for i in range(12)]
    fields = jnp.asarray([2.2, -1.3, *nested, 1.4, -1.25, 0.3])
    long, short = (np.asarray(sweep(PreisachKinetics(**SET, depth=d), fields)) for d in (32, 8))
    error = np.abs(short - long)
    assert error[:8].max() < ROUNDING and error[-3:].max() < ROUNDING
    assert 1e-4 < error[8:-3].max() < np.abs(np.diff(long))[7:13].max()


def test_warmth_acts_as_more_field(x64):
    kinetics = PreisachKinetics(**SET, dlnE_dT=-0.002)
    warm = kinetics.expose(kinetics.init(()), 1.0, 1.0, 350.0)
    cool = kinetics.expose(kinetics.init(()), np.exp(0.1), 1.0, 300.0)
    assert float(kinetics.polarisation(warm)) == pytest.approx(float(kinetics.polarisation(cool)), abs=1e-12)


def test_the_slope_against_the_field_is_that_of_the_everett_function(x64):
    # after a reversal at 1.4: dP/dE = -2 dEverett(1.4, E)/dE by differences, and positive
    kinetics = PreisachKinetics(**SET)
    slope = jax.jit(jax.grad(lambda E: sweep(kinetics, jnp.stack([jnp.asarray(1.4), E]))[-1]))(jnp.asarray(-0.7))
    e = jnp.asarray([-0.7 + 1e-5, -0.7 - 1e-5])
    above, below = (sweep(kinetics, jnp.stack([jnp.asarray(1.4), x]))[-1] for x in e)
    assert float(slope) == pytest.approx(float((above - below) / 2e-5), rel=1e-6) and slope > 0


@pytest.mark.parametrize("depth", [2, 7, 8.0])
def test_a_memory_of_no_pairs_is_refused(depth):
    with pytest.raises(InputError, match="`depth` must be an even integer >= 4"):
        PreisachKinetics(**SET, depth=depth)
