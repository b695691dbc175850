"""Analogue layers in the place of flax's: called as those, and able to give them back.

A converted network's own code still calls `self.dense(x)`, which leaves no way for a key. So each of these holds,
beside the analogue layer, a `ReadKey`, without which it reads without noise; `hfsim.nn.reading` gives one to each. The
draws of a call are those of its key: a layer that a pass calls several times (the steps of a recurrence, shared
layers) draws the same noise each time. Call it with `key=`, or `layer` itself (`hfsim.nn.scan_cell`), to have others.

What is not a matrix comes along unchanged: the digital layer's configuration is kept as its graph definition, without
arrays, so that `restored` makes a layer of the same class with the weights that the devices hold now.
"""

import abc
import math
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Key

from hfsim.errors import InputError
from hfsim.nn.convolution import AnalogConv
from hfsim.nn.linear import AnalogLinear
from hfsim.nn.recurrent import AnalogGRUCell, AnalogLSTMCell

ZEROS = jax.nn.initializers.zeros
GATES = "ifgo"


class ReadKey(nnx.Variable):
    """Key of the reads of one converted layer."""


class AbstractConverted(nnx.Module):
    """An analogue `layer` where a digital one was; `read_key` None reads without noise."""

    layer: Any

    def __init__(self, digital: nnx.Module, layer: Any):
        graph, state = nnx.split(digital)
        self.graph, self.variables = graph, jax.tree.structure(state)
        self.names = tuple(_name(path) for path, _ in jax.tree_util.tree_leaves_with_path(state))
        self.layer = layer
        self.read_key: ReadKey | None = nnx.data(None)

    @abc.abstractmethod
    def values(self) -> dict[str, Array]:
        """The digital layer's variables, of what the devices hold now."""

    def restored(self) -> nnx.Module:
        """The digital layer again."""
        values = self.values()
        return nnx.merge(self.graph, jax.tree.unflatten(self.variables, [values[name] for name in self.names]))

    def _key(self, key: Key[Array, ""] | None):
        return self.read_key.get_value() if key is None and self.read_key is not None else key


class ConvertedLinear(AbstractConverted):
    """In the place of `nnx.Linear`."""

    def __init__(self, digital: nnx.Linear, scale: Any, **options: Any):
        W, bias = digital.kernel.get_value(), _value(digital.bias)
        layer = AnalogLinear(*W.shape, use_bias=bias is not None, scale=scale, initialiser=ZEROS, **options)
        _fill(layer, bias).array.hold(W, scale)
        super().__init__(digital, layer)
        self.dtype = digital.dtype

    def __call__(self, inputs: Float[Array, "..."], out_sharding=None, *, tap=None, key=None, first=0):
        """As the digital layer; tap, key and first as in `AnalogLinear`."""
        _check_sharding(out_sharding)
        return _cast(self.layer(inputs, tap, self._key(key), first=first), self.dtype)

    def values(self):
        return _without_none(kernel=self.layer.array.matrix, bias=_value(self.layer.bias))


class ConvertedLinearGeneral(AbstractConverted):
    """In the place of `nnx.LinearGeneral`: the axes of inputs become one, and so do those of outputs."""

    def __init__(self, digital: nnx.LinearGeneral, scale: Any, **options: Any):
        self.in_features, self.out_features = digital.in_features, digital.out_features
        self.axis = digital.axis
        sizes = math.prod(self.in_features), math.prod(self.out_features)
        W, bias = digital.kernel.get_value().reshape(sizes), _value(digital.bias)
        layer = AnalogLinear(*sizes, use_bias=bias is not None, scale=scale, initialiser=ZEROS, **options)
        _fill(layer, None if bias is None else bias.reshape(-1)).array.hold(W, scale)
        super().__init__(digital, layer)
        self.dtype = digital.dtype

    def __call__(self, inputs: Float[Array, "..."], out_sharding=None, *, tap=None, key=None, first=0):
        """As the digital layer; tap, key and first as in `AnalogLinear`, for inputs whose axes lie last as one."""
        _check_sharding(out_sharding)
        axis = sorted(axis % inputs.ndim for axis in self.axis)  # flax sorts them, whatever their order was
        x = jnp.moveaxis(inputs, axis, range(inputs.ndim - len(axis), inputs.ndim))
        x = x.reshape(*x.shape[: x.ndim - len(axis)], -1)
        y = self.layer(x, tap, self._key(key), first=first)
        return _cast(y.reshape(*y.shape[:-1], *self.out_features), self.dtype)

    def values(self):
        bias = _value(self.layer.bias)
        kernel = self.layer.array.matrix.reshape(*self.in_features, *self.out_features)
        return _without_none(kernel=kernel, bias=None if bias is None else bias.reshape(self.out_features))


class ConvertedConv(AbstractConverted):
    """In the place of `nnx.Conv`, its paddings included."""

    def __init__(self, digital: nnx.Conv, scale: Any, **options: Any):
        window = digital.kernel_size
        dilation = _along(digital.kernel_dilation, len(window))
        self.mode, padding, self.before = _padding(digital.padding, window, dilation)
        bias = _value(digital.bias)
        layer = AnalogConv(
            digital.in_features,
            digital.out_features,
            window,
            strides=_along(digital.strides, len(window)),
            padding=padding,
            kernel_dilation=dilation,
            feature_group_count=digital.feature_group_count,
            use_bias=bias is not None,
            scale=scale,
            initialiser=ZEROS,
            **options,
        )
        _fill(layer, bias).hold(digital.kernel.get_value(), scale)
        super().__init__(digital, layer)
        self.dtype = digital.dtype

    def __call__(self, inputs: Float[Array, "..."], out_sharding=None, *, tap=None, key=None, first=0):
        """As the digital layer; tap, key and first as in `AnalogConv`, for inputs that are padded already."""
        _check_sharding(out_sharding)
        if self.mode is not None:
            batch = inputs.ndim - len(self.before) - 1
            inputs = jnp.pad(inputs, ((0, 0),) * batch + self.before + ((0, 0),), mode=self.mode)
        return _cast(self.layer(inputs, tap, self._key(key), first=first), self.dtype)

    def values(self):
        return _without_none(kernel=self.layer.kernel, bias=_value(self.layer.bias))


class AbstractConvertedCell(AbstractConverted, nnx.RNNCellBase):
    """In the place of a recurrent cell, inside `nnx.RNN` or alone."""

    def __call__(self, carry, inputs, *, tap=None, key=None, first=0):
        """As the digital cell; tap, key and first as in the analogue one."""
        return self.layer(carry, inputs, tap, self._key(key), first=first)

    def initialize_carry(self, input_shape, rngs=None, carry_init=None):
        """Zeros, or what `carry_init` draws with the stream `carry` of rngs."""
        if carry_init is None:
            return self.layer.initialize_carry(input_shape)
        if rngs is None:
            raise InputError("rngs", "be given with carry_init", None)
        rngs = rngs.carry if isinstance(rngs, nnx.Rngs) else rngs
        return jax.tree.map(
            lambda zeros: carry_init(rngs(), zeros.shape, zeros.dtype), self.layer.initialize_carry(input_shape)
        )

    @property
    def num_feature_axes(self) -> int:
        """Axes of one input."""
        return 1


class ConvertedLSTMCell(AbstractConvertedCell):
    """In the place of `nnx.LSTMCell` or `nnx.OptimizedLSTMCell`: one array for all eight matrices."""

    def __init__(self, digital: nnx.LSTMCell | nnx.OptimizedLSTMCell, scale: Any, **options: Any):
        if isinstance(digital, nnx.OptimizedLSTMCell):
            x, h = digital.dense_i.kernel.get_value(), digital.dense_h.kernel.get_value()
            bias = _value(digital.dense_h.bias)
        else:
            inner = [getattr(digital, name) for gate in GATES for name in (_input(gate), "h" + gate)]
            x, h = (jnp.concatenate([m.kernel.get_value() for m in inner[i::2]], axis=-1) for i in (0, 1))
            bias = jnp.concatenate([m.bias.get_value() for m in inner[1::2]])
        sizes = digital.in_features, digital.hidden_features
        layer = AnalogLSTMCell(*sizes, scale=scale, initialiser=ZEROS, recurrent_initialiser=ZEROS, **options)
        _fill(layer, bias).array.hold(jnp.concatenate([x, h]), scale)
        super().__init__(digital, layer)

    def values(self):
        x, h = jnp.split(self.layer.array.matrix, [self.layer.in_features])
        bias = self.layer.bias.get_value()
        result = {"dense_i.kernel": x, "dense_h.kernel": h, "dense_h.bias": bias}
        for number, gate in enumerate(GATES):
            own = slice(number * self.layer.hidden_features, (number + 1) * self.layer.hidden_features)
            result[f"{_input(gate)}.kernel"] = x[:, own]
            result[f"h{gate}.kernel"], result[f"h{gate}.bias"] = h[:, own], bias[own]
        return result


class ConvertedGRUCell(AbstractConvertedCell):
    """In the place of `nnx.GRUCell`."""

    def __init__(self, digital: nnx.GRUCell, scale: Any, **options: Any):
        sizes = digital.in_features, digital.hidden_features
        layer = AnalogGRUCell(*sizes, scale=scale, initialiser=ZEROS, recurrent_initialiser=ZEROS, **options)
        _fill(layer, _value(digital.dense_i.bias)).inputs.hold(digital.dense_i.kernel.get_value(), scale)
        layer.hidden.hold(digital.dense_h.kernel.get_value(), scale)
        super().__init__(digital, layer)

    def values(self):
        inputs, hidden = self.layer.inputs.matrix, self.layer.hidden.matrix
        return {"dense_i.kernel": inputs, "dense_i.bias": self.layer.bias.get_value(), "dense_h.kernel": hidden}


class FoldedNorm(nnx.Module):
    """Where a batch norm was that is now part of the layer before it: passes its input on."""

    def __call__(self, x: Float[Array, "..."], use_running_average=None, *, mask=None):
        """`x`; the arguments are the batch norm's, and have nothing to act on."""
        return x


def _name(path) -> str:
    return jax.tree_util.keystr(path, simple=True, separator=".").removesuffix(".value")


def _input(gate: str) -> str:
    return "if_" if gate == "f" else "i" + gate


def _value(variable: Any) -> Any:
    return None if variable is None else variable.get_value()


def _fill(layer: Any, bias: Array | None) -> Any:
    if bias is not None:
        layer.bias.set_value(bias)
    return layer


def _without_none(**values: Any) -> dict[str, Array]:
    return {name: value for name, value in values.items() if value is not None}


def _cast(y, dtype):
    return y if dtype is None else y.astype(dtype)


def _check_sharding(out_sharding) -> None:
    if out_sharding is not None:
        raise InputError("out_sharding", "be None for an analogue layer", out_sharding)


def _along(number: Any, axes: int) -> tuple[int, ...]:
    number = 1 if number is None else number
    return (number,) * axes if isinstance(number, int) else tuple(number)


def _padding(padding: Any, window: tuple[int, ...], dilation: tuple[int, ...]) -> tuple[str | None, Any, tuple]:
    """How inputs are padded first, the analogue layer's own padding, and the widths of the former."""
    if padding in ("CIRCULAR", "REFLECT"):
        sizes = [(k - 1) * d + 1 for k, d in zip(window, dilation, strict=True)]
        widths = tuple(((k - 1) // 2, k // 2) for k in sizes)
        return ("wrap" if padding == "CIRCULAR" else "reflect"), "VALID", widths
    if padding == "CAUSAL":
        return "constant", "VALID", ((dilation[0] * (window[0] - 1), 0),)
    if isinstance(padding, str):
        return None, padding, ()
    padding = (padding,) * len(window) if isinstance(padding, int) else padding
    return None, tuple((p, p) if isinstance(p, int) else tuple(p) for p in padding), ()
