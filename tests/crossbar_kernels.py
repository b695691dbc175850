"""Small arrays, encodings and kernels that the tests of the crossbar share."""

import jax
import jax.numpy as jnp
import numpy as np

from hfsim.crossbar import (
    ADC,
    DAC,
    BitSerial,
    BitSliced,
    Cells,
    Differential,
    Kernel,
    OnePass,
    ReferenceColumn,
    SingleEnded,
    TwoPasses,
)

WINDOW = dict(G_min=9.0, G_max=88.2)
V_READ = 0.2
LAST = 15  # last code of the inputs (5 bits with a sign) and of the sliced weights: numbers on this grid are exact
ROWS, OUTPUTS = 6, 4


def encodings():
    """Every encoding, in both of its forms."""
    return {
        "single": SingleEnded(**WINDOW),
        "single, digital": SingleEnded(**WINDOW, subtracted="digital"),
        "reference": ReferenceColumn(**WINDOW),
        "reference, digital": ReferenceColumn(**WINDOW, subtracted="digital"),
        "pair, even": Differential(**WINDOW),
        "pair, first": Differential(**WINDOW, positive="first"),
        "sliced pairs": BitSliced(Differential(**WINDOW), 2, 2),
        "sliced single": BitSliced(SingleEnded(**WINDOW, subtracted="digital"), 4, 1),
    }


def inputs():
    """Every way to apply a vector, with a converter for it."""
    return {
        "one pass": (OnePass(), DAC(bits=5)),
        "two passes": (TwoPasses(), DAC(bits=5)),
        "two passes, unsigned": (TwoPasses(), DAC(bits=4, signed=False)),
        "bit by bit": (BitSerial(), DAC(bits=5)),
        "bits and signs": (BitSerial(signs=False), DAC(bits=5)),
    }


def grid(seed, *shape):
    """Numbers in [-1, 1] on the grid of 1/15, both ends among them."""
    codes = np.random.default_rng(seed).integers(-LAST, LAST + 1, shape)
    codes.flat[0], codes.flat[-1] = LAST, -LAST
    return codes / LAST


def make(encoding, *, dac=None, adc=None, **options) -> Kernel:
    """A kernel; without converters given, one that rounds nothing and whose range nothing reaches."""
    return Kernel(
        encoding=encoding,
        dac=DAC() if dac is None else dac,
        adc=ADC(range=1e6) if adc is None else adc,
        V_read=V_READ,
        **options,
    )


def noisy_cells(encoding, W, seed=3) -> Cells:
    """An array that holds W, with another deviation of each device."""
    G = encoding.targets(jnp.asarray(W, float))
    return Cells(G, jnp.asarray(np.random.default_rng(seed).uniform(0.2, 1.5, G.shape), G.dtype))


product = jax.jit(lambda kernel, cells, x, key=None, first=0: kernel(cells, x, key, first=first))
transposed = jax.jit(lambda kernel, cells, delta, key=None, first=0: kernel.transposed(cells, delta, key, first=first))


def assert_same_moments(one, two, sigmas=5.0):
    """Means and covariances of samples (n, outputs) agree within their errors."""
    one, two = np.asarray(one, np.float64), np.asarray(two, np.float64)
    C, D = np.cov(one.T), np.cov(two.T)
    error = np.sqrt(np.diag(C) / len(one) + np.diag(D) / len(two))
    assert np.all(np.abs(one.mean(0) - two.mean(0)) < sigmas * error)
    spread = np.outer(np.diag(C), np.diag(C)) + C**2
    assert np.all(np.abs(C - D) < sigmas * np.sqrt(spread * (1 / len(one) + 1 / len(two))))
