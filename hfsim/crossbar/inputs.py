"""How numbers reach the word lines: scaling, signs, bits.

A vector x is divided by its own scale, converted, and applied in one or more passes of voltages; the outputs of the
passes are added with their factors, and the sum is multiplied by the scale.

    OnePass      v = DAC(x): lines are driven with both signs
    TwoPasses    v = DAC(max(x, 0)), then DAC(max(-x, 0)), the second subtracted: for drivers of one sign
    BitSerial    one pass per bit of the code's magnitude, each line at full scale or at rest, with the sign of x

Bits have no derivative: straight-through, bit k carries the share f_k/sum(f^2) of the gradient, f_k being its factor.
"""

import abc
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from hfsim.circuits.converters import DAC
from hfsim.draws import address
from hfsim.errors import InputError
from hfsim.estimators import with_gradient_of
from hfsim.parameters import PhysicalModel, parameter


class Passes(NamedTuple):
    """What is applied: codes as the digital side knows them and voltages as the lines see them, over full scale."""

    factor: Float[Array, " passes"]
    code: Float[Array, "passes batch rows"]
    drive: Float[Array, "passes batch rows"]


class AbstractInputs(eqx.Module):
    """How signs and bits are applied."""

    @abc.abstractmethod
    def codes(self, dac: DAC, x: Float[Array, "batch rows"]) -> tuple[Array, Float[Array, "passes batch rows"]]:
        """Factors and codes of the passes for inputs that are scaled to the converter's range."""

    def __call__(self, dac: DAC, x: Float[Array, "batch rows"], key: Key[Array, ""] | None, first) -> Passes:
        """The passes of a batch; `key` draws the converter's noise, of row `first` + i."""
        factor, code = self.codes(dac, x)
        if key is None:
            return Passes(factor, code, dac.drive(code))
        keys = jax.vmap(lambda i: address(key, i))(jnp.arange(len(factor)))
        return Passes(factor, code, jax.vmap(lambda c, k: dac.drive(c, k, first))(code, keys))


class OnePass(AbstractInputs):
    """Both signs at once."""

    def codes(self, dac, x):
        return jnp.ones(1, x.dtype), dac.code(x)[None]


class TwoPasses(AbstractInputs):
    """First what is positive, then what is negative."""

    def codes(self, dac, x):
        parts = jnp.stack([jnp.where(x > 0, x, 0), jnp.where(x > 0, 0, -x)])
        return jnp.asarray([1.0, -1.0], x.dtype), dac.code(parts)


class BitSerial(AbstractInputs):
    """Bit after bit, most significant first; `signs` False takes a second set of passes for negative inputs."""

    signs: bool = eqx.field(static=True, default=True)

    def codes(self, dac, x):
        if dac.bits is None or not dac.signed:
            raise InputError("dac", "be signed and have bits for BitSerial inputs", f"bits={dac.bits}")
        bits, last = dac.bits - 1, dac.codes[1]
        factor = jnp.asarray([2.0**k / last for k in reversed(range(bits))], x.dtype)
        smooth = dac.code(x)
        if not self.signs:
            factor = jnp.concatenate([factor, -factor])
        share = (factor / jnp.sum(factor**2))[:, None, None]
        code = jnp.round(smooth * last).astype(jnp.int32)
        shifts = jnp.asarray(list(reversed(range(bits))))[:, None, None]
        bit = ((jnp.abs(code) >> shifts) & 1).astype(x.dtype)
        if self.signs:
            plane = jnp.sign(code).astype(x.dtype) * bit
        else:
            plane = jnp.concatenate([jnp.where(code > 0, bit, 0), jnp.where(code < 0, bit, 0)])
        return factor, with_gradient_of(smooth * share, plane)


class AbstractScaling(PhysicalModel):
    """How each input vector is brought into the converter's range."""

    @abc.abstractmethod
    def scale(self, x: Float[Array, "batch rows"]) -> Float[Array, "batch 1"]:
        """What each vector is divided by, and its output multiplied by."""


class Unscaled(AbstractScaling):
    """Vectors as they are."""

    def scale(self, x):
        return jnp.ones_like(x[:, :1])


class LargestInput(AbstractScaling):
    """Each vector by its largest magnitude over the converter's range; a vector of zeros is left alone."""

    range: Float[Array, ""] = parameter(unit="1", bounds=(1e-6, 1e6), doc="magnitude it is brought to", default=1.0)

    def scale(self, x):
        most = jnp.max(jnp.abs(x), axis=-1, keepdims=True)
        return jnp.where(most > 0, most / self.range, 1.0)


class AverageInput(AbstractScaling):
    """Each vector by `factor` times its mean magnitude: outliers are clipped, the rest gets more codes.

    The mean is over what is not zero, so that the lines that pad a tile have no say.
    """

    factor: Float[Array, ""] = parameter(
        unit="1", bounds=(1e-3, 1e3), doc="full scale over mean magnitude", default=3.0
    )

    def scale(self, x):
        used = jnp.maximum(jnp.sum(x != 0, axis=-1, keepdims=True), 1)
        mean = self.factor * jnp.sum(jnp.abs(x), axis=-1, keepdims=True) / used
        return jnp.where(mean > 0, mean, 1.0)


class IterativeBound(eqx.Module):
    """Doubling of a vector's scale, and reading it again, while one of its outputs saturates its converter.

    The number of doublings is a decision and has no gradient; `most` of them at the most.
    """

    most: int = eqx.field(static=True, default=5)

    def __check_init__(self):
        if not isinstance(self.most, int) or not 1 <= self.most <= 20:
            raise InputError("IterativeBound.most", "be an integer from 1 to 20", repr(self.most))
