"""The stochastic ensemble of domains, and the mean field's closure measured against it."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

import hfsim
from hfsim.devices import DomainState, GB2Domains, Pulse
from hfsim.errors import InputError
from hfsim.hybrid import ferroelectric_capacitor

DOMAINS = 20_000
TRAINS, PULSES = 6, 12
apply = jax.jit(lambda domains, state, pulse, key: domains.apply(state, pulse, key))


@pytest.fixture
def domains(card):
    """The chip's minimum cell as an ensemble."""
    return GB2Domains(ferroelectric_capacitor(card), domains=DOMAINS)


@pytest.fixture(scope="module")
def four():
    """The state of four such cells, down."""
    ensemble = GB2Domains(ferroelectric_capacitor(hfsim.load_card("cea-leti-2025-hybrid")), domains=DOMAINS)
    return ensemble.init((4,), jax.random.key(0))


def share(domains, state):
    return np.asarray(domains.polarisation(state) / domains.capacitor.P_r + 1) / 2


# ------------------------------------------------------------------------------------------- the ensemble


def test_activation_fields_have_the_published_distribution(domains, four):
    kinetics = domains.capacitor.kinetics
    ratio = (np.asarray(four.E_a, np.float64).ravel() / float(kinetics.b)) ** float(kinetics.a)
    test = scipy.stats.kstest(ratio / (1 + ratio), scipy.stats.beta(float(kinetics.p), float(kinetics.q)).cdf)
    assert test.pvalue > 1e-3


@pytest.mark.parametrize("voltage", [1.0, 1.4, 2.0])
def test_one_pulse_flips_what_the_mean_field_says(domains, four, key, voltage):
    # n domains flip independently, each with the probability s: standard error sqrt(s(1 - s)/n), here over 4 devices
    after = apply(domains, four, Pulse(voltage, 100.0), jax.random.fold_in(key, 1))
    capacitor = domains.capacitor
    expected = float(capacitor.kinetics.switched_fraction(capacitor.field(jnp.float32(voltage)), 100.0))
    got = share(domains, after)
    error = np.sqrt(expected * (1 - expected) / (4 * DOMAINS))
    assert abs(got.mean() - expected) < 4 * error + 5e-4  # 5e-4: the quadrature at this width
    assert np.all(np.abs(got - expected) < 4 * np.sqrt(4) * error)


def test_n_pulses_are_one_n_times_as_long_in_distribution(domains, four, key):
    train = four
    for event in range(5):
        train = apply(domains, train, Pulse(1.3, 20.0), jax.random.fold_in(key, event))
    once = apply(domains, four, Pulse(1.3, 100.0), jax.random.fold_in(key, 9))
    difference = share(domains, train).mean() - share(domains, once).mean()
    assert abs(difference) < 4 * np.sqrt(2 * 0.25 / (4 * DOMAINS))


def test_a_flipped_domain_forgets_its_history(domains, four, key):
    after = apply(domains, four, Pulse(1.4, 100.0), jax.random.fold_in(key, 1))
    history, up = np.asarray(after.history), np.asarray(after.up)
    assert 0 < up.mean() < 1
    assert np.all(history[up] == 0) and np.all(history[~up] > 0)


@pytest.mark.parametrize("pulse", [(0.0, 1e18), (3.0, 0.0)], ids=["no voltage", "no width"])
def test_no_pulse_flips_nothing(domains, four, key, pulse):
    before = apply(domains, four, Pulse(1.4, 100.0), key)
    after = apply(domains, before, Pulse(*pulse), jax.random.fold_in(key, 2))
    np.testing.assert_array_equal(after.up, before.up)
    np.testing.assert_array_equal(after.history, before.history)


def test_the_same_key_flips_the_same_domains(domains, four):
    one, two = (apply(domains, four, Pulse(1.4, 100.0), jax.random.key(5)) for _ in range(2))
    other = apply(domains, four, Pulse(1.4, 100.0), jax.random.key(6))
    np.testing.assert_array_equal(one.up, two.up)
    assert np.any(np.asarray(one.up) != np.asarray(other.up))


def test_few_domains_scatter_as_a_binomial(card, key):
    # 64 domains: sigma(s) = sqrt(s(1 - s)/64); the estimate of a deviation from n devices is good to 1/sqrt(2 n)
    few = GB2Domains(ferroelectric_capacitor(card), domains=64)
    after = apply(few, few.init((2000,), key), Pulse(1.3, 100.0), jax.random.fold_in(key, 1))
    s = share(few, after)
    expected = np.sqrt(s.mean() * (1 - s.mean()) / 64)
    assert s.std() == pytest.approx(expected, rel=4 / np.sqrt(2 * 2000))


# ------------------------------------------------------------------------------- closure of the mean field


@jax.jit
def both(capacitor, E_a, pulses, key):
    """Shares up along a train for the mean field and for domains of these activation fields."""
    ensemble = GB2Domains(capacitor, domains=E_a.size)
    mean = capacitor.init((TRAINS,))
    cold = jnp.zeros((E_a.size, TRAINS))
    start = DomainState(cold > 0, cold, jnp.broadcast_to(E_a[:, None], cold.shape))

    def step(carry, inputs):
        mean, state = carry
        pulse, key = inputs
        mean, state = capacitor.apply(mean, pulse), ensemble.apply(state, pulse, key)
        return (mean, state), (capacitor.polarisation(mean), ensemble.polarisation(state))

    _, trace = jax.lax.scan(step, (mean, start), (pulses, jax.random.split(key, PULSES)))
    return tuple((P / capacitor.P_r + 1) / 2 for P in trace)


def closure_error(card, beta, seed, *, alternating=False):
    """Largest difference of the two over random bipolar trains that leave the capacitor partly reversed."""
    capacitor = eqx.tree_at(lambda c: c.kinetics.beta, ferroelectric_capacitor(card), jnp.float32(beta))
    kinetics = capacitor.kinetics
    # the ensemble's activation fields at the middle of equal shares of probability: no noise of their draw
    y = scipy.stats.beta((p := float(kinetics.p)), (q := float(kinetics.q)))
    middle = (np.arange(DOMAINS) + 0.5) / DOMAINS
    ratio = y.ppf(middle) / scipy.stats.beta(q, p).isf(middle)
    E_a = jnp.asarray(float(kinetics.b) * ratio ** (1 / float(kinetics.a)), jnp.float32)
    rng = np.random.default_rng(seed)
    signs = rng.choice([-1, 1], (PULSES, TRAINS))
    if alternating:
        signs = np.where(np.arange(PULSES)[:, None] % 2, -1, 1) * np.ones((1, TRAINS))
    pulses = Pulse(signs * rng.uniform(0.8, 2.4, signs.shape), 10 ** rng.uniform(0.5, 3.5, signs.shape))
    mean, ensemble = both(capacitor, E_a, pulses, jax.random.key(seed))
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
        GB2Domains(ferroelectric_capacitor(card), domains=number)


def test_a_raw_key_is_refused(domains, four):
    with pytest.raises(InputError, match="`key` must be a typed key"):
        domains.init((), jax.random.PRNGKey(0))
    with pytest.raises(InputError, match="`key` must be a typed key"):
        domains.apply(four, Pulse(1.0, 1.0), None)
