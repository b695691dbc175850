"""The one place where a layer's weights meet its inputs: devices, periphery, tap, and digital scale.

    y = scale * product(x, w),      w in about [-1, 1], held by devices

All analogue layers are built from `AnalogArray`. A float matrix W becomes w = W/scale; by default the largest |W| comes
to a fraction of the window (`FillWindow`): weights far inside it waste devices and converters.
"""

import math
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from flax import nnx
from jax.core import Tracer
from jaxtyping import Array, Float, Key

from hfsim.crossbar.weight_scaling import AbstractWeightScaling, LargestWeight
from hfsim.draws import address, require_key
from hfsim.errors import InputError
from hfsim.learning.factors import Factors
from hfsim.nn.periphery import Periphery
from hfsim.nn.taps import tapped, zero_tap
from hfsim.nn.variables import AnalogWeight, Frozen, lifted, lowered
from hfsim.parameters import parameter

LECUN = jax.nn.initializers.lecun_normal()
"""What flax initialises linear layers with."""


class FillWindow(AbstractWeightScaling):
    """The largest magnitude of the matrix, or of each column, becomes `fraction`, so that training has room left."""

    fraction: Float[Array, ""] = parameter(
        unit="1", bounds=(1e-3, 1.0), doc="weight that the largest magnitude becomes", default=0.6
    )
    per_column: bool = eqx.field(static=True, default=False)

    def scale(self, W):
        return LargestWeight(self.per_column).scale(W) / self.fraction


Scale = AbstractWeightScaling | float | Array | Literal["fill"] | None


class AnalogArray(nnx.Module):
    """A matrix on devices, or several of them side by side; it has no bias.

    Args:
        in_features, out_features: inputs and outputs of a matrix.
        arrays: shape of several matrices, each with inputs of its own.
        periphery: what surrounds the devices; None multiplies exactly.
        initialiser: of the float matrix W, one of `jax.nn.initializers`.
        scale: how W becomes weights: a scaling of `hfsim.crossbar.weight_scaling`, "fill" being `FillWindow()`; a
            number or one per output, by which W is divided; or None: the weights are W and nothing is multiplied.
        learn_scale: whether the scale is trained (`nnx.Param`) or kept (`Frozen`).
        learned: names of the periphery's numbers that are trained, such as "kernel.adc.range".
        precision: of the exact product, highest by default: a coarser one (TF32, bfloat16) is coarser than the
            devices. A periphery has its own.
        rngs: nnx random streams; `params` is used.

    Raises:
        InputError: a size that is no count, a scale that fits no output, or an option without effect.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        arrays: tuple[int, ...] = (),
        periphery: Periphery | None = None,
        initialiser: Any = LECUN,
        scale: Scale = "fill",
        learn_scale: bool = False,
        learned: tuple[str, ...] = (),
        precision: jax.lax.Precision | None = None,
        rngs: nnx.Rngs,
    ):
        check_counts(
            in_features=in_features, out_features=out_features, **{f"arrays[{i}]": n for i, n in enumerate(arrays)}
        )
        if periphery is None and learned:
            raise InputError("learned", "be empty without a periphery", learned)
        if periphery is not None and precision is not None:
            raise InputError("precision", "be None with a periphery", precision, "give it to the kernel")
        if scale is None and learn_scale:
            raise InputError("learn_scale", "be False without a scale", learn_scale, "give scale=1.0")
        self.in_features, self.out_features, self.arrays = in_features, out_features, tuple(arrays)
        self.precision = precision
        self.periphery = None if periphery is None else lifted(periphery, learned)
        W = _drawn(initialiser, rngs.params(), self.arrays, (in_features, out_features))
        w, value = _scaled(W, scale)
        self.weight = AnalogWeight(w)
        self.scale = None if value is None else (nnx.Param if learn_scale else Frozen)(value)

    def __call__(
        self,
        x: Float[Array, "... inputs"],
        tap: Factors | None = None,
        key: Key[Array, ""] | None = None,
        *,
        first=0,
    ) -> Float[Array, "... outputs"]:
        """x W, as the devices compute it.

        Args:
            x: inputs, of shape (*batch, *arrays, inputs).
            tap: zeros whose cotangent is the factors of the weights' gradient: x and the cotangent of the product
                before its scale.
            key: of this read; None reads without noise.
            first: number of x's first entry along its leading axis in the batch that it is a part of. Draws are
                addressed by it, so that a split batch gets the same.

        Raises:
            InputError: inputs or a tap that do not fit, or a key that is none.
        """
        x = self._checked(x)
        y = self._product(x, key if key is None else require_key(key), first)
        y = tapped(y, x, tap)
        return y if self.scale is None else y * self.scale.get_value().astype(y.dtype)

    @property
    def matrix(self) -> Float[Array, "*arrays inputs outputs"]:
        """W: the matrix that the layer multiplies by."""
        w = self.weight.get_value()
        if self.scale is None:
            return w
        scale = self.scale.get_value()
        return w * (scale[..., None, :] if scale.ndim else scale)

    def hold(self, W: Float[Array, "*arrays inputs outputs"], scale: Scale = "fill") -> None:
        """Take the float matrix W, in new weights and a new scale.

        Raises:
            InputError: a matrix of another shape, or a scale that fits no output, or for an array without one.
        """
        W = jnp.asarray(W)
        shape = (*self.arrays, self.in_features, self.out_features)
        if W.shape != shape:
            raise InputError("W", f"have shape {shape}", f"of shape {W.shape}")
        if (scale is None) != (self.scale is None):
            must = "be None: this array has no scale" if self.scale is None else "not be None: this array has a scale"
            raise InputError("scale", must, repr(scale))
        w, value = _scaled(W, scale)
        self.weight.set_value(w)
        if self.scale is not None and value is not None:
            self.scale.set_value(value)

    def zero_taps(self, x: Any) -> Factors:
        """A tap for inputs like `x` (an array, or its shape and dtype)."""
        samples = x.shape[: len(x.shape) - 1 - len(self.arrays)]
        dtype = jnp.result_type(x.dtype, self.weight.get_value().dtype)
        return zero_tap(samples, (*self.arrays, self.in_features), (*self.arrays, self.out_features), dtype)

    # ------------------------------------------------------------------------------------------------- inside

    def _checked(self, x):
        x, own = jnp.asarray(x), (*self.arrays, self.in_features)
        if x.shape[max(x.ndim - len(own), 0) :] != own:
            what = f"{self.in_features} features on its last axis" if len(own) == 1 else f"{own} as its last axes"
            raise InputError("x", f"have {what}", f"shape {x.shape}")
        return x.astype(jnp.result_type(x, self.weight.get_value()))

    def _product(self, x, key, first):
        w = self.weight.get_value()
        if self.periphery is None:  # exact: draws nothing
            return _exact(x, w, jax.lax.Precision.HIGHEST if self.precision is None else self.precision)
        periphery = lowered(self.periphery)
        batch = x.shape[: x.ndim - 1 - len(self.arrays)]
        first = first * math.prod(batch[1:])
        if not self.arrays:
            return periphery.product(w, x, key, first)
        count = math.prod(self.arrays)
        flat = jnp.moveaxis(x.reshape(-1, count, self.in_features), 1, 0)
        keys = None if key is None else jax.vmap(lambda i: address(key, i))(jnp.arange(count))
        each = jax.vmap(lambda w, x, key: periphery.product(w, x, key, first))
        y = each(w.reshape(count, self.in_features, self.out_features), flat, keys)
        return jnp.moveaxis(y, 0, 1).reshape(*batch, *self.arrays, self.out_features)


def set_age(network: nnx.Module, seconds: float | Float[Array, ""]) -> None:
    """Let every array of `network` be read `seconds` [s] after its programming, as far as its read noise is concerned.

    What the weights themselves become with time is the memory's to say.

    Raises:
        InputError: no array with read noise, or a time below 0.
    """
    if not isinstance(seconds, Tracer) and not seconds >= 0:
        raise InputError("seconds", "be at least 0", seconds)
    arrays = [node for _, node in nnx.iter_graph(network) if isinstance(node, AnalogArray)]
    noises = [array.periphery.noise for array in arrays if array.periphery is not None]
    noises = [noise for noise in noises if noise is not None]
    if not noises:
        raise InputError("network", "hold arrays with read noise", f"{len(arrays)} without")
    for noise in noises:
        noise.age.set_value(jnp.asarray(seconds, noise.age.get_value().dtype))


def _exact(x, w, precision):
    if w.ndim == 2:
        return jnp.matmul(x, w, precision=precision)
    return jnp.matmul(x[..., None, :], w, precision=precision)[..., 0, :]


def _scaled(W, scale: Scale) -> tuple[Array, Array | None]:
    """Weights of a matrix, and its scale of shape () or (*arrays, outputs)."""
    if scale is None:
        return W, None
    if isinstance(scale, str):
        if scale != "fill":
            raise InputError("scale", 'be "fill", a scaling, numbers, or None', repr(scale))
        scale = FillWindow()
    if isinstance(scale, AbstractWeightScaling):
        w, column = scale(W)
        return w, column[..., 0, :]
    value = jnp.asarray(scale, W.dtype)
    if value.shape not in ((), (*W.shape[:-2], W.shape[-1])):
        raise InputError("scale", f"be a number or of shape {(*W.shape[:-2], W.shape[-1])}", f"of shape {value.shape}")
    if not isinstance(value, Tracer) and not bool(jnp.all(value > 0)):
        raise InputError("scale", "be greater than 0", value)
    return W / (value[..., None, :] if value.ndim else value), value


def _drawn(initialiser, key, arrays: tuple[int, ...], shape: tuple[int, int]):
    """One matrix, or one for each array from a key of its own: an initialiser counts the inputs of a matrix."""
    if not arrays:
        return initialiser(key, shape, jnp.float32)
    count = math.prod(arrays)
    keys = jax.vmap(lambda i: address(key, i))(jnp.arange(count))
    return jax.vmap(lambda k: initialiser(k, shape, jnp.float32))(keys).reshape(*arrays, *shape)


def check_counts(**sizes: Any) -> None:
    """Refuse sizes that are no counts, by name."""
    for name, size in sizes.items():
        if not isinstance(size, int) or isinstance(size, bool) or size < 1:
            raise InputError(name, "be an integer >= 1", repr(size))
