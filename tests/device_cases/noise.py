"""Read noise: what is smooth of random telegraph noise, and a path of 1/f noise."""

import jax
import jax.numpy as jnp

from hfsim.devices.noise import FlickerNoise, RandomTelegraph
from tests.device_cases import Case


def telegraph():
    """A trap of the order of the read time."""
    return RandomTelegraph(tau_c=2e-3, tau_e=5e-4, A_HRS=1.0, A_LRS=1e-3, G_HRS=1.0, G_LRS=100.0)


def statistics(noise):
    """Probabilities at two times, spectrum, amplitude on the slope of its law, a conductance."""
    probability = noise.probability(1.0, 3e-4) + noise.probability(0.0, 1e-3)
    read = noise.conductance(jnp.ones((1,)), jnp.asarray(5.0, noise.tau_c.dtype))
    ends = noise.amplitude(0.1) + 100 * noise.amplitude(1e3)
    return probability + 100 * noise.spectrum(300.0) + noise.amplitude(20.0) + read / 10 + ends + noise.variance()


def flicker():
    """Noise of 1 % per e-fold of frequency."""
    return FlickerNoise(K_0=0.5, G_0=50.0, power=0.7, tau_min=8e-4, tau_max=10.0, components=6)


def path(noise):
    """A path of three steps of different lengths, its spectrum, and the deviation of a read."""
    key = jax.random.key(0)
    state = noise.init((), jax.random.fold_in(key, 0))
    for i, seconds in enumerate((1e-3, 3e-2, 1.0)):
        state = noise.step(state, seconds, jax.random.fold_in(key, i + 1))
    return noise.conductance(state, 20.0) / 20 + noise.spectrum(5.0, 20.0) + noise.sigma(20.0, 1e3, 1e-6)


CASES = [
    Case("random_telegraph", telegraph, statistics),
    Case("flicker", flicker, path),
]
