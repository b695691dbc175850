"""The analogue linear layer beside flax's."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from hfsim import InputError
from hfsim.nn import AnalogLinear
from tests.layer_peripheries import coarse

KEY = jax.random.key(5)


@pytest.fixture
def layer():
    layer = AnalogLinear(6, 4, rngs=nnx.Rngs(0))
    assert layer.bias is not None
    np.testing.assert_array_equal(layer.bias.get_value(), 0.0)
    layer.bias.set_value(jnp.arange(4.0))
    return layer


@pytest.fixture
def x():
    return jax.random.normal(jax.random.key(1), (5, 6))


def test_it_computes_what_flax_computes(layer, x):
    other = nnx.Linear(6, 4, precision="highest", rngs=nnx.Rngs(0))
    other.kernel.set_value(layer.array.matrix)
    other.bias.set_value(layer.bias.get_value())
    np.testing.assert_allclose(layer(x), other(x), rtol=0, atol=2e-6)


def test_the_same_streams_draw_what_flax_draws():
    ours, theirs = AnalogLinear(30, 20, rngs=nnx.Rngs(3)), nnx.Linear(30, 20, rngs=nnx.Rngs(3))
    np.testing.assert_allclose(ours.array.matrix, theirs.kernel.get_value(), rtol=1e-6)
    assert not np.any(AnalogLinear(30, 20, rngs=nnx.Rngs(4)).array.matrix == ours.array.matrix)


def test_a_bias_is_digital_and_optional(layer, x):
    assert AnalogLinear(6, 4, use_bias=False, rngs=nnx.Rngs(0)).bias is None
    delta = jax.grad(lambda tap: jnp.sum(layer(x, tap) ** 2))(layer.zero_taps(x)).delta
    scale = layer.array.scale.get_value()
    np.testing.assert_allclose(delta, 2 * layer(x) * scale, rtol=1e-5)
    graph, state = nnx.split(layer)
    slope = jax.grad(lambda s: jnp.sum(nnx.merge(graph, s)(x) ** 2), allow_int=True)(state)
    np.testing.assert_allclose(slope["bias"].get_value(), jnp.sum(2 * layer(x), axis=0), rtol=1e-5)


def test_tap_key_and_first_reach_the_array(x):
    layer = AnalogLinear(6, 4, use_bias=False, periphery=coarse(), rngs=nnx.Rngs(0))
    tap = layer.zero_taps(x)
    y = jax.jit(lambda v: layer(v, tap, KEY, first=3))(x)
    np.testing.assert_allclose(y, jax.jit(lambda v: layer.array(v, key=KEY, first=3))(x), rtol=1e-6)
    assert np.any(y != jax.jit(lambda v: layer(v, tap, KEY))(x))


@pytest.mark.parametrize(("inputs", "outputs"), [(0, 3), (3, -1), (2.0, 3), (3, "4"), (True, 3)])
def test_sizes_that_are_no_counts_are_refused(inputs, outputs):
    with pytest.raises(InputError, match="`(in|out)_features` must be an integer >= 1"):
        AnalogLinear(inputs, outputs, rngs=nnx.Rngs(0))


def test_importing_layers_starts_no_backend():
    # jax.distributed must be set up before the first array, so an import must make none
    check = "import hfsim.nn, jax._src.xla_bridge as b; assert not b.backends_are_initialized()"
    subprocess.run([sys.executable, "-c", check], check=True, timeout=120)
