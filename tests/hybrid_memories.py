"""A small hybrid memory and what its tests do with it."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

import hfsim
from hfsim import hybrid
from hfsim.learning import HybridMemory

HOUR, DAY = 3600.0, 86400.0  # s
SHAPES = {"a": (7, 5), "b": (5, 3)}
STEP = 1 / 0.1 / 512  # the gradient that moves a word by one at a learning rate of 0.1


def make(kind="measured", **changes):
    card = hfsim.load_card("cea-leti-2025-hybrid")
    arguments = {
        "transfer": hybrid.transfer(card, kind),
        "memristor": hybrid.memristor(card),
        "learning_rate": 0.1,
        "probability": 0.4,
        "period": 20,
        "key": jax.random.key(0),
    }
    return HybridMemory(**(arguments | changes))


def normal(seed, shapes, spread=1.0):
    rng = np.random.default_rng(seed)
    return {name: jnp.asarray(spread * rng.normal(size=shape), float) for name, shape in shapes.items()}


def outer_products(factors):
    """Dense gradients of each sample, leading axis samples."""
    return {name: f.x[:, :, None] * f.delta[:, None, :] for name, f in zip(SHAPES, factors, strict=True)}


@eqx.filter_jit
def start(memory, params):
    """(params, state); period, rounding and counting have no part in it, so that one memory may start another."""
    state = memory.init(params)
    return memory.programmed(params, state), state


@eqx.filter_jit
def learn(memory, params, state, gradients):
    """One update a sample: (params, state) at the end, and the params and transfers after each sample."""

    def sample(carry, gradient):
        params, state = carry
        change, state = memory.update(gradient, state, params)
        params = optax.apply_updates(params, change)
        return (params, state), (params, state.transfers)

    return jax.lax.scan(sample, (params, state), gradients)


@eqx.filter_jit
def learn_block(memory, params, state, factors):
    change, state = memory.update(None, state, params, factors=factors)
    return optax.apply_updates(params, change), state


absorb = eqx.filter_jit(lambda memory, state, factors, valid: memory.absorb(state, factors, valid))
conductances = eqx.filter_jit(lambda memory, weights: memory.conductances(weights))
read = eqx.filter_jit(lambda memory, params, state: memory.read(params, state))
aged = eqx.filter_jit(lambda memory, params, state, seconds, kelvin: memory.wait(params, state, seconds, kelvin))


def wait(memory, params, state, seconds, temperature=300.0):
    return aged(memory, params, state, jnp.float32(seconds), jnp.float32(temperature))


def words(state):
    return [np.asarray(memory.words) for memory in state.weights]


def counts(state):
    return [np.asarray(memory.updates) for memory in state.weights]


def assert_same(a, b):
    """Equal to the bit: words, counts and everything else of two trees."""
    leaves = [
        [jax.random.key_data(x) if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else x for x in jax.tree.leaves(t)]
        for t in (a, b)
    ]
    jax.tree.map(np.testing.assert_array_equal, *leaves)
