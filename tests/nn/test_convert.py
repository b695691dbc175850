"""Existing flax networks on devices and back: equality with an exact periphery, the benchmark's error with a card."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from hfsim.crossbar import ADC, DAC, Unscaled
from hfsim.crossbar.weight_scaling import WeightDeviations
from hfsim.errors import InputError
from hfsim.learning.programmed_memory import ProgrammedMemory
from hfsim.nn import AnalogWeight, Periphery
from hfsim.nn.convert import convert, reading, restore
from hfsim.nn.converted import AbstractConverted, ConvertedLinear, FoldedNorm

YEARS = 315576000.0
run = nnx.jit(lambda network, x: network(x))


def normal(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def random_norm(features, seed, **options):
    """A batch norm whose statistics are not those it starts with."""
    norm = nnx.BatchNorm(features, use_running_average=True, rngs=nnx.Rngs(0), **options)
    norm.mean.set_value(0.3 * normal(seed, features))
    norm.var.set_value(jnp.abs(normal(seed + 1, features)) + 0.3)
    for number, part in enumerate((norm.scale, norm.bias)):
        if part is not None:
            part.set_value(normal(seed + 2 + number, features))
    return norm


def assert_round_trip(network, x, tolerance=1e-5):
    """Converted, restored, and the untouched network give the same; all as the digital classes again."""
    before = jax.tree.map(lambda leaf: leaf, nnx.state(network))
    y = run(network, x)
    analogue, report = convert(network)
    np.testing.assert_allclose(run(analogue, x), y, atol=tolerance, rtol=1e-5)
    digital = restore(analogue)
    np.testing.assert_allclose(run(digital, x), y, atol=tolerance, rtol=1e-5)
    assert not any(isinstance(m, AbstractConverted) for _, m in nnx.iter_graph(digital))
    jax.tree.map(np.testing.assert_array_equal, before, nnx.state(network))
    assert not any(isinstance(v, AnalogWeight) for _, v in nnx.iter_graph(network))
    return analogue, digital, report


def paths(lines):
    return [line.path for line in lines]


# Round trips


def test_a_convolutional_network_with_batch_norms():
    r = nnx.Rngs(0)
    network = nnx.Sequential(
        nnx.Conv(4, 8, (3, 3), padding="CIRCULAR", rngs=r),
        random_norm(8, 1),
        nnx.relu,
        nnx.Conv(8, 6, (3, 2), strides=(2, 1), kernel_dilation=(1, 2), feature_group_count=2, use_bias=False, rngs=r),
        random_norm(6, 5, use_scale=False),
        lambda x: x.reshape(x.shape[0], -1),
        nnx.Linear(3 * 6 * 6, 5, rngs=r),
        random_norm(5, 9, use_bias=False),
    )
    analogue, digital, report = assert_round_trip(network, normal(0, 2, 6, 6, 4))
    assert paths(report.converted) == ["layers.0", "layers.3", "layers.6"] and not report.kept
    assert [line.remark for line in report.folded] == ["part of layers.0", "part of layers.3", "part of layers.6"]
    assert "36 x 8" in str(report) and "2 x 24 x 3" in str(report)
    assert all(
        isinstance(analogue.layers[i], FoldedNorm) and isinstance(digital.layers[i], FoldedNorm) for i in (1, 4, 7)
    )
    assert isinstance(digital.layers[3], nnx.Conv) and digital.layers[3].use_bias


@pytest.mark.parametrize(
    ("axes", "padding"),
    [(1, "CAUSAL"), (1, "REFLECT"), (1, 2), (2, "SAME"), (2, ((1, 0), (2, 2))), (3, "VALID"), (3, (1, 0, 1))],
)
def test_convolutions_of_one_to_three_axes_and_their_paddings(axes, padding):
    layer = nnx.Conv(2, 3, (3,) * axes, padding=padding, kernel_dilation=2 if axes == 1 else 1, rngs=nnx.Rngs(0))
    assert_round_trip(layer, normal(0, 2, *(8, 6, 5)[:axes], 2))


@pytest.mark.parametrize("kind", [nnx.LSTMCell, nnx.OptimizedLSTMCell, nnx.GRUCell])
def test_recurrent_cells_inside_rnn_and_alone(kind):
    cell = kind(3, 5, rngs=nnx.Rngs(0))
    for _, value in nnx.iter_graph(cell):  # flax starts biases at zero
        if isinstance(value, nnx.Param) and value.get_value().ndim == 1:
            value.set_value(normal(1, *value.get_value().shape))
    network = nnx.RNN(cell)
    x = normal(2, 4, 7, 3)

    def outputs(network, x):
        return network(x, rngs=nnx.Rngs(0))

    analogue, _ = convert(network)
    digital = restore(analogue)
    wanted = outputs(network, x)
    np.testing.assert_allclose(outputs(analogue, x), wanted, atol=1e-5)
    np.testing.assert_allclose(analogue(x), wanted, atol=1e-5)  # zeros need no streams
    np.testing.assert_allclose(outputs(digital, x), wanted, atol=1e-6)
    assert type(digital.cell) is kind
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), nnx.state(digital.cell), nnx.state(cell))
    carry = tuple(normal(3, 2, 4, 5)) if kind is not nnx.GRUCell else normal(3, 4, 5)
    step = [cell(carry, x[:, 0])[1] for cell in (network.cell, analogue.cell)]
    np.testing.assert_allclose(*step, atol=1e-5)


def test_attention_keeps_its_own_code():
    network = nnx.MultiHeadAttention(
        4, 8, qkv_features=12, out_features=6, decode=False, normalize_qk=True, rngs=nnx.Rngs(0)
    )
    for projection in (network.query, network.key, network.value, network.out):
        projection.bias.set_value(normal(1, *projection.bias.get_value().shape))
    q, k = normal(2, 2, 5, 8), normal(3, 2, 7, 8)
    analogue, report = convert(network)
    masked = jnp.asarray(np.random.default_rng(4).random((2, 1, 5, 7)) > 0.3)
    for options in (dict(), dict(mask=masked)):
        wanted = network(q, k, **options)
        np.testing.assert_allclose(analogue(q, k, **options), wanted, atol=1e-5)
        np.testing.assert_allclose(restore(analogue)(q, k, **options), wanted, atol=1e-5)
    assert sorted(paths(report.converted)) == ["key", "out", "query", "value"]
    assert {line.path: line.remark for line in report.kept} == {
        "key_ln": "holds no matrix",
        "query_ln": "holds no matrix",
    }


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (lambda r: nnx.LinearGeneral((2, 3), (4, 5), axis=(1, -1), rngs=r), (6, 2, 7, 3)),
        (lambda r: nnx.LinearGeneral((2, 3), 4, axis=(-1, 1), use_bias=False, rngs=r), (6, 2, 7, 3)),
        (lambda r: nnx.Linear(3, 4, dtype=jnp.float16, rngs=r), (5, 3)),
    ],
)
def test_axes_and_types_of_linear_layers(layer, shape):
    network = layer(nnx.Rngs(0))
    half = getattr(network, "dtype", None) is not None
    x = normal(0, *shape)
    analogue, _, _ = assert_round_trip(network, x, 3e-3 if half else 1e-5)
    assert run(analogue, x).dtype == run(network, x).dtype


class Nested(nnx.Module):
    """Lists, tuples, dictionaries, a shared layer, and parts that stay digital."""

    def __init__(self, r):
        self.blocks = nnx.List([nnx.Linear(4, 4, rngs=r) for _ in range(2)])
        self.pair = nnx.data((nnx.Linear(4, 4, rngs=r), {"inner": nnx.Linear(4, 4, rngs=r)}))
        self.norm = random_norm(4, 1)
        self.shared = self.blocks[1]
        self.embed = nnx.Embed(3, 4, rngs=r)
        self.twisted = Twisted(4, 4, rngs=r)

    def __call__(self, x):
        for block in self.blocks:
            x = nnx.relu(block(x))
        x = self.norm(self.pair[0](x)) + self.pair[1]["inner"](x)
        return self.twisted(self.shared(x)) + self.embed(jnp.arange(x.shape[0]) % 3)


class Twisted(nnx.Linear):
    """A subclass that computes something else."""

    def __call__(self, inputs):
        return super().__call__(inputs[..., ::-1])


def test_nested_modules_and_what_the_report_says():
    analogue, digital, report = assert_round_trip(Nested(nnx.Rngs(0)), normal(0, 5, 4))
    assert sorted(paths(report.converted)) == ["blocks.0", "blocks.1", "pair.0", "pair.1.inner"]
    assert analogue.shared is analogue.blocks[1] and digital.shared is digital.blocks[1]
    remarks = {line.path: line.remark for line in report.kept}
    assert remarks["norm"] == "holds no matrix" and "look-up" in remarks["embed"]
    assert "subclass of Linear" in remarks["twisted"]
    assert not report.folded  # nobody knows that norm follows pair.0 ...


def test_explicit_pairs_are_folded():
    """... unless it is said."""
    network, x = Nested(nnx.Rngs(0)), normal(0, 5, 4)
    analogue, report = convert(network, folded={"pair.0": "norm"})
    assert paths(report.folded) == ["norm"] and isinstance(analogue.norm, FoldedNorm)
    np.testing.assert_allclose(run(analogue, x), run(network, x), atol=1e-5)
    assert isinstance(network.norm, nnx.BatchNorm)


def test_filters_by_path_and_by_function():
    network = Nested(nnx.Rngs(0))
    _, report = convert(network, digital=["blocks", "pair.1.inner"])
    assert paths(report.converted) == ["pair.0"]
    assert sum(line.remark == "left digital by `digital`" for line in report.kept) == 3
    _, report = convert(network, digital=lambda path, module: path.startswith("pair"))
    assert sorted(paths(report.converted)) == ["blocks.0", "blocks.1"]
    _, report = convert(network, digital=["shared"])  # by its other path
    assert "blocks.1" not in paths(report.converted)
    sequence = nnx.Sequential(nnx.Linear(4, 4, rngs=nnx.Rngs(0)), random_norm(4, 1))
    for options in (dict(digital=["layers.0"]), dict(fold_sequential=False)):
        analogue, report = convert(sequence, **options)
        assert not report.folded and isinstance(analogue.layers[1], nnx.BatchNorm)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda r: nnx.Conv(2, 3, (3,), mask=jnp.ones((3, 2, 3)), rngs=r), "mask"),
        (lambda r: nnx.Conv(2, 3, (3,), input_dilation=2, rngs=r), "dilated"),
        (lambda r: nnx.Linear(2, 3, dot_general=lambda *a, **k: jax.lax.dot_general(*a, **k), rngs=r), "product"),
        (lambda r: nnx.LinearGeneral(2, 3, batch_axis={0: 4}, rngs=r), "batch axis"),
        (lambda r: nnx.ConvTranspose(2, 3, (3,), rngs=r), "no analogue layer"),
        (lambda r: nnx.Linear(2, 3, param_dtype=jnp.complex64, rngs=r), "real"),
    ],
)
def test_what_cannot_be_converted_stays_and_says_why(make, reason):
    network = make(nnx.Rngs(0))
    analogue, report = convert(network)
    assert not report.converted and type(analogue) is type(network)
    assert reason in report.kept[0].remark and "(the network)" in str(report)


def test_a_cell_with_other_gates_has_its_matrices_on_devices():
    network = nnx.GRUCell(3, 4, activation_fn=nnx.relu, rngs=nnx.Rngs(0))
    analogue, report = convert(network)
    assert sorted(paths(report.converted)) == ["dense_h", "dense_i"] and type(analogue) is nnx.GRUCell
    x, h = normal(0, 2, 3), normal(1, 2, 4)
    np.testing.assert_allclose(analogue(h, x)[0], network(h, x)[0], atol=1e-5)


# Devices


def test_the_benchmark_through_a_converted_layer():
    """64 x 64, uniform weights and inputs, 6 and 8 bits: 0.073 at 1 s, 0.251 at ten years; eight chips, 7 % each."""
    W, x = (
        jnp.asarray(np.random.default_rng(s).uniform(-1, 1, n), jnp.float32) for s, n in ((0, (64, 64)), (1, (100, 64)))
    )
    layer = nnx.Linear(64, 64, rngs=nnx.Rngs(0))
    layer.kernel.set_value(W)
    periphery = Periphery.from_card("cmo-hfox-2025", scaling=Unscaled(), bound=None)
    graph, weights, rest = nnx.split(convert(layer, periphery=periphery).network, AnalogWeight, ...)
    exact = jnp.matmul(x, W, precision="highest")

    @jax.jit
    def errors(key):
        memory = ProgrammedMemory.from_card("cmo-hfox-2025", key=key)
        state = memory.init(weights)
        networks = [nnx.merge(graph, memory.wait(weights, state, t)[0], rest) for t in (1.0, YEARS)]
        return jnp.stack([jnp.mean((network(x) - exact) ** 2) for network in networks])

    keys = jax.random.split(jax.random.key(3), 8)
    rmse = np.sqrt(np.mean([errors(key) for key in keys], axis=0))
    np.testing.assert_allclose(rmse, [0.073, 0.251], rtol=0.07)


def test_what_devices_lost_is_in_the_restored_network():
    layer = nnx.Linear(20, 10, rngs=nnx.Rngs(0))
    analogue, _ = convert(layer)
    graph, weights, rest = nnx.split(analogue, AnalogWeight, ...)
    halved = nnx.merge(graph, jax.tree.map(lambda w: 0.5 * w, weights), rest)
    np.testing.assert_allclose(restore(halved).kernel.get_value(), 0.5 * layer.kernel.get_value(), rtol=1e-6)
    np.testing.assert_array_equal(restore(halved).bias.get_value(), layer.bias.get_value())


def test_reads_with_noise_by_the_networks_own_code():
    """Same key, same numbers; other keys and layers others; the deviation that of the card's law at 1 s, within 14 %.

    600 outputs, five times the error of a deviation; converters that round nothing.
    """
    network = nnx.Sequential(nnx.Linear(16, 12, rngs=nnx.Rngs(0)), nnx.Linear(12, 8, rngs=nnx.Rngs(1)))
    analogue, _ = convert(network, periphery=Periphery.from_card("cmo-hfox-2025", dac=DAC(), adc=ADC(range=1e6)))
    x = normal(0, 50, 16)
    quiet = run(analogue, x)
    one, again, other = (run(reading(analogue, jax.random.key(k)), x) for k in (0, 0, 1))
    np.testing.assert_array_equal(one, again)
    assert not np.allclose(one, other) and not np.allclose(one, quiet)
    np.testing.assert_array_equal(run(reading(reading(analogue, jax.random.key(0)), None), x), quiet)
    first, second = (reading(analogue, jax.random.key(0)).layers[i].read_key.get_value() for i in (0, 1))
    assert not np.array_equal(jax.random.key_data(first), jax.random.key_data(second))
    layer = analogue.layers[0]
    assert layer.read_key is None
    noise = np.asarray(layer(x, key=jax.random.key(3)) - layer(x))
    W = np.asarray(network.layers[0].kernel.get_value())
    scale = np.max(np.abs(W), axis=0)
    sigma = 0.0277316 * np.log10(48.6 + 39.6 * W / scale) * np.sqrt(np.log(1 / 2e-6)) / 39.6 * scale
    assert np.std(noise / np.sqrt(np.asarray(x) ** 2 @ sigma**2)) == pytest.approx(1.0, abs=5 / np.sqrt(1200))


def test_scale_taps_and_refusals():
    layer = nnx.Linear(6, 4, rngs=nnx.Rngs(0))
    analogue, _ = convert(layer, scale=WeightDeviations(deviations=1.0))
    assert isinstance(analogue, ConvertedLinear)
    s = np.sqrt(np.mean(np.square(layer.kernel.get_value()), axis=0))
    np.testing.assert_allclose(
        restore(analogue).kernel.get_value(), np.clip(layer.kernel.get_value(), -s, s), rtol=1e-5
    )
    x = normal(0, 3, 6)
    tap = analogue.layer.zero_taps(x)
    factors = jax.grad(lambda tap: jnp.sum(analogue(x, tap=tap)))(tap)
    np.testing.assert_array_equal(factors.x, x)
    with pytest.raises(InputError, match="periphery"):
        convert(layer, "cmo-hfox-2025", periphery=Periphery.from_card("cmo-hfox-2025"))
    with pytest.raises(InputError, match="digital"):
        convert(Nested(nnx.Rngs(0)), digital=["nowhere"])
    with pytest.raises(InputError, match="digital"):
        convert(layer, digital="blocks")
    for folded in ({"pair.0": "nowhere"}, {"pair.0": "embed"}, {"blocks.1": "norm"}):
        with pytest.raises(InputError, match="folded"):
            convert(Nested(nnx.Rngs(0)), folded=folded)
    with pytest.raises(InputError, match="out_sharding"):
        analogue(x, out_sharding=object())
