"""The same kernel however it is run: eager, compiled, in parts, on several devices, over chips; what is compiled."""

import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest

from hfsim.crossbar import (
    ADC,
    DAC,
    BitSerial,
    Cells,
    Differential,
    IterativeBound,
    Kernel,
    LargestInput,
    ReferenceColumn,
    SingleEnded,
    TwoPasses,
)
from tests.crossbar_kernels import OUTPUTS, ROWS, V_READ, WINDOW, encodings, grid, make, noisy_cells, product

W, X = grid(0, ROWS, OUTPUTS), np.random.default_rng(1).uniform(-1, 1, (10, ROWS))
ENCODING = ReferenceColumn(**WINDOW)
UNIT = float(ENCODING.gain) * V_READ
FULL = dict(
    dac=DAC(bits=6, sigma=0.02, cubic=0.03),
    adc=ADC(bits=8, range=4 * UNIT, sigma=0.5),
    scaling=LargestInput(),
    bound=IterativeBound(),
)


# ------------------------------------------------------------------------------------------- one result


def test_eager_and_compiled_agree(key):
    # rounding may move a current across a tie: few codes, by one
    step = 4 / 127
    cells = noisy_cells(ENCODING, W)
    kernel = make(ENCODING, **{**FULL, "bound": None})
    eager, compiled = kernel(cells, jnp.asarray(X), key), product(kernel, cells, X, key)
    apart = np.abs(eager - compiled) / np.asarray(kernel.scaling.scale(jnp.asarray(X)))
    assert np.mean(apart > 1e-4) < 0.05 and apart.max() < 1.1 * step
    before = make(ENCODING, dac=FULL["dac"], adc=ADC(range=1e6, sigma=0.5))
    np.testing.assert_allclose(before(cells, jnp.asarray(X), key), product(before, cells, X, key), atol=1e-5)


@pytest.mark.parametrize(("name", "split"), [("reference", (4, 3, 3)), ("sliced pairs", (1, 9))])
def test_draws_are_the_same_to_the_bit_for_any_split_of_a_batch(name, split, key):
    # voltages and deviations are powers of two, so that no sum is rounded: equal draws give equal bits
    encoding = encodings()[name]
    shape = encoding.targets(jnp.zeros((ROWS, OUTPUTS))).shape
    cells = Cells(jnp.full(shape, 32.0), jnp.full(shape, 0.5))
    kernel = Kernel(encoding, DAC(), ADC(range=2.0**20, sigma=0.5), 0.25)
    x = np.sign(X)
    starts = np.cumsum((0, *split))
    whole = product(kernel, cells, x, key)
    parts = [product(kernel, cells, x[a:b], key, a) for a, b in zip(starts, starts[1:], strict=False)]
    np.testing.assert_array_equal(jnp.concatenate(parts), whole)
    assert len(np.unique(np.asarray(whole), axis=0)) == 10  # and every row has draws of its own


def test_values_before_the_converter_are_the_same_for_any_split(key):
    kernel, cells = make(ENCODING, dac=FULL["dac"], adc=ADC(range=1e6, sigma=0.5)), noisy_cells(ENCODING, W)
    whole = product(kernel, cells, X, key)
    parts = [product(kernel, cells, X[a:b], key, a) for a, b in ((0, 1), (1, 6), (6, 10))]
    np.testing.assert_allclose(jnp.concatenate(parts), whole, atol=1e-5)


@pytest.mark.parametrize("starts", [(0, 4, 8), (0, 1, 5, 9)])
def test_everything_is_the_same_to_the_bit_at_one_compiled_shape(starts, key):
    kernel, cells = make(ENCODING, **FULL), noisy_cells(ENCODING, W)
    padded = np.concatenate([X, np.zeros((4, ROWS))])
    reference = np.concatenate([product(kernel, cells, padded[n : n + 4], key, n) for n in (0, 4, 8)])[:10]
    ends = [*starts[1:], 10]
    parts = [
        np.asarray(product(kernel, cells, np.where(np.arange(4)[:, None] < b - a, padded[a : a + 4], 0), key, a))[
            : b - a
        ]
        for a, b in zip(starts, ends, strict=True)
    ]
    np.testing.assert_array_equal(np.concatenate(parts), reference)


def test_a_population_of_chips_equals_a_loop(key):
    kernel = make(ENCODING, **FULL)
    chips = [noisy_cells(ENCODING, grid(seed, ROWS, OUTPUTS), seed) for seed in range(3)]
    keys = jax.random.split(key, 3)
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *chips)
    mapped = jax.jit(jax.vmap(lambda c, k: kernel(c, jnp.asarray(X), k)))(stacked, keys)
    for one, cells, k in zip(mapped, chips, keys, strict=True):
        np.testing.assert_allclose(one, product(kernel, cells, X, k), atol=1e-4)


FOUR_DEVICES = """
import jax, jax.numpy as jnp, numpy as np
from jax.sharding import NamedSharding, PartitionSpec as P
from hfsim.crossbar import ADC, DAC, Cells, Mapping, ReferenceColumn, multiply
from tests.crossbar_kernels import WINDOW, make

assert jax.device_count() == 4
mesh = jax.make_mesh((4,), ("d",), axis_types=(jax.sharding.AxisType.Auto,))
encoding, key = ReferenceColumn(**WINDOW), jax.random.key(0)
rng = np.random.default_rng(0)
W, X = rng.uniform(-1, 1, (24, 8)), jnp.asarray(rng.uniform(-1, 1, (8, 24)), jnp.float32)
placed = Mapping(encoding, (6, 4)).place(jnp.asarray(W, jnp.float32))  # 4 x 2 tiles
cells = Cells(placed.targets, 0.01 * placed.targets)
kernel = make(encoding, dac=DAC(bits=6, sigma=0.02), adc=ADC(range=1e6, sigma=0.5))
run = jax.jit(lambda c, x, k: multiply(kernel, c, placed.scale, x, k))
one = np.asarray(run(cells, X, key))
batch = run(cells, jax.device_put(X, NamedSharding(mesh, P("d"))), key)
tiles = run(jax.device_put(cells, NamedSharding(mesh, P("d"))), X, key)
assert len(batch.sharding.device_set) == 4
np.testing.assert_allclose(batch, one, atol=1e-5)
np.testing.assert_allclose(tiles, one, atol=1e-5)
assert np.abs(one - np.asarray(X) @ W).max() > 0.1  # noise is in it
print("equal")
"""


def test_one_device_equals_four():
    root = Path(__file__).parents[2]
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=4"
    environment = {**os.environ, "XLA_FLAGS": flags.strip(), "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(root)}
    done = subprocess.run(
        [sys.executable, "-c", FOUR_DEVICES], cwd=root, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.stdout.strip() == "equal", done.stderr


# ------------------------------------------------------------------------------------ what it compiles to


def equations(jaxpr):
    """All equations, those of inner functions too."""
    for equation in jaxpr.eqns:
        yield equation
        for value in jax.tree.leaves(tuple(equation.params.values()), is_leaf=lambda v: hasattr(v, "eqns")):
            inner = getattr(value, "jaxpr", value)
            if hasattr(inner, "eqns"):
                yield from equations(inner)


BATCH, LINES, COLUMNS = 7, 11, 13


def kernels():
    return {
        "reference": make(ENCODING, **FULL),
        "pair": make(Differential(**WINDOW), **{**FULL, "bound": None}, inputs=TwoPasses()),
        "bit by bit": make(SingleEnded(**WINDOW), **{**FULL, "bound": None}, inputs=BitSerial()),
        "analog": make(Differential(**WINDOW), **{**FULL, "bound": None}, backward="analog"),
    }


def arguments(kernel):
    rng = np.random.default_rng(0)
    return noisy_cells(kernel.encoding, rng.uniform(-1, 1, (LINES, COLUMNS))), jnp.asarray(
        rng.uniform(-1, 1, (BATCH, LINES))
    )


def value_and_gradient(kernel, cells, x, key):
    return jax.value_and_grad(lambda p: jnp.sum(p[0](p[1], p[2], key) ** 2))((kernel, cells, x))


@pytest.mark.parametrize("name", kernels())
def test_products_name_their_precision_and_no_array_of_batch_times_cells_is_made(name, key):
    kernel = kernels()[name]
    cells, x = arguments(kernel)
    found = list(equations(jax.make_jaxpr(value_and_gradient)(kernel, cells, x, key).jaxpr))
    highest = (jax.lax.Precision.HIGHEST,) * 2
    coarse = 0
    for equation in found:
        if equation.primitive.name == "dot_general":
            narrow = any(v.aval.dtype == jnp.bfloat16 for v in equation.invars)
            assert narrow or equation.params["precision"] == highest, equation
            coarse += narrow
            assert equation.outvars[0].aval.dtype == jnp.float32, equation  # whose sums are in float32
        for variable in equation.outvars:
            assert getattr(variable.aval, "size", 0) < BATCH * LINES * COLUMNS, equation
    assert coarse > 0 and sum(e.primitive.name == "dot_general" for e in found) > coarse


def test_a_coarser_precision_is_used_where_it_is_asked_for():
    kernel = make(Differential(**WINDOW), precision=jax.lax.Precision.DEFAULT)
    cells, x = arguments(kernel)
    found = equations(jax.make_jaxpr(lambda: kernel(cells, x))().jaxpr)
    used = [e.params["precision"] for e in found if e.primitive.name == "dot_general"]
    assert (jax.lax.Precision.DEFAULT,) * 2 in used


@pytest.mark.parametrize("name", kernels())
def test_the_kernel_and_its_gradient_lower_for_every_platform(name, key):
    kernel = kernels()[name]
    platforms = ["cpu", "cuda", "tpu"]
    exported = jax.export.export(jax.jit(value_and_gradient), platforms=platforms)(kernel, *arguments(kernel), key)
    assert exported.platforms == tuple(platforms)
    assert "precision = [HIGHEST, HIGHEST]" in exported.mlir_module()
