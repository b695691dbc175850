"""Waveforms: constant pieces are exact, ramps converge with the square of their steps."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hfsim.devices import Pulse, apply_train, ferroelectric_capacitor, piecewise_linear, triangle
from hfsim.errors import InputError


@pytest.fixture
def capacitor(card):
    return ferroelectric_capacitor(card)


def test_constant_pieces_are_one_pulse_and_edges_none():
    wave = piecewise_linear([0.0, 0.0, 40.0, 40.0, 100.0], [0.0, 2.0, 2.0, 0.0, 0.0])
    np.testing.assert_allclose(wave.train.voltage, [2.0, 0.0])
    np.testing.assert_allclose(wave.train.width, [40.0, 60.0])
    np.testing.assert_allclose(wave.time, [40.0, 100.0])


def test_a_ramp_is_cut_at_its_middles():
    wave = piecewise_linear([0.0, 40.0], [0.0, 2.0], steps=4)
    np.testing.assert_allclose(wave.train.voltage, [0.25, 0.75, 1.25, 1.75])
    np.testing.assert_allclose(wave.voltage, [0.5, 1.0, 1.5, 2.0])


def test_the_error_of_a_ramp_falls_with_the_square_of_the_steps(capacitor):
    # Setup: 0 to 1.6 V in 100 us from saturation down, about half switched. Reference: 6,400 steps.
    def switched(steps):
        wave = piecewise_linear([0.0, 1e5], [0.0, 1.0], steps=steps)
        return float(jax.jit(lambda c: c.polarisation(apply_train(c, c.init(()), wave.train)[0]))(capacitor))

    reference = switched(6400)
    assert abs(reference) < 0.9 * float(capacitor.P_r)
    errors = [abs(switched(n) - reference) for n in (25, 100)]
    assert errors[1] < 1e-3 * 2 * float(capacitor.P_r)  # as stated in the module
    assert 8 < errors[0] / max(errors[1], 1e-5)  # 16 in theory


def test_a_triangle_reaches_its_amplitude_and_comes_back():
    wave = triangle(3.0, 1e5, steps=40, cycles=2)
    assert wave.voltage.shape == (80,) and float(wave.time[-1]) == pytest.approx(2e5)
    np.testing.assert_allclose(np.asarray(wave.voltage)[[9, 19, 29, 39]], [3.0, 0.0, -3.0, 0.0], atol=1e-6)
    np.testing.assert_allclose(wave.train.voltage[0], 3.0 / 20, rtol=1e-6)  # the middle of the first tenth


def test_corners_may_be_traced():
    def middle(top):
        return jnp.sum(piecewise_linear(jnp.array([0.0, 10.0]), jnp.stack([0.0 * top, top]), steps=5).train.voltage)

    assert float(jax.jit(jax.grad(middle))(2.0)) == pytest.approx(2.5)


@pytest.mark.parametrize(
    ("times", "voltages", "steps", "match"),
    [
        ([0.0], [1.0], 5, "two corners"),
        ([0.0, 1.0], [1.0], 5, "two corners"),
        ([1.0, 0.0], [1.0, 2.0], 5, "rise"),
        ([0.0, 1.0], [1.0, 2.0], 0, "`steps` must"),
    ],
)
def test_wrong_corners_are_refused(times, voltages, steps, match):
    with pytest.raises(InputError, match=match):
        piecewise_linear(times, voltages, steps=steps)


def test_a_waveform_is_a_train_of_pulses():
    assert isinstance(triangle(1.0, 10.0, steps=8).train, Pulse)
