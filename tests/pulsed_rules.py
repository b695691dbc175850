"""Ideal and real pulsed devices, and what tests of learning rules do with them."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from hfsim.devices.pulsed import AdditiveNoise, ConstantStep, SoftBounds
from hfsim.learning import Factors, PulsedSynapse

INPUTS, OUTPUTS = 5, 4
DW = 2.0**-9
WIDE = {"w_min": -8.0, "w_max": 8.0, "G_0": 1000.0, "g": 100.0}
WINDOW = {"w_min": -1.0, "w_max": 1.0, "G_0": 48.6, "g": 39.6}
QUIET = AdditiveNoise(0.0)
IDEAL = PulsedSynapse(ConstantStep(dw_min=DW, up_down=0.0, **WIDE, noise=QUIET))
CMO = PulsedSynapse(SoftBounds(dw_min=0.0956, up_down=-0.22, **WINDOW, noise=AdditiveNoise(0.86), w_ref=-0.22))
KEY = jax.random.key(5)


def factors(samples, seed=0, drift=0.0, inputs=INPUTS, outputs=OUTPUTS):
    rng = np.random.default_rng(seed)
    x, delta = rng.normal(size=(samples, inputs)) + drift, 0.5 * rng.normal(size=(samples, outputs)) + drift
    return Factors(jnp.asarray(x, jnp.float32), jnp.asarray(delta, jnp.float32))


@eqx.filter_jit
def started(rule, w):
    return rule.init((w,))


@eqx.filter_jit
def updated(rule, state, params, given):
    change, state = rule.update(None, state, params, factors=[given])
    return jax.tree.map(jnp.add, params, change), state


@eqx.filter_jit
def learned(rule, state, given, batch):
    """(state, weights after each batch) of all factors."""
    parts = jax.tree.map(lambda f: f.reshape(-1, batch, f.shape[-1]), given)

    def one(carry, part):
        state, params = carry
        change, state = rule.update(None, state, params, factors=[part])
        params = jax.tree.map(jnp.add, params, change)
        return (state, params), params[0]

    (state, _), weights = jax.lax.scan(one, (state, (rule.weight(state.arrays[0]),)), parts)
    return state, weights


def zeros(value=0.0):
    return jnp.full((INPUTS, OUTPUTS), value, jnp.float32)


def gradients(given, batch=1):
    """Cumulative sums of outer products after each batch, float64."""
    x, delta = (np.asarray(side, np.float64).reshape(-1, batch, side.shape[-1]) for side in given)
    return np.cumsum(np.einsum("bni,bnj->bij", x, delta), axis=0)
