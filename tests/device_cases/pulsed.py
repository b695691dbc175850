"""Pulsed devices: each model with pulses one by one, many at once, a rest and a read."""

import jax
import jax.numpy as jnp

from hfsim.devices import Pulse
from hfsim.devices.pulsed import (
    AdditiveNoise,
    CompoundNoise,
    ConstantStep,
    ExponentialStep,
    LinearStep,
    PiecewiseStep,
    PowerStep,
    ProportionalNoise,
    SoftBounds,
    StepTable,
    WeightDecay,
)
from tests.device_cases import Case

COMMON = {"dw_min": 0.1, "up_down": 0.1, "w_min": -1.0, "w_max": 1.2, "G_0": 50.0, "g": 30.0}
READ = {"w_ref": 0.1, "sigma_write": 0.02}


def decay():
    return WeightDecay(tau=100.0, w_0=-0.3, D=1e-4, E_a=0.6)


MODELS = {
    "constant_step": lambda: ConstantStep(**COMMON, noise=AdditiveNoise(0.5), decay=decay(), **READ),
    "linear_step": lambda: LinearStep(
        **COMMON, noise=ProportionalNoise(0.5), slope_up=0.4, slope_down=-0.2, decay=decay(), **READ
    ),
    "soft_bounds": lambda: SoftBounds(**COMMON, noise=AdditiveNoise(0.8), decay=decay(), **READ),
    "exponential_step": lambda: ExponentialStep(
        **COMMON,
        noise=CompoundNoise(0.5, 0.02, 0.05),
        A_up=0.3,
        A_down=-0.4,
        gamma_up=1.5,
        gamma_down=0.8,
        decay=decay(),
        **READ,
    ),
    "power_step": lambda: PowerStep(
        **COMMON, noise=ProportionalNoise(0.5), gamma_up=1.4, gamma_down=0.7, decay=decay(), **READ
    ),
    "piecewise_step": lambda: PiecewiseStep(
        **COMMON,
        noise=AdditiveNoise(0.5),
        table=StepTable([0.8, 1.2, 1.0, 0.5], [0.3, 0.9, 1.1, 1.4]),
        decay=decay(),
        **READ,
    ),
}


def life(device):
    """One pulse, trains of up to 4 each way that reach the bounds, a rest at 57 C, a read: per 30 uS."""
    key = jax.random.key(3)
    state = device.program(device.init((5,), key), jnp.array([-0.6, -0.95, 0.2, 0.5, 1.1]), jax.random.fold_in(key, 1))
    state = device.apply(state, Pulse(1.0, 10.0), jax.random.fold_in(key, 2))
    state = device.pulses(state, jnp.array([1, -4, 4, -2, 3]), jax.random.fold_in(key, 3), limit=4)
    state = device.wait(state, 20.0, 330.0)
    factors = jnp.arange(1.0, 6.0) / 15  # no two devices may cancel
    read = device.conductance(state) / 30.0 + device.weight(state) + 0.1 * device.current(state, 0.2) / 30.0
    return jnp.sum(factors * read)


CASES = [Case(name, model, life, tolerance=3e-4, step=1e-6) for name, model in MODELS.items()]
