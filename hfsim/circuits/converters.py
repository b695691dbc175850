"""Converters between numbers and a crossbar's voltages and currents.

A converter of b bits has the codes -n ... n, n = 2^(b-1) - 1, and zero is one of them (mid-tread); an unsigned one has
0 ... 2^b - 1. With u = x/range, and Q the nearest code over n, clipped to the codes:

    DAC    v = q + c q^3 + sigma N,      q = Q(x/range)              (fraction of the read voltage)
    ADC    J = range Q([a I + o + sigma N]/range)                    (uA)

`bits` None leaves out the rounding and keeps the range. What rounding means for gradients is the quantiser's to say;
clipping is exact: no gradient beyond the range. Least significant bits of +-1/2: no missing codes, no hysteresis.
"""

import abc

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Key

from hfsim.draws import row_normals, stream
from hfsim.errors import InputError
from hfsim.estimators import AbstractEstimator, StraightThrough
from hfsim.parameters import PhysicalModel, parameter


class AbstractQuantiser(eqx.Module):
    """How values become codes, and what the gradient of that is; `estimator` is that of a single rounding."""

    estimator: eqx.AbstractVar[AbstractEstimator]

    @abc.abstractmethod
    def __call__(self, x: Float[Array, "..."], step: Float[Array, "..."], low: int, high: int) -> Float[Array, "..."]:
        """step clip(round(x/step), low, high)."""


class Rounding(AbstractQuantiser):
    """Rounding by an estimator: exact (no gradient), straight-through, or soft.

    Straight-through, the derivative in x is 1 inside the codes and 0 outside; that in the step is round(x/step) -
    x/step inside and the last code outside.
    """

    estimator: AbstractEstimator = eqx.field(default_factory=StraightThrough)

    def __call__(self, x, step, low, high):
        return step * self.estimator.round(clipped(x / step, low, high))


class LearnedStepSize(AbstractQuantiser):
    """Straight-through rounding whose step has a gradient scaled by 1/sqrt(N x last code).

    N is the number of values of one vector that share the step. S. K. Esser et al., Learned Step Size Quantization,
    ICLR (2020). The scale keeps the update of a step in proportion to those of the values; forward it changes nothing.
    """

    def __call__(self, x, step, low, high):
        features = np.shape(x)[-1] if np.ndim(x) else 1  # the article's N leaves out the batch
        share = 1 / np.sqrt(max(features / np.size(step), 1.0) * high)
        return Rounding()(x, _scaled_gradient(step, share), low, high)

    @property
    def estimator(self):
        return StraightThrough()


def _scaled_gradient(x, share: float):
    return jax.lax.stop_gradient(x) + share * (x - jax.lax.stop_gradient(x))


def clipped(x, low, high):
    """x inside [low, high], the bounds included in where its derivative is 1."""
    return jnp.where(x > high, high, jnp.where(x < low, low, x))


class _Converter(PhysicalModel):
    """What both converters have in common."""

    bits: int | None = eqx.field(static=True, kw_only=True, default=None)
    signed: bool = eqx.field(static=True, kw_only=True, default=True)
    quantiser: AbstractQuantiser = eqx.field(kw_only=True, default_factory=Rounding)

    def __check_init__(self):
        least = 2 if self.signed else 1
        if self.bits is not None and (not isinstance(self.bits, int) or not least <= self.bits <= 24):
            raise InputError(f"{type(self).__name__}.bits", f"be an integer from {least} to 24, or None", self.bits)

    @property
    def codes(self) -> tuple[int, int]:
        """The first and the last code."""
        if self.bits is None:
            return (-1 if self.signed else 0), 1
        return (-(2 ** (self.bits - 1)) + 1, 2 ** (self.bits - 1) - 1) if self.signed else (0, 2**self.bits - 1)


class DAC(_Converter):
    """Digital input to the voltage of a word line, as a fraction of the read voltage."""

    range: Float[Array, ""] = parameter(unit="1", bounds=(1e-6, 1e6), doc="largest input", default=1.0)
    cubic: Float[Array, ""] = parameter(
        unit="1", bounds=(-0.3, 10.0), doc="third-order non-linearity c at full scale", default=0.0
    )
    sigma: Float[Array, ""] | None = parameter(
        unit="1", bounds=(0.0, 1.0), doc="deviation of the voltage over full scale", default=None
    )

    def code(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        """q: the code nearest to x/range, over the last code."""
        low, high = self.codes
        if self.bits is None:
            return clipped(x / self.range, low, high)
        return self.quantiser(x, self.range / high, low, high) / self.range

    def drive(self, code, key: Key[Array, ""] | None = None, first=0) -> Float[Array, "rows lines"]:
        """v at a code; `key` draws the noise of row `first` + i of the batch."""
        v = code * (1 + self.cubic * code**2)
        if key is None or self.sigma is None:
            return v
        return v + self.sigma * row_normals(stream(key, "dac"), first, v.shape, v.dtype)


class ADC(_Converter):
    """Current of a bit line to a number, still in uA."""

    range: Float[Array, "..."] = parameter(
        unit="uA", bounds=(1e-6, 1e9), doc="current of the last code", logarithmic=True
    )
    gain: Float[Array, "..."] = parameter(unit="1", bounds=(0.0, 1e3), doc="gain a of the input stage", default=1.0)
    offset: Float[Array, "..."] = parameter(unit="uA", bounds=(-1e6, 1e6), doc="offset o", default=0.0)
    sigma: Float[Array, "..."] | None = parameter(
        unit="uA", bounds=(0.0, 1e6), doc="deviation of a conversion", default=None
    )

    def amplified(self, current, variance=None):
        """a I + o [uA], and the variance [uA2] of it where I has `variance`; None where there is no noise at all."""
        noise = None if self.sigma is None else jnp.square(self.sigma)
        if variance is not None:
            variance = jnp.square(self.gain) * variance
            noise = variance if noise is None else noise + variance
        return self.gain * current + self.offset, noise

    def __call__(self, current: Float[Array, "..."]) -> Float[Array, "..."]:
        """What is read [uA] of an amplified current [uA]."""
        low, high = self.codes
        if self.bits is None:
            return clipped(current, low * self.range, high * self.range)
        return self.quantiser(current, self.range / high, low, high)

    def saturates(self, current) -> Bool[Array, "..."]:
        """Whether an amplified current [uA] lies beyond the codes; of one sign, beyond the last alone."""
        return (jnp.abs(current) if self.signed else current) > self.range
