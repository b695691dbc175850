"""How signed weights are held by positive conductances, and how currents are put together again.

A weight w in [-1, 1] is held by one or more devices of a row; the columns of the array that belong to it are combined
in two stages: on the wires, before the converters (`analog`), and in numbers, after them (`digital`).

    SingleEnded       G = G_0 + g w                         either: less G_0 sum(v), which is known
    ReferenceColumn   G = G_0 + g w, one column at G_0      either: less the reference's current
    Differential      G+ = G_min + g max(w, 0), G- alike    analog:  I+ - I-
    BitSliced         digits of the code of w, each held by another encoding    digital: sum of beta_k J_k

G_0 and half the window g of the first two are (G_max + G_min)/2 and (G_max - G_min)/2; g of the pair is the window. A
current is g w v, v in volts. What is subtracted in currents (`subtracted="analog"`) need not fit into the converters'
range. A single device per weight takes the fewest cells, but what
all conductances have in common (drift, temperature) appears in its output multiplied by the sum of the inputs; a
reference column or a pair removes it. A reference column's own noise is common to all outputs.
"""

import abc
from typing import Any, Literal

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float

from hfsim.errors import InputError
from hfsim.estimators import AbstractEstimator, StraightThrough, with_gradient_of
from hfsim.parameters import PhysicalModel, parameter


class AbstractEncoding(PhysicalModel):
    """A way to hold weights."""

    @property
    @abc.abstractmethod
    def gain(self) -> Float[Array, ""]:
        """g [uS]: change of the combined conductance per unit of weight."""

    @abc.abstractmethod
    def targets(self, w: Float[Array, "... rows outputs"]) -> Float[Array, "... rows columns"]:
        """Conductances [uS] that hold weights in [-1, 1]."""

    @abc.abstractmethod
    def analog(self, current: Float[Array, "... columns"], drive) -> Float[Array, "... converted"]:
        """What reaches the converters; `drive` [V], of shape (..., 1), is the sum of the inputs' voltages."""

    @abc.abstractmethod
    def digital(self, current: Float[Array, "... converted"], drive) -> Float[Array, "... outputs"]:
        """Outputs of converted currents [uA]."""

    @abc.abstractmethod
    def spread(self, delta: Float[Array, "... outputs"]) -> Float[Array, "passes ... columns"]:
        """Voltages of the columns, over those of `delta`, in the passes of the transposed product."""

    @abc.abstractmethod
    def gathered(self, current: Float[Array, "passes ... rows"]) -> Float[Array, "... rows"]:
        """Transposed product of the passes' converted currents [uA]."""

    def offset(self, drive):
        """Current [uA] of every row in a transposed pass that belongs to no weight: not converted."""
        return 0 * drive

    def merged_variance(self, variance: Float[Array, "... columns"]) -> Float[Array, "... converted"] | None:
        """Variance after `analog` of independent columns; None where the result is correlated between columns."""
        return variance

    def weights(self, G: Float[Array, "... rows columns"]) -> Float[Array, "... rows outputs"]:
        """The weights that conductances [uS] hold."""
        one = jnp.ones_like(G[..., :1])
        return self.digital(self.analog(G, one), one) / self.gain


class _Window(AbstractEncoding):
    """The range of conductances that weights are mapped to."""

    G_min: Float[Array, ""] = parameter(unit="uS", bounds=(0.0, 1e5), doc="least conductance")
    G_max: Float[Array, ""] = parameter(unit="uS", bounds=(1e-6, 1e6), doc="largest conductance")

    def __check_init__(self):
        if isinstance(self.G_min, Tracer) or isinstance(self.G_max, Tracer):
            return
        if np.any(np.asarray(self.G_min) >= np.asarray(self.G_max)):
            raise InputError("G_min", "lie below G_max", f"{self.G_min} with G_max {self.G_max}")


class _SingleDevice(_Window):
    """One device per weight, at G_0 for none."""

    subtracted: Literal["analog", "digital"] = eqx.field(static=True, kw_only=True, default="analog")

    def __check_init__(self):
        if self.subtracted not in ("analog", "digital"):
            raise InputError("subtracted", "be 'analog' or 'digital'", repr(self.subtracted))

    @property
    def gain(self):
        return (self.G_max - self.G_min) / 2

    @property
    def G_0(self) -> Float[Array, ""]:
        """Conductance [uS] of weight 0."""
        return (self.G_max + self.G_min) / 2

    def analog(self, current, drive):
        return self._subtract(current, drive) if self.subtracted == "analog" else current

    def digital(self, current, drive):
        return current if self.subtracted == "analog" else self._subtract(current, drive)

    def gathered(self, current):
        return current[0]

    def offset(self, drive):
        return self.G_0 * drive

    @abc.abstractmethod
    def _subtract(self, current, drive) -> Array:
        """Currents of the weights alone."""


class SingleEnded(_SingleDevice):
    """One device per weight; what all draw at G_0 is known from the inputs, and subtracted.

    "analog" takes it from the currents (a fixed resistor's), "digital" from the numbers.
    """

    def targets(self, w):
        return self.G_0 + self.gain * w

    def spread(self, delta):
        return delta[None]

    def _subtract(self, current, drive):
        return current - self.G_0 * drive


class ReferenceColumn(_SingleDevice):
    """One device per weight, and a last column of devices at G_0 whose current is subtracted.

    The transposed product leaves the reference at ground and subtracts G_0 as `SingleEnded` does.
    """

    def targets(self, w):
        return self.G_0 + self.gain * jnp.concatenate([w, jnp.zeros_like(w[..., :1])], axis=-1)

    def spread(self, delta):
        return jnp.concatenate([delta, jnp.zeros_like(delta[..., :1])], axis=-1)[None]

    def merged_variance(self, variance):
        return None if self.subtracted == "analog" else variance

    def _subtract(self, current, drive):
        return current[..., :-1] - current[..., -1:]


class Differential(_Window):
    """A pair of devices per weight; `positive` says which columns hold G+.

    "first": columns 0 ... n - 1 hold G+, the next n G-; "even": they alternate, G+ first, so that the two of a pair
    lose nearly the same in the wires.
    """

    positive: Literal["first", "even"] = eqx.field(static=True, kw_only=True, default="even")

    def __check_init__(self):
        if self.positive not in ("first", "even"):
            raise InputError("positive", "be 'first' or 'even'", repr(self.positive))

    @property
    def gain(self):
        return self.G_max - self.G_min

    def targets(self, w):
        rise = jnp.where(w > 0, w, 0), jnp.where(w > 0, 0, -w)
        return self.G_min + self.gain * self._paired(*rise)

    def analog(self, current, drive):
        plus, minus = self._split(current)
        return plus - minus

    def digital(self, current, drive):
        return current

    def spread(self, delta):
        return self._paired(delta, -delta)[None]

    def gathered(self, current):
        return current[0]

    def merged_variance(self, variance):
        plus, minus = self._split(variance)
        return plus + minus

    def _paired(self, plus, minus):
        if self.positive == "first":
            return jnp.concatenate([plus, minus], axis=-1)
        return jnp.stack([plus, minus], axis=-1).reshape(*plus.shape[:-1], 2 * plus.shape[-1])

    def _split(self, x):
        if self.positive == "first":
            return jnp.split(x, 2, axis=-1)
        pairs = x.reshape(*x.shape[:-1], x.shape[-1] // 2, 2)
        return pairs[..., 0], pairs[..., 1]


class BitSliced(AbstractEncoding):
    """Digits of `bits` bits of a weight's magnitude, most significant first, each held by `inner` in its own columns.

    With S slices and B = 2^bits, |w| becomes the nearest code over B^S - 1 and w = sum of beta_k w_k, where w_k is
    the k-th digit over B - 1 with the sign of w. Every slice is converted by itself. Digits are exact forwards; their
    gradient is that of the `estimator`'s rounding, of which each gets the share beta_k/sum(beta^2).
    """

    inner: SingleEnded | Differential
    slices: int = eqx.field(static=True)
    bits: int = eqx.field(static=True)
    estimator: AbstractEstimator = eqx.field(default_factory=StraightThrough)

    def __check_init__(self):
        if isinstance(self.inner, ReferenceColumn) or not isinstance(self.inner, SingleEnded | Differential):
            raise InputError("BitSliced.inner", "be SingleEnded or Differential", repr(self.inner))
        for name, most in (("slices", 16), ("bits", 8)):
            value = getattr(self, name)
            if not isinstance(value, int) or not 1 <= value <= most:
                raise InputError(f"BitSliced.{name}", f"be an integer from 1 to {most}", repr(value))
        if self.slices * self.bits > 20:
            raise InputError("BitSliced.slices, bits", "make at most 20 bits in all", self.slices * self.bits)

    @property
    def beta(self) -> list[float]:
        """What a digit of each slice counts."""
        base = 2**self.bits
        return [base ** (self.slices - 1 - k) * (base - 1) / (base**self.slices - 1) for k in range(self.slices)]

    @property
    def gain(self):
        return self.inner.gain

    def targets(self, w):
        return jnp.concatenate([self.inner.targets(digit) for digit in self.digits(w)], axis=-1)

    def digits(self, w: Float[Array, "..."]) -> list[Float[Array, "..."]]:
        """The digits w_k of weights in [-1, 1]."""
        base, last = 2**self.bits, 2 ** (self.bits * self.slices) - 1
        rounded = self.estimator.round(w * last) / last
        code = jnp.round(jnp.abs(w) * last).astype(jnp.int32)
        total = sum(b**2 for b in self.beta)
        result = []
        for k, b in enumerate(self.beta):
            digit = (code >> (self.bits * (self.slices - 1 - k))) & (base - 1)
            value = jnp.sign(w) * digit.astype(w.dtype) / (base - 1)
            result.append(with_gradient_of(rounded * (b / total), value))
        return result

    def analog(self, current, drive):
        return jnp.concatenate([self.inner.analog(part, drive) for part in self._parts(current)], axis=-1)

    def digital(self, current, drive):
        parts = self._parts(current)
        return sum(b * self.inner.digital(part, drive) for b, part in zip(self.beta, parts, strict=True))

    def spread(self, delta):
        """One pass per slice, the others at ground."""
        drive = self.inner.spread(delta)[0]
        blank = jnp.zeros_like(drive)
        rows = [[drive if k == i else blank for k in range(self.slices)] for i in range(self.slices)]
        return jnp.stack([jnp.concatenate(row, axis=-1) for row in rows])

    def gathered(self, current):
        return sum(b * self.inner.gathered(current[k : k + 1]) for k, b in enumerate(self.beta))

    def offset(self, drive):
        return self.inner.offset(drive)

    def merged_variance(self, variance):
        parts: list[Any] = [self.inner.merged_variance(part) for part in self._parts(variance)]
        return jnp.concatenate(parts, axis=-1)

    def _parts(self, x) -> list[Any]:
        return jnp.split(x, self.slices, axis=-1)
