"""The Stanford gap model."""

import jax.numpy as jnp

import hfsim
from hfsim.devices import Pulse, apply_train
from hfsim.devices.memristor.stanford import Stanford
from tests.device_cases import Case


def memristor():
    """The published defaults, hotter so that its heat acts."""
    return hfsim.load_card("stanford-gap-2014").build(Stanford, "stanford", R_th=0.3, nodes=24)


def life(memristor):
    """A SET to the smallest gap, a partial RESET, a partial SET, and RESET to the largest gap: ln G."""
    train = Pulse(jnp.array([1.8, -1.3, 1.05, -3.0]), jnp.array([1e4, 300.0, 20.0, 1e5]))
    state = memristor.init(())
    _, ln_G = apply_train(memristor, state, train, record=lambda s, _: jnp.log(memristor.conductance(s)))
    return jnp.sum(ln_G * jnp.array([0.1, 0.3, 0.2, 0.1]))


CASES = [Case("stanford", memristor, life)]
