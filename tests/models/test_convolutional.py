"""The small convolutional network: what it computes, and which images it takes."""

import jax
import numpy as np
import pytest
from flax import nnx

from hfsim import InputError
from models import ConvolutionalNetwork
from models.convolutional import FEATURES


def convolved(x, layer):
    """3 x 3 windows with a stride of 2, one after another; padded as flax does, more at the end."""
    kernel, bias = (np.asarray(part.get_value(), np.float64) for part in (layer.kernel, layer.bias))
    size = -(-x.shape[0] // 2)
    total = 2 * (size - 1) + 3 - x.shape[0]
    x = np.pad(x, ((total // 2, total - total // 2),) * 2 + ((0, 0),))
    windows = [[x[2 * i : 2 * i + 3, 2 * j : 2 * j + 3] for j in range(size)] for i in range(size)]
    return np.einsum("ijabc,abco->ijo", np.asarray(windows), kernel) + bias


@pytest.mark.parametrize("side", [8, 7])
def test_it_is_two_convolutions_and_two_layers(side):
    network = ConvolutionalNetwork(side**2, 3, rngs=nnx.Rngs(0))
    image = np.asarray(jax.random.normal(jax.random.key(1), (side**2,)), np.float64)
    x = image.reshape(side, side, 1)
    for layer in network.convolutions:
        x = np.maximum(convolved(x, layer), 0)
    dense, head = network.dense, network.head
    features = np.maximum(x.reshape(-1) @ np.asarray(dense.kernel.get_value()) + np.asarray(dense.bias.get_value()), 0)
    single = np.float32(image)
    np.testing.assert_allclose(network.features(single), features, rtol=0, atol=1e-5)
    logits = features @ np.asarray(head.kernel.get_value()) + np.asarray(head.bias.get_value())
    np.testing.assert_allclose(network(single[None])[0], logits, rtol=0, atol=1e-5)
    assert features.shape == (FEATURES,)


@pytest.mark.parametrize("pixels", [0, 63])
def test_images_that_are_not_square_are_refused(pixels):
    with pytest.raises(InputError, match="`pixels`"):
        ConvolutionalNetwork(pixels, 3, rngs=nnx.Rngs(0))
