"""The stochastic ensemble of domains, and the mean field's closure measured against it."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats

import hfsim
from hfsim.devices import GB2Domains, GB2Kinetics, Pulse
from hfsim.errors import InputError
from hfsim.estimators import Exact
from hfsim.hybrid import ferroelectric_capacitor

DOMAINS = 20_000
TRAINS, PULSES = 6, 12
apply = jax.jit(lambda capacitor, state, pulse: capacitor.apply(state, pulse))


def of_domains(capacitor, number=DOMAINS, **options):
    """The same capacitor with stochastic domains."""
    return eqx.tree_at(lambda c: c.kinetics, capacitor, GB2Domains(capacitor.kinetics, domains=number, **options))


@pytest.fixture
def domains(card):
    """The chip's minimum cell as an ensemble."""
    return of_domains(ferroelectric_capacitor(card))


@pytest.fixture(scope="module")
def four():
    """The state of four such cells, down."""
    capacitor = of_domains(ferroelectric_capacitor(hfsim.load_card("cea-leti-2025-hybrid")))
    return capacitor.init((4,), jax.random.key(0))


def share(capacitor, state):
    return np.asarray(capacitor.polarisation(state) / capacitor.P_r + 1) / 2


# ------------------------------------------------------------------------------------------- the ensemble


def test_activation_fields_have_the_published_distribution(domains, four):
    ensemble = domains.kinetics.ensemble
    ratio = np.asarray(four.film.activation, np.float64).ravel() ** float(ensemble.a)
    test = scipy.stats.kstest(ratio / (1 + ratio), scipy.stats.beta(float(ensemble.p), float(ensemble.q)).cdf)
    assert test.pvalue > 1e-3


@pytest.mark.parametrize("voltage", [1.0, 1.4, 2.0])
def test_one_pulse_flips_what_the_mean_field_says(domains, four, voltage):
    # n domains flip independently, each with the probability s: standard error sqrt(s(1 - s)/n), here over 4 devices
    after = apply(domains, four, Pulse(voltage, 100.0))
    expected = float(domains.kinetics.ensemble.switched_fraction(domains.field(jnp.float32(voltage)), 100.0))
    got = share(domains, after)
    error = np.sqrt(expected * (1 - expected) / (4 * DOMAINS))
    assert abs(got.mean() - expected) < 4 * error + 5e-4  # 5e-4: the quadrature at this width
    assert np.all(np.abs(got - expected) < 4 * np.sqrt(4) * error)


def test_n_pulses_are_one_n_times_as_long(domains, four):
    # a domain keeps its threshold while it lives: the very same domains flip, but for rounding at the edge
    train = four
    for _ in range(5):
        train = apply(domains, train, Pulse(1.3, 20.0))
    once = apply(domains, four, Pulse(1.3, 100.0))
    assert 0.1 < share(domains, once).mean() < 0.9
    assert np.mean(np.asarray(train.film.up) != np.asarray(once.film.up)) < 1e-4


def test_a_flipped_domain_begins_a_new_life(domains, four):
    after = apply(domains, four, Pulse(1.4, 100.0)).film
    up = np.asarray(after.up) == 1
    assert 0 < up.mean() < 1
    assert np.all(np.asarray(after.history)[up] == 0) and np.all(np.asarray(after.hazard)[up] == 0)
    assert np.all(np.asarray(after.history)[~up] > 0)
    changed = np.asarray(after.threshold) != np.asarray(four.film.threshold)
    np.testing.assert_array_equal(changed, up)


@pytest.mark.parametrize("pulse", [(0.0, 1e18), (3.0, 0.0)], ids=["no voltage", "no width"])
def test_no_pulse_flips_nothing(domains, four, pulse):
    before = apply(domains, four, Pulse(1.4, 100.0))
    after = apply(domains, before, Pulse(*pulse))
    np.testing.assert_array_equal(after.film.up, before.film.up)
    np.testing.assert_array_equal(after.film.history, before.film.history)


def test_the_state_s_key_names_the_domains(domains):
    one, two = (apply(domains, domains.init((), jax.random.key(5)), Pulse(1.4, 100.0)) for _ in range(2))
    other = apply(domains, domains.init((), jax.random.key(6)), Pulse(1.4, 100.0))
    np.testing.assert_array_equal(one.film.up, two.film.up)
    assert np.any(np.asarray(one.film.up) != np.asarray(other.film.up))


def test_few_domains_scatter_as_a_binomial(card, key):
    # 64 domains: sigma(s) = sqrt(s(1 - s)/64); the estimate of a deviation from n devices is good to 1/sqrt(2 n)
    few = of_domains(ferroelectric_capacitor(card), 64)
    s = share(few, apply(few, few.init((2000,), key), Pulse(1.3, 100.0)))
    expected = np.sqrt(s.mean() * (1 - s.mean()) / 64)
    assert s.std() == pytest.approx(expected, rel=4 / np.sqrt(2 * 2000))


# ------------------------------------------------------------------------------------- flip times, gradients


def test_flip_times_are_those_of_the_pulses_that_flip(domains, four):
    # a pulse flips exactly the domains whose flip time is below its width, also after a part of the way
    begun = apply(domains, four, Pulse(1.2, 40.0)).film
    times = np.asarray(jax.jit(lambda s: domains.kinetics.flip_times(s, domains.field(jnp.float32(1.4)), 300.0))(begun))
    up = np.asarray(begun.up) == 1
    assert np.all(np.isinf(times[up])) and np.all(times[~up] >= 0)
    after = apply(domains, eqx.tree_at(lambda s: s.film, four, begun), Pulse(1.4, 100.0))
    flipped = np.asarray(after.film.up) != np.asarray(begun.up)
    assert 0.05 < flipped.mean() < 0.95
    assert np.mean(flipped != (times < 100.0)) < 1e-4


def test_flip_times_have_the_distribution_of_the_model(x64):
    # one class of domains (a large, so that all E_a are b): t = tau (-ln u)^(1/beta) is Weibull with scale tau
    kinetics = GB2Kinetics(a=50.0, b=1.7, p=20.0, q=20.0, tau0=1.0, alpha=3.3, beta=1.7)
    domains = GB2Domains(kinetics, domains=4000)
    state = domains.init((), 0.0, jax.random.key(3))
    times = domains.flip_times(state, jnp.float64(2.0), 300.0)
    tau = kinetics.tau0 * jnp.exp((state.activation * kinetics.b / 2.0) ** kinetics.alpha)
    assert scipy.stats.kstest(np.asarray(times / tau), scipy.stats.weibull_min(1.7).cdf).pvalue > 1e-3


def test_the_pathwise_gradient_of_flip_times_is_right(card, x64):
    # Differences with the same key are differences along the path. The gamma variables are drawn by rejection: p and q
    # have an implicit derivative, which differences of the draw itself cannot follow; they are tested below.
    kinetics = ferroelectric_capacitor(card).kinetics

    def mean_log_time(values):
        domains = GB2Domains(eqx.tree_at(names, kinetics, values), domains=64)
        state = domains.init((), 0.0, jax.random.key(1))
        return jnp.mean(jnp.log(domains.flip_times(state, jnp.float64(1.5), 330.0)))

    def names(k):
        return [k.a, k.b, k.tau0, k.alpha, k.beta, k.dlnE_dT]

    values = names(kinetics)
    gradients = jax.jit(jax.grad(mean_log_time))(values)
    function = jax.jit(mean_log_time)
    for i, (value, gradient) in enumerate(zip(values, gradients, strict=True)):
        h = 1e-6 * max(abs(float(value)), 1e-2)
        moved = [float(function([v + s * h if j == i else v for j, v in enumerate(values)])) for s in (1, -1)]
        assert float(gradient) == pytest.approx((moved[0] - moved[1]) / (2 * h), rel=1e-5)


@pytest.mark.parametrize("name", ["p", "q"])
def test_the_shape_parameters_have_an_implicit_gradient(card, x64, name):
    # d E[ln(E_a/b)]/dp = psi1(p)/a and d/dq = -psi1(q)/a, the trigamma function; standard error from the draws
    kinetics = ferroelectric_capacitor(card).kinetics

    def mean_log(value, key):
        domains = GB2Domains(eqx.tree_at(lambda k: getattr(k, name), kinetics, value), domains=4000)
        return jnp.mean(jnp.log(domains.init((), 0.0, key).activation))

    value = getattr(kinetics, name)
    slopes = jax.jit(jax.vmap(jax.grad(mean_log), in_axes=(None, 0)))(value, jax.random.split(jax.random.key(2), 8))
    expected = float(scipy.special.polygamma(1, float(value)) / kinetics.a) * (1 if name == "p" else -1)
    assert abs(float(slopes.mean()) - expected) < 4 * float(slopes.std()) / np.sqrt(7) + 1e-3 * abs(expected)


def test_the_straight_through_gradient_approaches_that_of_the_mean_field(card, x64):
    # Setup: dP/dV of one pulse at half switching, 20,000 domains, against the mean field's; the estimator spreads each
    # step over 0.3 in ln(hazard) and sees the domains near the edge only. Measured: 2 to 4 %; tolerance 8 %.
    capacitor = ferroelectric_capacitor(card)
    many = of_domains(capacitor)

    def polarisation(device, voltage):
        state = device.init((), jax.random.key(0))
        return device.polarisation(device.apply(state, Pulse(voltage, 100.0)))

    slope = jax.jit(jax.grad(polarisation, argnums=1))
    voltage = jnp.float64(1.35)
    assert float(slope(many, voltage)) == pytest.approx(float(slope(capacitor, voltage)), rel=0.08)
    exact = of_domains(capacitor, 100, estimator=Exact())
    assert float(slope(exact, voltage)) == 0.0


# ------------------------------------------------------------------------------- closure of the mean field


@jax.jit
def both(capacitor, activation, pulses, key):
    """Shares up along a train for the mean field and for domains of these activation fields."""
    ensemble = of_domains(capacitor, activation.size)
    mean, start = capacitor.init((TRAINS,)), ensemble.init((TRAINS,), key)
    same = jnp.broadcast_to(activation[:, None], start.film.activation.shape)
    start = eqx.tree_at(lambda s: s.film.activation, start, same)

    def step(states, pulse):
        states = capacitor.apply(states[0], pulse), ensemble.apply(states[1], pulse)
        return states, (capacitor.polarisation(states[0]), ensemble.polarisation(states[1]))

    _, trace = jax.lax.scan(step, (mean, start), pulses)
    return tuple((P / capacitor.P_r + 1) / 2 for P in trace)


def closure_error(card, beta, seed, *, alternating=False):
    """Largest difference of the two over random bipolar trains that leave the capacitor partly reversed."""
    capacitor = eqx.tree_at(lambda c: c.kinetics.beta, ferroelectric_capacitor(card), jnp.float32(beta))
    kinetics = capacitor.kinetics
    # the ensemble's activation fields at the middle of equal shares of probability: no noise of their draw
    y = scipy.stats.beta((p := float(kinetics.p)), (q := float(kinetics.q)))
    middle = (np.arange(DOMAINS) + 0.5) / DOMAINS
    ratio = y.ppf(middle) / scipy.stats.beta(q, p).isf(middle)
    activation = jnp.asarray(ratio ** (1 / float(kinetics.a)), jnp.float32)
    rng = np.random.default_rng(seed)
    signs = rng.choice([-1, 1], (PULSES, TRAINS))
    if alternating:
        signs = np.where(np.arange(PULSES)[:, None] % 2, -1, 1) * np.ones((1, TRAINS))
    pulses = Pulse(signs * rng.uniform(0.8, 2.4, signs.shape), 10 ** rng.uniform(0.5, 3.5, signs.shape))
    mean, ensemble = both(capacitor, activation, pulses, jax.random.key(seed))
    assert np.ptp(np.asarray(mean)) > 0.3
    return float(jnp.abs(mean - ensemble).max())


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("beta", [1.0, 1.5, 2.0])
def test_the_closure_is_good_to_1_percent_where_beta_is_at_least_1(card, beta, seed):
    # Setup: six trains of twelve pulses of random sign, 0.8-2.4 V, 3 ns-3 us. Reference: 20,000 domains, whose own
    # scatter is 0.35 % (one sigma, at most). Tolerance: the closure's 0.5 % of 2 P_r and that scatter.
    assert closure_error(card, beta, seed) < 0.01


def test_the_closure_is_worse_where_beta_is_below_1(card):
    # h^beta is steep at h = 0: domains that just joined flip faster than those of the mean history. Measured over
    # random and alternating trains: up to 6 % of 2 P_r at beta 0.6. None of the shipped sets is there.
    errors = [closure_error(card, 0.6, seed, alternating=seed % 2 == 0) for seed in range(6)]
    assert max(errors) < 0.06
    assert max(errors) > 0.01  # if it becomes good, the limit of validity can go


# --------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize("number", [0, -3, 2.5, "many"])
def test_a_wrong_number_of_domains_is_refused(card, number):
    with pytest.raises(InputError, match="`domains` must be an integer >= 1"):
        of_domains(ferroelectric_capacitor(card), number)


def test_domains_need_a_typed_key(domains):
    for key in (jax.random.PRNGKey(0), None):
        with pytest.raises(InputError, match="`key` must be a typed key"):
            domains.init((), key)
