"""A layer with a periphery computes what hfsim.crossbar computes, forwards, backwards and in its noise."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import hfsim
from hfsim import InputError
from hfsim.circuits.converters import ADC, DAC, LearnedStepSize
from hfsim.circuits.wires import Wires
from hfsim.crossbar import Cells, CrossbarDesign, IterativeBound, LargestInput, Mapping, multiply
from hfsim.draws import stream
from hfsim.nn import AnalogArray, AnalogWeight, CMOReadNoise, PCMReadNoise, Periphery, set_age
from tests.crossbar_kernels import product, transposed
from tests.layer_peripheries import V_READ, WINDOW, coarse, make, read_noise, smooth

KEY, SCALE = jax.random.key(5), 1.7


def array(periphery, **options):
    return AnalogArray(6, 4, periphery=periphery, scale=SCALE, **options, rngs=nnx.Rngs(0))


@pytest.fixture
def x():
    return jax.random.normal(jax.random.key(1), (5, 6))


def test_the_product_is_the_kernels(x):
    periphery = coarse()
    one = array(periphery)
    G = periphery.kernel.encoding.targets(one.weight.get_value())
    cells = Cells(G, read_noise().sigma(G))
    for key in (None, KEY):
        expected = product(periphery.kernel, cells, x, key) * SCALE
        np.testing.assert_allclose(jax.jit(one)(x, key=key), expected, rtol=1e-6)
    # the converters are there: a tenth of the outputs' spread, and not the exact product
    assert np.max(np.abs(one(x) - x @ one.matrix)) > 0.02


def test_larger_matrices_take_several_arrays(x):
    periphery = coarse(tile=(4, 3))
    one = array(periphery)
    kernel = periphery.kernel
    G = kernel.encoding.targets(Mapping(kernel.encoding, (4, 3)).split(one.weight.get_value()))
    assert G.shape == (2, 2, 4, 6)
    cells = Cells(G, read_noise().sigma(G))
    expected = jax.jit(lambda x: multiply(kernel, cells, jnp.full(4, SCALE), x, KEY))(x)
    np.testing.assert_allclose(jax.jit(lambda x: one(x, key=KEY))(x), expected, rtol=1e-5, atol=1e-5)


def test_the_way_back_goes_through_the_same_devices(x):
    periphery = coarse()
    one = array(periphery)
    dy = jax.random.normal(jax.random.key(2), (5, 4))
    dx = jax.jit(lambda x: jax.vjp(lambda v: one(v, key=KEY), x)[1](dy)[0])(x)
    cells = periphery.cells(one.weight.get_value())
    expected = transposed(periphery.kernel, cells, dy * SCALE, stream(KEY, "return"))
    np.testing.assert_allclose(dx, expected, rtol=1e-5, atol=1e-6)
    exact = dy @ one.matrix.T
    assert np.max(np.abs(dx - exact)) > 0.02  # as coarse as the way there


def test_a_tap_sees_what_came_back_and_not_the_noise_of_its_own_read(x):
    """delta of a lower layer went through the upper layer's devices; x is the number that was sent."""
    lower, upper = array(smooth()), AnalogArray(4, 3, periphery=coarse(), scale=None, rngs=nnx.Rngs(1))

    @jax.jit
    def factors(x):
        taps = lower.zero_taps(x), upper.zero_taps(jnp.zeros((5, 4)))
        return jax.grad(lambda t: jnp.sum(upper(lower(x, t[0]), t[1], KEY)))(taps)

    first, second = factors(x)
    np.testing.assert_array_equal(first.x, x)
    np.testing.assert_allclose(second.x, lower(x), rtol=1e-5)
    np.testing.assert_array_equal(second.delta, 1.0)
    cells = coarse().cells(upper.weight.get_value())
    back = transposed(coarse().kernel, cells, jnp.ones((5, 3)), stream(KEY, "return"))
    np.testing.assert_allclose(first.delta, back * SCALE, rtol=1e-5)


def test_reads_have_the_devices_noise():
    one = array(make(DAC(range=2.0), ADC(range=1e6), noise=read_noise()))
    x, G = jnp.asarray([1.0, -2.0, 0.5, 0.0, 1.5, 1.0]), one.weight.get_value() * 39.6 + 48.6
    y = jax.jit(jax.vmap(lambda key: one(x, key=key)))(jax.random.split(KEY, 4000))
    # y = sum G v 2/(g V_read) scale with v = V_read x/2: every device adds sigma V_read x/2 of its own
    deviation = np.sqrt(np.sum(np.square(read_noise().sigma(G) * x[:, None]), axis=0)) / 39.6 * SCALE
    np.testing.assert_allclose(np.std(y, axis=0), deviation, rtol=5 / np.sqrt(2 * 4000))
    np.testing.assert_allclose(np.mean(y, axis=0), one(x), atol=5 * np.max(deviation) / np.sqrt(4000))


def test_a_networks_reads_can_be_aged(x):
    noise = CMOReadNoise(K_read=0.0277, read_factor=5.0, t_read=1000.0, age=1.0)
    network = nnx.List([array(make(DAC(range=5.0), ADC(range=1e6), noise=noise)), array(None)])
    set_age(network, 3600.0)
    hour = make(DAC(range=5.0), ADC(range=1e6), noise=read_noise())  # the same law, an hour old
    aged, expected = (jax.jit(lambda v, one=one: one(v, key=KEY))(x) for one in (network[0], array(hour)))
    np.testing.assert_allclose(aged, expected, rtol=1e-5)
    with pytest.raises(InputError, match="`network` must hold arrays with read noise"):
        set_age(array(smooth()), 1.0)
    with pytest.raises(InputError, match="`seconds` must be at least 0"):
        set_age(network, -1.0)


@pytest.mark.parametrize("tile", [None, (4, 3)])
def test_a_split_batch_draws_the_same(x, tile):
    one = array(make(DAC(range=5.0), ADC(range=1e6), noise=read_noise(), tile=tile))
    x = jnp.stack([x, -x, 2 * x], axis=1)[:4]  # (4, 3, 6): `first` counts along the leading axis
    read = jax.jit(lambda v, first: one(v, key=KEY, first=first))
    whole = read(x, 0)
    np.testing.assert_allclose(jnp.concatenate([read(x[:2], 0), read(x[2:], 2)]), whole, rtol=1e-5, atol=1e-5)
    assert np.all(np.abs(read(x[2:], 0) - whole[2:]) > 0)
    other = jax.jit(lambda v: one(v, key=jax.random.key(6)))(x)
    assert np.all(other != whole)


def test_gradients_of_inputs_scale_and_weights(x64):
    """Central differences, where nothing is rounded or clipped."""
    one = array(smooth(), learn_scale=True)
    graph, state = nnx.split(one)
    wide = jax.tree.map(lambda leaf: leaf.astype(jnp.float64), state)
    x = jax.random.normal(jax.random.key(1), (5, 6), jnp.float64)
    weights = jax.random.normal(jax.random.key(2), (5, 4), jnp.float64)
    fixed = nnx.split(nnx.merge(graph, wide), nnx.Param, ...)

    @jax.jit
    def loss(params, x):
        return jnp.sum(weights * jnp.tanh(nnx.merge(fixed[0], params, fixed[2])(x, key=KEY)))

    arguments = (fixed[1], x)
    along = jax.tree.map(lambda leaf: jax.random.normal(jax.random.key(leaf.size), leaf.shape, leaf.dtype), arguments)
    step = 1e-6
    ends = [loss(*jax.tree.map(lambda a, b, s=s: a + s * step * b, arguments, along)) for s in (1, -1)]
    gradient = jax.grad(loss, argnums=(0, 1))(*arguments)
    slope = sum(jnp.vdot(a, b) for a, b in zip(jax.tree.leaves(gradient), jax.tree.leaves(along), strict=True))
    np.testing.assert_allclose(slope, (ends[0] - ends[1]) / (2 * step), rtol=1e-7)


def test_noise_is_differentiated_through_the_weights(x, x64):
    one = array(make(DAC(range=5.0), ADC(range=1e6), noise=read_noise()))
    graph, weights, rest = nnx.split(one, AnalogWeight, ...)
    wide = jax.tree.map(lambda leaf: leaf.astype(jnp.float64), (weights, rest))
    loss = jax.jit(lambda w: jnp.sum(nnx.merge(graph, w, wide[1])(x.astype(jnp.float64), key=KEY) ** 2))
    along = jax.tree.map(lambda leaf: jnp.cos(jnp.arange(leaf.size)).reshape(leaf.shape), wide[0])
    ends = [loss(jax.tree.map(lambda a, b, s=s: a + s * 1e-6 * b, wide[0], along)) for s in (1, -1)]
    slope = jnp.vdot(*(jax.tree.leaves(t)[0] for t in (jax.grad(loss)(wide[0]), along)))
    np.testing.assert_allclose(slope, (ends[0] - ends[1]) / 2e-6, rtol=1e-6)


def test_a_learned_converter_range_has_the_gradient_of_its_clipping(x):
    one = array(make(DAC(range=5.0), ADC(range=1e-3), noise=None), learned=("kernel.adc.range",))
    graph, learned, rest = nnx.split(one, lambda path, _: path[-1] == "range" and "adc" in path, ...)
    loss = jax.jit(lambda p: jnp.sum(jnp.abs(nnx.merge(graph, p, rest)(x))))
    (gradient,) = jax.tree.leaves(jax.grad(loss)(learned))
    # all outputs saturate: each is +-range DAC.range/(g V_read) times the scale
    np.testing.assert_allclose(gradient, 20 * 5.0 / (39.6 * V_READ) * SCALE, rtol=1e-5)


def test_learned_step_sizes_are_learned(x):
    converters = (
        DAC(bits=4, range=2.0, quantiser=LearnedStepSize()),
        ADC(bits=5, range=20.0, quantiser=LearnedStepSize()),
    )
    one = array(make(*converters, noise=None), learned=("kernel.dac.range", "kernel.adc.range"))
    graph, learned, rest = nnx.split(one, lambda path, _: path[-1] == "range", ...)
    slopes = jax.jit(jax.grad(lambda p: jnp.sum(nnx.merge(graph, p, rest)(x) ** 2)))(learned)
    values = jax.tree.leaves(slopes)
    assert len(values) == 2 and all(np.isfinite(v) and v != 0 for v in values)


def test_the_periphery_of_a_card():
    card = hfsim.load_card("cmo-hfox-2025")
    made = Periphery.from_card(card, age=60.0, tile=(64, 32), bound=None)
    assert made.kernel.backward == "analog" and made.kernel.bound is None and made.tile == (64, 32)
    assert isinstance(made.kernel.scaling, LargestInput)
    assert isinstance(made.noise, CMOReadNoise) and float(made.noise.age) == 60.0
    described = CrossbarDesign.from_card(card).kernel()
    assert made.kernel.dac.bits == described.dac.bits == 6 and float(made.kernel.encoding.G_max) == pytest.approx(88.2)
    assert isinstance(Periphery.from_card("cmo-hfox-2025").kernel.bound, IterativeBound)
    assert isinstance(Periphery.from_card("pcm-nandakumar-2019").noise, PCMReadNoise)
    assert Periphery.from_card("wan-2022-reram").noise is None
    assert float(Periphery.from_card(card, wires=True).kernel.wires.r_wl) == pytest.approx(0.35)
    own = Periphery.from_card(card, wires=Wires(r_wl=2.0, r_bl=3.0)).kernel.wires
    assert (float(own.r_wl), float(own.r_bl)) == (2.0, 3.0)


def test_what_makes_no_periphery_is_refused():
    kernel = coarse().kernel
    with pytest.raises(InputError, match="`kernel` must be"):
        Periphery(WINDOW)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="`noise` must be"):
        Periphery(kernel, lambda G: G)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="`tile` must be"):
        Periphery(kernel, tile=(0, 3))
