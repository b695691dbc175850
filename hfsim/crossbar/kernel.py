"""The crossbar kernel: from numbers to numbers through converters, conductances, noise and wires, in one function.

    y = D{ ADC[ A( sum_i G_ij f(V_i) + noise ) ] } s/(g V_read),      V_i = V_read DAC(x_i/s)

A and D combine columns (`encoding`), f is the devices' read curve, s the input scale. Reads are noisy by

    var I_j = sum_i sigma_ij^2 f(V_i)^2

which is the exact variance of independent Gaussian devices, so the white part of their noise is drawn once per output
and no array of the size of batch x weights appears. What is slow (telegraph noise, 1/f, drift) belongs to the
conductances that are handed in: all inputs of a read see the same. With wires the sum runs over the cell voltages of
the solved network and each device's current is weighted by its share at its own sensed end, to first order in sigma
and in that share's wire drops; what goes astray into other columns is left out (docs/models/crossbar.md has the error).

Draws are addressed by input row (key, first + i): a split batch gets the same. The product is made at `precision`,
HIGHEST by default; the variances in bfloat16 with float32 sums, an error of less than 0.4 % of a deviation (of one
device alone; it averages out over many), unless `exact_variance`.

Gradients. `backward="true"` differentiates what is computed, converters by their estimators. "analog" returns for x
what the chip would: the transposed product through the same cells, converters and noise; "ideal" the product with the
weights that the conductances hold. Under both, everything but x keeps its true gradient; they have reverse mode only.
"""

from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from hfsim.circuits.converters import ADC, DAC
from hfsim.circuits.read_curve import AbstractReadCurve
from hfsim.circuits.wires import Wires
from hfsim.crossbar.encoding import AbstractEncoding
from hfsim.crossbar.inputs import AbstractInputs, AbstractScaling, IterativeBound, LargestInput, OnePass, Unscaled
from hfsim.draws import address, require_key, row_normals, stream
from hfsim.errors import InputError
from hfsim.parameters import PhysicalModel, parameter

BACKWARDS = ("true", "analog", "ideal")


class Cells(eqx.Module):
    """Conductances of an array [uS] and the deviation of one read of each [uS], None for reads without noise."""

    G: Float[Array, "rows columns"]
    sigma: Float[Array, "rows columns"] | None = None


class Kernel(PhysicalModel):
    """What surrounds an array of cells; calling it multiplies."""

    encoding: AbstractEncoding
    dac: DAC
    adc: ADC
    V_read: Float[Array, ""] = parameter(unit="V", bounds=(1e-6, 10.0), doc="voltage of a full-scale input")
    inputs: AbstractInputs = eqx.field(kw_only=True, default_factory=OnePass)
    scaling: AbstractScaling = eqx.field(kw_only=True, default_factory=Unscaled)
    bound: IterativeBound | None = eqx.field(kw_only=True, default=None)
    wires: Wires | None = eqx.field(kw_only=True, default=None)
    curve: AbstractReadCurve | None = eqx.field(kw_only=True, default=None)
    backward: Literal["true", "analog", "ideal"] = eqx.field(kw_only=True, static=True, default="true")
    backward_dac: DAC | None = eqx.field(kw_only=True, default=None)
    backward_adc: ADC | None = eqx.field(kw_only=True, default=None)
    precision: jax.lax.Precision = eqx.field(kw_only=True, static=True, default=jax.lax.Precision.HIGHEST)
    exact_variance: bool = eqx.field(kw_only=True, static=True, default=False)

    def __check_init__(self):
        if self.backward not in BACKWARDS:
            raise InputError("backward", f"be one of {', '.join(BACKWARDS)}", repr(self.backward))
        if self.wires is not None and self.curve is not None:
            raise InputError("curve", "be None where there are wires", repr(self.curve), "give it to the wires")

    def __call__(
        self, cells: Cells, x: Float[Array, "*batch rows"], key: Key[Array, ""] | None = None, *, first=0
    ) -> Float[Array, "*batch outputs"]:
        """x W as the array computes it, W being the weights that the conductances hold.

        Args:
            cells: the array.
            x: inputs.
            key: of this read; None reads without any noise.
            first: number of the first input in the batch that this one is a part of.

        Raises:
            InputError: inputs that do not fit the array, or a key that is none.
        """
        batch, flat = self._flat(cells, x)
        if key is not None:
            require_key(key)
        if self.backward == "true":
            y = self._product(cells, flat, key, first)
        else:
            y = _returning(self, cells, flat, key, first)
        return y.reshape(*batch, y.shape[-1])

    def transposed(
        self, cells: Cells, delta: Float[Array, "*batch outputs"], key: Key[Array, ""] | None = None, *, first=0
    ) -> Float[Array, "*batch rows"]:
        """delta W^T through the same cells: bit lines driven, word lines read, each vector scaled to the converter.

        `backward_dac` and `backward_adc` convert, where given.

        Raises:
            InputError: converters of one sign, or of one range per column, and none given for the way back; cotangents
                that do not fit the array, or a key that is none.
        """
        dac, adc = self.backward_dac or self.dac, self.backward_adc or self.adc
        self._check_return(cells, delta, dac, adc)
        if key is not None:
            require_key(key)
        delta = jnp.asarray(delta, jnp.result_type(cells.G, delta, float))
        batch, delta = delta.shape[:-1], delta.reshape(-1, delta.shape[-1])
        scale = LargestInput(dac.range).scale(delta)
        code = dac.code(delta / scale)
        codes = self.encoding.spread(code)
        keys = _pass_keys(key, "backward", len(codes))
        drives = dac.drive(codes) if keys is None else jax.vmap(lambda c, k: dac.drive(c, k, first))(codes, keys)
        current, variance = self._currents(cells, self.V_read * drives, key is not None, transposed=True)
        current = current - self.encoding.offset(self.V_read * jnp.sum(code, axis=-1, keepdims=True))
        y = self.encoding.gathered(adc(_noisy(adc, current, variance, keys, first)))
        return (y * scale * (dac.range / (self.V_read * self.encoding.gain))).reshape(*batch, y.shape[-1])

    def weights(self, cells: Cells) -> Float[Array, "rows outputs"]:
        """The weights that the conductances hold."""
        return self.encoding.weights(cells.G)

    # ------------------------------------------------------------------------------------------------- inside

    def _flat(self, cells: Cells, x):
        x = jnp.asarray(x)
        if cells.G.ndim != 2:
            raise InputError("cells.G", "have shape (rows, columns)", f"of shape {cells.G.shape}", "map over tiles")
        if x.ndim < 1 or x.shape[-1] != cells.G.shape[0]:
            raise InputError("x", f"have {cells.G.shape[0]} features on its last axis", f"of shape {x.shape}")
        dtype = jnp.result_type(cells.G, x, float)
        return x.shape[:-1], x.reshape(-1, x.shape[-1]).astype(dtype)

    def _check_return(self, cells: Cells, delta, dac: DAC, adc: ADC) -> None:
        outputs = jax.eval_shape(self.encoding.weights, cells.G).shape[-1]
        if jnp.ndim(delta) < 1 or jnp.shape(delta)[-1] != outputs:
            raise InputError("delta", f"have {outputs} features on its last axis", f"of shape {jnp.shape(delta)}")
        for name, converter in (("backward_dac", dac), ("backward_adc", adc)):
            if not converter.signed:
                raise InputError(name, "be a signed converter: what comes back has both signs", "unsigned")
        own = [v for v in (adc.range, adc.gain, adc.offset, adc.sigma) if v is not None and jnp.ndim(v)]
        if self.backward_adc is None and own:
            raise InputError("backward_adc", "be given where each column has a converter of its own", "None")

    def _product(self, cells, x, key, first):
        scale = self.scaling.scale(x)
        if self.bound is not None:
            scale = scale * jax.lax.stop_gradient(self._doubled(cells, x / scale, key, first))
        return self._read(cells, x / scale, key, first)[0] * scale

    def _read(self, cells, x, key, first):
        """Outputs for scaled inputs, and which inputs saturated a converter."""
        passes = self.inputs(self.dac, x, None if key is None else stream(key, "inputs"), first)
        keys = _pass_keys(key, "outputs", len(passes.factor))
        current, variance = self._currents(cells, self.V_read * passes.drive, key is not None)
        if variance is not None:
            merged = self.encoding.merged_variance(variance)
            if merged is None:
                columns = jax.vmap(lambda k: row_normals(stream(k, "cells"), first, current.shape[1:], current.dtype))
                current, variance = current + _root(variance) * columns(keys), None
            else:
                variance = merged
        code = self.V_read * jnp.sum(passes.code, axis=-1, keepdims=True)
        current = _noisy(self.adc, self.encoding.analog(current, code), variance, keys, first)
        J = jnp.tensordot(passes.factor, self.encoding.digital(self.adc(current), code), 1, precision="highest")
        y = J * (self.dac.range / (self.V_read * self.encoding.gain))
        return y, jnp.any(self.adc.saturates(current), axis=(0, 2))

    def _currents(self, cells: Cells, V, noisy: bool, *, transposed: bool = False) -> tuple[Any, Any]:
        """Currents [uA] of the columns for voltages (passes, batch, rows), and their variance, if there is any."""
        shape, V = V.shape, V.reshape(-1, V.shape[-1])
        if self.wires is None:
            current, variance = self._plain(cells, V, noisy, transposed)
        else:
            current, variance = self._wired(cells, V, noisy, transposed)
        current = current.reshape(*shape[:2], current.shape[-1])
        return current, None if variance is None else variance.reshape(current.shape)

    def _plain(self, cells, V, noisy, transposed):
        f = V if self.curve is None else self.curve.effective(V)
        current = jnp.matmul(f, cells.G.T if transposed else cells.G, precision=self.precision)
        if not noisy or cells.sigma is None:
            return current, None
        squares = jnp.square(f), jnp.square(cells.sigma.T if transposed else cells.sigma)
        if self.exact_variance or current.dtype != jnp.float32:
            return current, jnp.matmul(*squares, precision=self.precision)
        coarse = (square.astype(jnp.bfloat16) for square in squares)
        return current, jnp.matmul(*coarse, preferred_element_type=jnp.float32)

    def _wired(self, cells, V, noisy, transposed):
        wires = self.wires
        assert wires is not None
        if not noisy or cells.sigma is None:
            return (wires.backward_currents if transposed else wires.currents)(cells.G, V), None
        solution = wires.solve(cells.G, V, backward=transposed, throw=False)
        U = solution.word - solution.bit
        f = U if wires.curve is None else wires.curve.effective(U)
        share = jnp.square(cells.sigma * wires.share(cells.G, backward=transposed))
        return solution.currents, jnp.sum(jnp.square(f) * share, axis=-1 if transposed else -2)

    def _doubled(self, cells, x, key, first):
        """By how much the scale of each vector grows until nothing saturates."""
        most = self.bound.most if self.bound is not None else 0

        def saturated(factor):
            return self._read(cells, x / factor, key, first)[1][:, None]

        def more(carry):
            number, _, saturates = carry
            return (number < most) & jnp.any(saturates)

        def double(carry):
            number, factor, saturates = carry
            factor = jnp.where(saturates, 2 * factor, factor)
            return number + 1, factor, saturated(factor)

        one = jnp.ones_like(x[:, :1])
        return jax.lax.while_loop(more, double, (0, one, saturated(one)))[1]


def _pass_keys(key, name: str, count: int):
    if key is None:
        return None
    return jax.vmap(lambda i: address(stream(key, name), i))(jnp.arange(count))


def _noisy(adc: ADC, current, variance, keys, first):
    """Currents behind the converter's input stage, the noise of devices and stage drawn as one number."""
    current, noise = adc.amplified(current, variance)
    if keys is None or noise is None:
        return current
    return current + _root(noise) * jax.vmap(lambda k: row_normals(k, first, current.shape[1:], current.dtype))(keys)


def _root(variance):
    """sqrt, with no gradient where there is no variance."""
    positive = variance > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, variance, 1.0)), 0.0)


@jax.custom_vjp
def _returning(kernel: Kernel, cells: Cells, x, key, first):
    return kernel._product(cells, x, key, first)


def _forward(kernel, cells, x, key, first):
    return kernel._product(cells, x, key, first), (kernel, cells, x, key, first)


def _return(residual, cotangent):
    kernel, cells, x, key, first = residual
    _, pull = jax.vjp(lambda k, c: k._product(c, x, key, first), kernel, cells)
    if kernel.backward == "analog":
        dx = kernel.transposed(cells, cotangent, None if key is None else stream(key, "return"), first=first)
    else:
        dx = jnp.matmul(cotangent, kernel.weights(cells).T, precision=kernel.precision)
    return (*pull(cotangent), dx, None, None)


_returning.defvjp(_forward, _return)
