"""The analogue convolution for flax nnx: every patch under the window is one input of an array (im2col).

Images are (*batch, *space, channels) with one to three axes of space. The matrix of a group has rows channel by
channel, the window's last axis fastest (`hfsim.crossbar.patches`), and groups are arrays of their own. For a rule
that updates by outer products, every position of the window is one sample: first by image, then along the axes of
space.
"""

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Key

from hfsim.crossbar.convolution import Padding, kernel_of, matrix_of, patches
from hfsim.errors import InputError
from hfsim.learning.factors import Factors
from hfsim.nn.array import AnalogArray, Scale, check_counts


class AnalogConv(nnx.Module):
    """A convolution on devices, its bias in numbers.

    Args:
        in_features, out_features: channels.
        kernel_size: the window along the axes of space; a number for one axis.
        strides: distance of neighbouring patches.
        padding: "SAME", "VALID", or zeros before and after each axis.
        kernel_dilation: distance of the places inside a patch.
        feature_group_count: groups of channels that are convolved apart.
        use_bias: whether there is a bias; it starts at 0.
        rngs: nnx random streams; `params` is used.
        options: of `AnalogArray`: periphery, initialiser, scale, ...

    Raises:
        InputError: sizes that fit no window or groups.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        kernel_size: int | Sequence[int],
        *,
        strides: int | Sequence[int] = 1,
        padding: Padding = "SAME",
        kernel_dilation: int | Sequence[int] = 1,
        feature_group_count: int = 1,
        use_bias: bool = True,
        rngs: nnx.Rngs,
        **options: Any,
    ):
        window = (kernel_size,) if isinstance(kernel_size, int) else tuple(kernel_size)
        groups = feature_group_count
        check_counts(in_features=in_features, out_features=out_features, feature_group_count=groups)
        check_counts(**{f"kernel_size[{i}]": size for i, size in enumerate(window)})
        if not 1 <= len(window) <= 3:
            raise InputError("kernel_size", "have one to three axes", window)
        if in_features % groups or out_features % groups:
            raise InputError("feature_group_count", f"divide {in_features} and {out_features} channels", groups)
        self.in_features, self.out_features, self.groups = in_features, out_features, groups
        self.window = window
        self.padding: Any = padding if isinstance(padding, str) else tuple(map(tuple, padding))
        self.strides = _along("strides", strides, len(window))
        self.kernel_dilation = _along("kernel_dilation", kernel_dilation, len(window))
        features = in_features // groups * math.prod(window)
        arrays = (groups,) if groups > 1 else ()
        self.array = AnalogArray(features, out_features // groups, arrays=arrays, rngs=rngs, **options)
        self.bias = nnx.Param(jnp.zeros(out_features, jnp.float32)) if use_bias else None

    def __call__(
        self,
        x: Float[Array, "... in_features"],
        tap: Factors | None = None,
        key: Key[Array, ""] | None = None,
        *,
        first=0,
    ) -> Float[Array, "... out_features"]:
        """The convolution of images (*batch, *space, channels): (*batch, *places, channels).

        Args:
            x: images.
            tap: of `zero_taps`.
            key: of this read; None reads without noise.
            first: number of x's first image along its leading axis in the batch that it is a part of.

        Raises:
            InputError: images of other channels, or without enough axes.
        """
        batch, rows = self._batch(x), self._rows(x)
        y = self.array(rows, tap, key, first=first * math.prod(batch[1:]))
        y = y.reshape(*batch, *y.shape[1 : 1 + len(self.window)], self.out_features)
        return y if self.bias is None else y + self.bias.get_value()

    @property
    def kernel(self) -> Float[Array, "*window inputs outputs"]:
        """The kernel of the convolution, as flax has it."""
        W = self.array.matrix
        if self.groups == 1:
            return kernel_of(W, self.window)
        kernels = jax.vmap(lambda matrix: kernel_of(matrix, self.window), out_axes=-2)(W)
        return kernels.reshape(*kernels.shape[:-2], self.out_features)

    def hold(self, kernel: Float[Array, "*window inputs outputs"], scale: Scale = "fill") -> None:
        """Take a kernel as flax has it, in new weights and a new scale.

        Raises:
            InputError: a kernel of another shape.
        """
        shape = (*self.window, self.in_features // self.groups, self.out_features)
        if jnp.shape(kernel) != shape:
            raise InputError("kernel", f"have shape {shape}", f"of shape {jnp.shape(kernel)}")
        if self.groups == 1:
            self.array.hold(matrix_of(kernel), scale)
        else:
            apart = kernel.reshape(*shape[:-1], self.groups, -1)
            self.array.hold(jax.vmap(matrix_of, in_axes=-2)(apart), scale)

    def zero_taps(self, x: Any) -> Factors:
        """The tap for images like `x`: x (images, *places, [groups,] inputs) and delta alike, all batch axes as one."""
        return self.array.zero_taps(jax.eval_shape(self._rows, jax.ShapeDtypeStruct(x.shape, x.dtype)))

    def _batch(self, x) -> tuple[int, ...]:
        if len(x.shape) < len(self.window) + 1 or x.shape[-1] != self.in_features:
            what = f"{len(self.window)} axes of space and {self.in_features} channels"
            raise InputError("x", f"have {what} at its end", f"shape {x.shape}")
        return x.shape[: len(x.shape) - 1 - len(self.window)]

    def _rows(self, x):
        """Patches (images, *places, [groups,] inputs)."""
        batch = self._batch(x)
        images = x.reshape(math.prod(batch), *x.shape[len(batch) :])
        rows = patches(images, self.window, strides=self.strides, padding=self.padding, dilation=self.kernel_dilation)
        return rows.reshape(*rows.shape[:-1], self.groups, -1) if self.groups > 1 else rows


def _along(name: str, number: int | Sequence[int], axes: int) -> tuple[int, ...]:
    numbers = (number,) * axes if isinstance(number, int) else tuple(number)
    if len(numbers) != axes:
        raise InputError(name, f"be a number or one for each of {axes} axes", numbers)
    check_counts(**{f"{name}[{i}]": n for i, n in enumerate(numbers)})
    return numbers
