"""Statistical retention models, each over its marginals and the trajectory at a time where its draws stand still."""

import jax
import jax.numpy as jnp

import hfsim
from hfsim.devices.retention import CMORetention, PCMRetention, PolynomialRetention
from tests.device_cases import Case


def cmo():
    return CMORetention.from_card(hfsim.load_card("cmo-hfox-2025"), 2.0, clip=False)


def pcm():
    return PCMRetention.from_card(hfsim.load_card("pcm-nandakumar-2019"), clip=False)


def polynomial():
    return PolynomialRetention.from_card(hfsim.load_card("wan-2022-reram"), clip=False)


def life_of(seconds):
    """Programming, moments after a warm day, and the trajectory after `seconds`."""

    def life(model):
        levels = jnp.array([0.1, 0.1, 0.1, 1.5, 8.0, 22.0], jnp.result_type(float))
        state = model.program(model.init((6,), jax.random.key(2)), levels)
        warm = model.wait(state, 3e3, 320.0)
        late = model.wait(state, seconds)
        moments = model.mean(warm) + model.sigma(warm)
        return jnp.sum(moments + model.conductance(late) + model.read(late, jax.random.key(3))) / 100

    return life


CASES = [
    # beyond u = 64 the Brownian path is at its end, whatever the parameters
    Case("cmo-retention", cmo, life_of(1e29)),
    # the lowest level meets every ceiling of the exponent's law, the highest every floor
    Case("pcm-retention", pcm, life_of(1e5)),
    Case("wan-retention", polynomial, life_of(3e6), insensitive=("G_low", "G_high")),
]
