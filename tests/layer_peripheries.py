"""Peripheries of small layers that the tests of hfsim.nn share."""

from hfsim.crossbar import ADC, DAC, Differential, Kernel, SingleEnded
from hfsim.nn import CMOReadNoise, Periphery

WINDOW = dict(G_min=9.0, G_max=88.2)
V_READ = 0.2


def read_noise(factor=5.0) -> CMOReadNoise:
    """The law of CMO/HfOx an hour after programming, enlarged."""
    return CMOReadNoise(K_read=0.0277, read_factor=factor, t_read=1000.0, age=3600.0)


def smooth(**options) -> Periphery:
    """Nothing rounded, nothing clipped, no noise: the product is the exact one, and differentiable."""
    return make(DAC(range=1e3), ADC(range=1e6), noise=None, **options)


def coarse(*, tile=None, **options) -> Periphery:
    """Inputs of few bits, outputs in steps below the noise, pairs, and the chip's own way back."""
    options = {"backward": "analog", "encoding": Differential(**WINDOW), **options}
    return make(DAC(bits=6, range=3.0), ADC(bits=10, range=40.0), noise=read_noise(), tile=tile, **options)


def make(dac, adc, *, noise, tile=None, encoding=None, **options) -> Periphery:
    """A periphery of these converters, single-ended unless told otherwise."""
    encoding = SingleEnded(**WINDOW) if encoding is None else encoding
    return Periphery(Kernel(encoding=encoding, dac=dac, adc=adc, V_read=V_READ, **options), noise, tile)
