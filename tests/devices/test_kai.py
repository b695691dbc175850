"""Domain growth: the compressed exponential, its field and its trains."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hfsim.devices.ferroelectric.kai import KAIKinetics

SET = dict(tau=50.0, E_a=4.0, n=1.7)
expose = jax.jit(lambda kinetics, state, field, width, T: kinetics.expose(state, field, width, T))


def after(kinetics, fields, widths, up=0.0, temperature=300.0):
    """Fraction up after a train."""
    state = kinetics.init((), up=up)
    for field, width in zip(fields, widths, strict=True):
        state = expose(kinetics, state, field, width, temperature)
    return float((kinetics.polarisation(state) + 1) / 2)


@pytest.mark.parametrize("alpha", [1.0, 1.9])
@pytest.mark.parametrize(("field", "width"), [(1.0, 2e3), (2.0, 300.0), (0.5, 1e5)])
def test_one_pulse_is_the_published_exponential(field, width, alpha, x64):
    t_0 = SET["tau"] * np.exp((SET["E_a"] / field) ** alpha)
    expected = 1 - np.exp(-((width / t_0) ** SET["n"]))
    kinetics = KAIKinetics(**SET, alpha=alpha)
    assert after(kinetics, [field], [width]) == pytest.approx(expected, rel=1e-10)
    assert 1 - after(kinetics, [-field], [width], up=1.0) == pytest.approx(expected, rel=1e-10)


def test_merz_is_the_default():
    assert float(KAIKinetics(**SET).alpha) == 1.0


@pytest.mark.parametrize("polarity", [1, -1])
def test_n_pulses_are_one_n_times_as_long(polarity, x64):
    kinetics, up = KAIKinetics(**SET), 0.0 if polarity > 0 else 1.0
    once = after(kinetics, [polarity * 1.0], [2e3], up)
    assert 0.1 < abs(once - up) < 0.9
    assert after(kinetics, [polarity * 1.0] * 10, [200.0] * 10, up) == pytest.approx(once, abs=1e-13)


def test_without_memory_any_train_is_a_product(x64):
    # n = 1: each step moves the share 1 - exp(-t/t_0) of what is opposed, whatever went before
    fields, widths = [1.0, -1.2, 0.8, -0.9, 1.1], [2e3, 500.0, 4e3, 1e3, 700.0]
    up = 0.0
    for field, width in zip(fields, widths, strict=True):
        kept = np.exp(-width / (SET["tau"] * np.exp(SET["E_a"] / abs(field))))
        up = 1 - (1 - up) * kept if field > 0 else up * kept
    assert after(KAIKinetics(**{**SET, "n": 1.0}), fields, widths) == pytest.approx(up, rel=1e-10)


def test_flipped_domains_start_again_and_the_rest_wears_off(x64):
    # by hand: h grows to g; s = 1 - exp(-g^n) flip; back for half the time the rest of the history is g/2, and the
    # flipped, whose history is 0, flip with 1 - exp(-(g/2)^n)
    kinetics, n = KAIKinetics(**SET), SET["n"]
    g = 600.0 / (SET["tau"] * np.exp(SET["E_a"]))
    s = 1 - np.exp(-(g**n))
    back = s * (1 - np.exp(-((g / 2) ** n)))
    up = s - back
    assert after(kinetics, [1.0, -1.0], [600.0, 300.0]) == pytest.approx(up, rel=1e-10)
    h = g / 2 * (1 - s) / (1 - s + back)  # mean over those that stayed, and those that came with 0
    up = up + (1 - up) * (1 - np.exp(h**n - (h + g) ** n))
    assert after(kinetics, [1.0, -1.0, 1.0], [600.0, 300.0, 600.0]) == pytest.approx(up, rel=1e-10)


def test_nothing_happens_without_field_or_width():
    kinetics = KAIKinetics(**SET)
    state = expose(kinetics, kinetics.init(()), 1.0, 2e3, 300.0)
    for field, width in ((0.0, 1e18), (2.0, 0.0)):
        assert float(expose(kinetics, state, field, width, 300.0).up) == float(state.up)


def test_ten_years_at_a_weak_field_flip_nothing(x64):
    kinetics = KAIKinetics(tau=1e-4, E_a=1.0, n=1.0)
    assert after(kinetics, [0.0125], [3.156e17]) < 1e-12  # (E_a/E) = 80


def test_warmth_acts_as_more_field(x64):
    kinetics = KAIKinetics(**SET, dlnE_dT=-0.002)
    warm = after(kinetics, [1.0], [1e3], temperature=350.0)
    assert warm == pytest.approx(after(kinetics, [np.exp(0.1)], [1e3]), rel=1e-10)


def test_an_array_shares_or_owns_its_parameters():
    kinetics = KAIKinetics(tau=SET["tau"], E_a=jnp.array([3.0, 4.0]), n=SET["n"])
    state = expose(kinetics, kinetics.init((2,)), jnp.array([1.0, 1.1]), 1e3, 300.0)
    alone = [after(KAIKinetics(SET["tau"], E, SET["n"]), [f], [1e3]) for E, f in ((3.0, 1.0), (4.0, 1.1))]
    np.testing.assert_allclose((kinetics.polarisation(state) + 1) / 2, alone, rtol=1e-5)
