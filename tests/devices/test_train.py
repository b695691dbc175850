"""Trains of pulses: the same as one pulse after the other, in any length, with little memory in reverse mode."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hfsim.devices import Pulse, apply_train, checkpointed_scan, ferroelectric_capacitor
from hfsim.errors import InputError


@pytest.fixture
def capacitor(card):
    return ferroelectric_capacitor(card, nodes=16)


@pytest.mark.parametrize("length", [1, 2, 16, 17, 23, 24, 25])
def test_any_length_is_the_plain_scan(length):
    # short ones, squares, other products, and primes, which leave a rest
    def step(carry, x):
        return carry * 0.9 + x, carry

    xs = jnp.arange(1.0, length + 1)
    expected = jax.lax.scan(step, 1.0, xs)
    got = checkpointed_scan(step, 1.0, xs, length=length)
    for a, b in zip(jax.tree.leaves(expected), jax.tree.leaves(got), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_train_is_its_pulses_in_order(capacitor):
    voltages, widths = np.array([1.4, -1.2, 1.1, -1.5, 0.9]), np.array([50.0, 20.0, 90.0, 10.0, 300.0])
    train = jax.jit(
        lambda c, p: apply_train(c, c.init(()), p, record=lambda s, pulse: (c.polarisation(s), pulse.voltage))
    )
    state, (seen, at) = train(capacitor, Pulse(voltages, widths))
    one = jax.jit(lambda c, s, v, w: c.apply(s, Pulse(v, w)))
    expected, trace = capacitor.init(()), []
    for voltage, width in zip(voltages, widths, strict=True):
        expected = one(capacitor, expected, voltage, width)
        trace.append(float(capacitor.polarisation(expected)))
    np.testing.assert_allclose(seen, trace, atol=1e-5)
    np.testing.assert_allclose(at, voltages, rtol=1e-6)
    np.testing.assert_allclose(state.film.up, expected.film.up, atol=1e-6)


def test_one_width_serves_all_pulses(capacitor):
    several = apply_train(capacitor, capacitor.init(()), Pulse(jnp.ones(4) * 1.3, 25.0))[0]
    once = capacitor.apply(capacitor.init(()), Pulse(1.3, 100.0))
    np.testing.assert_allclose(several.film.up, once.film.up, atol=1e-5)


def test_reverse_mode_keeps_the_square_root_of_the_train(capacitor):
    # temporaries of the compiled gradient: 16 times the pulses may take 4 times the states, plus what does not grow
    def temporaries(length):
        def total(c):
            pulses = Pulse(jnp.where(jnp.arange(length) % 2 == 0, 1.3, -1.2), 30.0)
            return jnp.sum(c.polarisation(apply_train(c, c.init((64,)), pulses)[0]))

        compiled = jax.jit(jax.grad(lambda c: total(c))).lower(capacitor).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    state = 3 * 16 * 64 * 4
    short, long = temporaries(64), temporaries(1024)
    assert long - short < 4.5 * 24 * state, (short, long)  # from 8 + 8 to 32 + 32 states and their recomputation


@pytest.mark.parametrize(
    ("pulse", "match"),
    [
        (Pulse(1.0, 10.0), "have a leading axis"),
        (Pulse(np.ones((3, 2)), np.ones(2)), "one width for each amplitude"),
        (Pulse(np.ones(0), 1.0), "at least one pulse"),
    ],
)
def test_what_is_no_train_is_refused(capacitor, pulse, match):
    with pytest.raises(InputError, match=match):
        apply_train(capacitor, capacitor.init(()), pulse)


def test_a_raw_key_is_refused(capacitor):
    with pytest.raises(InputError, match="typed key"):
        apply_train(capacitor, capacitor.init(()), Pulse(np.ones(2), 1.0), jax.random.PRNGKey(0))


def test_the_gradient_is_that_of_the_plain_scan(capacitor, x64, card):
    capacitor = ferroelectric_capacitor(card, nodes=16)
    pulses = Pulse(jnp.tile(jnp.array([1.3, -1.2, 1.1, -0.9, 1.2]), 4)[:17], 40.0)  # four chunks and a rest

    def plain(c):
        state = jax.lax.scan(lambda s, v: (c.apply(s, Pulse(v, 40.0)), None), c.init(()), pulses.voltage)[0]
        return c.polarisation(state)

    def chunked(c):
        return c.polarisation(apply_train(c, c.init(()), pulses)[0])

    one, two = (jax.jit(jax.grad(f))(capacitor) for f in (plain, chunked))
    for a, b in zip(jax.tree.leaves(eqx.filter(one, eqx.is_array)), jax.tree.leaves(two), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)
