"""Devices that are dead or stuck: their shares, what they do, the slope of a share."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array, Float

from hfsim.devices import Pulse
from hfsim.devices.interface import AbstractMemristor
from hfsim.devices.variability import Faults, StuckDevices
from hfsim.errors import InputError
from hfsim.estimators import Exact, Soft
from hfsim.parameters import parameter

DEVICES = 20_000


class Counter(AbstractMemristor):
    """A memristor whose conductance counts pulses and seconds."""

    G: Float[Array, "..."] = parameter(unit="uS", bounds=(0.0, None), doc="start")

    def init(self, shape, key=None):
        return jnp.broadcast_to(self.G, shape)

    def apply(self, state, pulse, key=None, *, temperature=300.0):
        return state + pulse.voltage

    def wait(self, state, seconds, temperature=300.0):
        return state + seconds

    def current(self, state, voltage):
        return state * voltage

    def conductance(self, state):
        return state


FAULTS = dict(dead=0.01, stuck_low=0.02, stuck_high=0.03, G_low=1.5, G_high=120.0)


def test_failed_devices_stay_where_they_are_and_the_others_work(key):
    device = Faults(**FAULTS).sample(Counter(10.0), (DEVICES,), key, estimator=Exact())
    state = device.init((DEVICES,))
    before = np.asarray(device.conductance(state))
    for G, share in ((0.0, 0.01), (1.5, 0.02), (120.0, 0.03), (10.0, 0.94)):
        assert np.mean(before == G) == pytest.approx(share, abs=4 * np.sqrt(share * (1 - share) / DEVICES))
    state = device.wait(device.apply(state, Pulse(2.0, 10.0)), 3.0)
    after = np.asarray(device.conductance(state))
    failed = before != 10.0
    np.testing.assert_array_equal(after[failed], before[failed])
    np.testing.assert_array_equal(after[~failed], 15.0)
    np.testing.assert_allclose(device.current(state, 0.2), 0.2 * after, rtol=1e-6)


def test_more_failures_fail_the_same_devices_and_more(key):
    few, many = (
        Faults(**{**FAULTS, "dead": dead}).sample(Counter(10.0), (DEVICES,), key, estimator=Exact())
        for dead in (0.01, 0.1)
    )
    assert np.all(np.asarray(many.healthy) <= np.asarray(few.healthy))


def test_none_and_all_may_fail(key):
    none = Faults(0.0, 0.0, 0.0, 1.5, 120.0).sample(Counter(10.0), (DEVICES,), key, estimator=Exact())
    every = Faults(1.0, 0.0, 0.0, 1.5, 120.0).sample(Counter(10.0), (DEVICES,), key, estimator=Exact())
    assert np.all(none.healthy == 1.0) and np.all(none.G_stuck == 0.0)
    assert np.all(every.healthy == 0.0) and np.all(every.G_stuck == 0.0)


def test_the_estimator_gives_the_fractions_their_gradient(key):
    # mean conductance of many devices: d/d stuck_high = G_high - G of the healthy; a logistic of width 0.02 sees it
    def mean(fraction, estimator):
        faults = Faults(**{**FAULTS, "stuck_high": fraction})
        device = faults.sample(Counter(10.0), (DEVICES,), key, estimator=estimator)
        return jnp.mean(device.conductance(device.init((DEVICES,))))

    assert float(jax.grad(mean)(0.3, Exact())) == 0.0
    slope = float(jax.grad(mean)(0.3, Soft(0.02)))
    assert slope == pytest.approx(110.0, rel=0.1)


def test_fractions_above_one_in_all_are_refused():
    with pytest.raises(InputError, match=r"`dead \+ stuck_low \+ stuck_high` must be at most 1"):
        Faults(0.5, 0.4, 0.3, 1.0, 100.0)


def test_a_mask_may_be_given_by_hand():
    device = StuckDevices(Counter(10.0), jnp.array([1.0, 0.0]), jnp.array([0.0, 7.0]))
    np.testing.assert_array_equal(device.conductance(device.init((2,))), [10.0, 7.0])
