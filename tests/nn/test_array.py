"""The array that all layers share: its product, its scale, its initial weights, its refusals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from hfsim import InputError
from hfsim.crossbar.weight_scaling import LargestWeight, WeightDeviations
from hfsim.draws import address
from hfsim.learning import Factors
from hfsim.nn import AnalogArray, AnalogWeight, FillWindow, Frozen
from tests.layer_peripheries import coarse

KEY = jax.random.key(5)


def array(**options):
    return AnalogArray(6, 4, **options, rngs=nnx.Rngs(0))


@pytest.fixture
def x():
    return jax.random.normal(jax.random.key(1), (5, 6))


def test_it_multiplies_by_its_matrix(x):
    for scale in ("fill", None, 0.3, jnp.arange(1.0, 5.0), LargestWeight()):
        one = array(scale=scale)
        expected = np.asarray(x, np.float64) @ np.asarray(one.matrix, np.float64)
        np.testing.assert_allclose(one(x), expected, rtol=0, atol=3e-6)


def test_scales_change_the_weights_and_not_the_matrix():
    plain = array(scale=None).weight.get_value()  # what the initialiser drew
    np.testing.assert_array_equal(plain, jax.nn.initializers.lecun_normal()(nnx.Rngs(0).params(), (6, 4), jnp.float32))
    for scale in ("fill", 2.0, jnp.arange(1.0, 5.0), LargestWeight(), FillWindow(jnp.asarray(0.2), per_column=True)):
        np.testing.assert_allclose(array(scale=scale).matrix, plain, rtol=1e-6)
    np.testing.assert_allclose(array(scale=2.0).weight.get_value(), plain / 2, rtol=1e-6)
    np.testing.assert_allclose(array(scale=jnp.arange(1.0, 5.0)).weight.get_value(), plain / np.arange(1, 5), rtol=1e-6)
    # the largest weight comes to 0.6 of the window, the largest of each column to the fraction asked for
    assert float(jnp.max(jnp.abs(array().weight.get_value()))) == pytest.approx(0.6)
    fraction = array(scale=FillWindow(jnp.asarray(0.2), per_column=True)).weight.get_value()
    np.testing.assert_allclose(jnp.max(jnp.abs(fraction), axis=0), 0.2, rtol=1e-6)


def test_weights_beyond_the_window_are_clipped_where_the_scaling_says():
    clipped = array(scale=WeightDeviations(1.0)).weight.get_value()
    assert float(jnp.max(jnp.abs(clipped))) == 1.0
    assert np.any(np.abs(array(scale=0.1).weight.get_value()) > 1)


def test_holding_a_matrix_replaces_weights_and_scale(x):
    W = jax.random.normal(jax.random.key(2), (6, 4))
    one = array()
    one.hold(W)
    np.testing.assert_allclose(one.matrix, W, rtol=1e-6)
    assert float(jnp.max(jnp.abs(one.weight.get_value()))) == pytest.approx(0.6)
    one.hold(W, 5.0)
    np.testing.assert_allclose(one.weight.get_value(), W / 5, rtol=1e-6)
    bare = array(scale=None)
    bare.hold(W, None)
    np.testing.assert_array_equal(bare.weight.get_value(), W)


def test_several_arrays_multiply_side_by_side(x):
    several = array(arrays=(2, 3))
    inputs = jax.random.normal(KEY, (5, 2, 3, 6))
    assert several.weight.get_value().shape == (2, 3, 6, 4)
    expected = np.einsum("sabi,abio->sabo", np.asarray(inputs, np.float64), np.asarray(several.matrix, np.float64))
    np.testing.assert_allclose(several(inputs), expected, rtol=0, atol=3e-6)
    # drawn one by one, as matrices of 6 inputs: the deviation of a LeCun draw is 1/sqrt(6), not 1/sqrt(36)
    many = AnalogArray(6, 400, arrays=(6,), scale=None, rngs=nnx.Rngs(0)).matrix
    np.testing.assert_allclose(np.std(many), 1 / np.sqrt(6), rtol=0.05)
    assert not np.any(many[0] == many[1])


def test_several_arrays_read_with_draws_of_their_own():
    several, inputs = array(arrays=(3,), periphery=coarse()), jnp.ones((5, 3, 6))
    y = jax.jit(lambda v: several(v, key=KEY))(inputs)
    w, scale = several.weight.get_value(), several.scale.get_value()
    for i in range(3):
        one = jax.jit(lambda i=i: coarse().product(w[i], inputs[:, i], address(KEY, i), 0))()
        np.testing.assert_allclose(y[:, i], one * scale[i], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("arrays", [(), (3,)])
def test_factors_are_the_dense_gradient_of_the_weights(arrays):
    one = array(arrays=arrays, scale=jnp.full((*arrays, 4), 0.3) * jnp.arange(1, 5))
    x = jax.random.normal(KEY, (5, 2, *arrays, 6))
    graph, weights, rest = nnx.split(one, AnalogWeight, ...)

    @jax.jit
    def both(weights, tap):
        loss = lambda w, t: jnp.sum(jnp.sin(nnx.merge(graph, w, rest)(x, t)) ** 2)  # noqa: E731
        return jax.grad(loss, argnums=(0, 1))(weights, tap)

    dense, factors = both(weights, one.zero_taps(x))
    assert isinstance(factors, Factors)
    outer = jnp.einsum("st...i,st...o->...io", factors.x, factors.delta)
    np.testing.assert_allclose(outer, dense["weight"].get_value(), rtol=1e-5, atol=1e-5)


def test_any_leading_axes_are_a_batch(x):
    one = array()
    np.testing.assert_allclose(one(x[0]), one(x)[0], atol=1e-6)
    np.testing.assert_allclose(one(x.reshape(5, 1, 6))[:, 0], one(x), atol=1e-6)
    assert one.zero_taps(x[0]).x.shape == (6,) and one.zero_taps(x[0]).delta.shape == (4,)


def test_it_is_mapped_over_chips(x):
    chips = nnx.vmap(lambda key: AnalogArray(6, 4, periphery=coarse(), rngs=nnx.Rngs(key)))(jax.random.split(KEY, 3))
    graph, state = nnx.split(chips)
    y = jax.jit(jax.vmap(lambda s: nnx.merge(graph, s)(x)))(state)
    for index in range(3):
        one = nnx.merge(graph, jax.tree.map(lambda leaf, i=index: leaf[i], state))
        np.testing.assert_allclose(y[index], jax.jit(lambda v, one=one: one(v))(x), rtol=1e-5, atol=1e-5)


def test_scales_are_kept_or_learned():
    assert list(nnx.to_flat_state(nnx.state(array(), Frozen)))[0][0] == ("scale",)
    learned = array(learn_scale=True, scale=1.0)
    assert [path for path, _ in nnx.to_flat_state(nnx.state(learned, nnx.Param))] == [("scale",), ("weight",)]
    assert [path for path, _ in nnx.to_flat_state(nnx.state(array(scale=None)))] == [("weight",)]


def test_exact_products_are_of_full_precision_unless_told_otherwise(x):
    # asked of the compiler, since a CPU would be precise anyway
    for precision, word in ((None, "HIGHEST"), (jax.lax.Precision.DEFAULT, "DEFAULT")):
        for arrays in ((), (1,)):
            one = array(precision=precision, arrays=arrays)
            assert word in str(jax.make_jaxpr(one)(x.reshape(5, *arrays, 6)))


def test_forward_passes_change_no_variable(x):
    one = array(periphery=coarse())
    before = jax.tree.map(np.asarray, nnx.split(one)[1])
    first, second = one(x, key=KEY), one(x, key=KEY)
    np.testing.assert_array_equal(first, second)
    jax.tree.map(np.testing.assert_array_equal, before, jax.tree.map(np.asarray, nnx.split(one)[1]))


def test_shapes_can_be_asked_for_without_arrays():
    nothing = nnx.eval_shape(lambda: array(periphery=coarse()))
    assert nothing.weight.get_value().shape == (6, 4)


@pytest.mark.parametrize(
    ("argument", "options"),
    [
        ("out_features", dict(out_features=0)),
        (r"arrays\[1\]", dict(arrays=(2, -1))),
        ("learned", dict(learned=("kernel",))),
        ("precision", dict(precision=jax.lax.Precision.DEFAULT, periphery=coarse())),
        ("learn_scale", dict(scale=None, learn_scale=True)),
        ("scale", dict(scale="all")),
        ("scale", dict(scale=jnp.ones(3))),
        ("scale", dict(scale=0.0)),
    ],
)
def test_options_that_make_no_array_are_refused(argument, options):
    with pytest.raises(InputError, match=f"`{argument}`"):
        AnalogArray(**{"in_features": 6, "out_features": 4, "rngs": nnx.Rngs(0), **options})


def test_what_does_not_fit_is_refused(x):
    one = array()
    with pytest.raises(InputError, match="`FillWindow.fraction`"):
        FillWindow(1.5)
    with pytest.raises(InputError, match="`x` must have 6 features on its last axis"):
        one(x[:, :5])
    with pytest.raises(InputError, match=r"`x` must have \(2, 6\) as its last axes"):
        array(arrays=(2,))(x)
    with pytest.raises(InputError, match="`key` must be a typed key"):
        one(x, key=jnp.zeros(2, jnp.uint32))
    with pytest.raises(InputError, match="`tap` must hold"):
        one(x, one.zero_taps(x[:4]))
    with pytest.raises(InputError, match=r"`W` must have shape \(6, 4\)"):
        one.hold(jnp.ones((4, 6)))
    with pytest.raises(InputError, match="`scale` must not be None"):
        one.hold(one.matrix, None)
    with pytest.raises(InputError, match="`scale` must be None"):
        array(scale=None).hold(one.matrix)
