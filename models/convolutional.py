"""A small convolutional network, in floating point: features for a layer that is learned elsewhere.

    image -> 3 x 3 convolution, 16 -> 3 x 3 convolution, 32 -> linear, 128 -> linear -> logits

Both convolutions have a stride of 2; each layer but the last has a ReLU behind it. What comes out of the third layer
are the features.
"""

import math

import jax
from flax import nnx
from jaxtyping import Array, Float

from hfsim.errors import InputError

CHANNELS = (16, 32)
FEATURES = 128


class ConvolutionalNetwork(nnx.Module):
    """Two convolutions and two linear layers; logits come out.

    Args:
        pixels: of each image, which is square and of one channel.
        classes: how many logits there are.
        rngs: nnx random streams; `params` is used.
    """

    def __init__(self, pixels: int, classes: int, *, rngs: nnx.Rngs):
        self.side = math.isqrt(pixels)
        if pixels < 1 or self.side**2 != pixels:
            raise InputError("pixels", "be the square of an integer >= 1", pixels)
        first, second = CHANNELS
        self.convolutions = nnx.List(
            nnx.Conv(a, b, kernel_size=(3, 3), strides=2, rngs=rngs) for a, b in ((1, first), (first, second))
        )
        left = math.ceil(math.ceil(self.side / 2) / 2)
        self.dense = nnx.Linear(left**2 * second, FEATURES, rngs=rngs)
        self.head = nnx.Linear(FEATURES, classes, rngs=rngs)

    def __call__(self, images: Float[Array, "*batch pixels"]) -> Float[Array, "*batch classes"]:
        """Logits."""
        return self.head(self.features(images))

    def features(self, images: Float[Array, "*batch pixels"]) -> Float[Array, "*batch features"]:
        """What the last layer sees, at least 0."""
        x = images.reshape(-1, self.side, self.side, 1)
        for convolution in self.convolutions:
            x = jax.nn.relu(convolution(x))
        x = jax.nn.relu(self.dense(x.reshape(len(x), -1)))
        return x.reshape(*images.shape[:-1], FEATURES)
