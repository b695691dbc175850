"""The kernel on resistive lines: its product, its noise, what comes back, its gradients."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hfsim.circuits import CubicCurve, Wires
from hfsim.crossbar import ADC, DAC, Cells, Differential, Kernel, ReferenceColumn, SingleEnded
from tests.finite_differences import check_parameter_gradients

ROWS, OUTPUTS, V_READ = 12, 5, 0.2
WINDOW = {"G_min": 9.0, "G_max": 88.2}
LINES = {"r_wl": 20.0, "r_bl": 30.0, "R_drive": 100.0, "R_sense": 50.0}  # ohm: a tenth of the currents is lost


@pytest.fixture(scope="module")
def problem():
    rng = np.random.default_rng(0)
    return rng.uniform(-1, 1, (ROWS, OUTPUTS)), rng.uniform(-1, 1, (3, ROWS)), rng.uniform(-1, 1, (3, OUTPUTS))


def kernel_of(encoding, **options):
    return Kernel(encoding, DAC(), ADC(range=1e6), V_READ, wires=Wires(**LINES), **options)


def test_without_resistance_wires_change_nothing(problem):
    W, x, _ = problem
    encoding = Differential(**WINDOW)
    cells = Cells(encoding.targets(jnp.asarray(W)), jnp.full((ROWS, 2 * OUTPUTS), 0.5))
    plain = dataclasses.replace(kernel_of(encoding), wires=None)
    wired = dataclasses.replace(plain, wires=Wires(r_wl=0.0, r_bl=0.0))
    key = jax.random.key(1)
    np.testing.assert_allclose(wired(cells, x), plain(cells, x), atol=1e-5)
    # the same draws, the same deviations but for the rounding of bfloat16
    noise = [np.asarray(k(cells, x, key) - k(cells, x)) for k in (wired, plain)]
    np.testing.assert_allclose(noise[0], noise[1], rtol=5e-3, atol=1e-5)


@pytest.mark.parametrize("encoding", [SingleEnded(**WINDOW), ReferenceColumn(**WINDOW), Differential(**WINDOW)])
def test_currents_are_those_of_the_network(problem, encoding, x64):
    W, x, delta = problem
    encoding = jax.tree.map(lambda p: p.astype(float), encoding)
    G = encoding.targets(jnp.asarray(W))
    kernel = kernel_of(encoding)
    assert kernel.wires is not None
    drive = V_READ * x.sum(axis=1, keepdims=True)
    I = encoding.analog(kernel.wires.currents(G, V_READ * x), drive)
    expected = encoding.digital(I, drive) / (V_READ * encoding.gain)
    np.testing.assert_allclose(kernel(Cells(G), x), expected, rtol=1e-9)
    assert np.max(np.abs(np.asarray(expected) - x @ W)) > 0.1  # the wires matter here
    # backwards the columns are driven at their sensed ends; a unit vector gives the matrix row by row
    columns = encoding.spread(jnp.asarray(delta))[0]
    I = kernel.wires.backward_currents(G, V_READ * columns) - encoding.offset(V_READ * delta.sum(axis=1, keepdims=True))
    np.testing.assert_allclose(kernel.transposed(Cells(G), delta), I / (V_READ * encoding.gain), rtol=1e-6)


@pytest.mark.parametrize("backward", [False, True])
def test_noise_has_the_deviation_of_devices_drawn_one_by_one(problem, backward):
    W, x, delta = problem
    encoding = SingleEnded(**WINDOW)
    G = encoding.targets(jnp.asarray(W, jnp.float32))
    sigma = jnp.asarray(np.random.default_rng(3).uniform(0.2, 1.5, G.shape), jnp.float32)  # uS
    kernel = kernel_of(encoding)
    v = jnp.asarray(delta if backward else x, jnp.float32)

    def product(G, sigma, key):
        cells = Cells(G, sigma)
        return kernel.transposed(cells, v, key) if backward else kernel(cells, v, key)

    keys = jax.random.split(jax.random.key(4), 6000)
    drawn = jax.jit(jax.vmap(lambda key: product(G, sigma, key)))(keys)
    sampled = jax.jit(
        lambda keys: jax.lax.map(lambda k: product(G + sigma * jax.random.normal(k, G.shape), None, k), keys)
    )(keys)
    # 1 % is what 6,000 draws can tell; the first order of the share errs by less here
    ratio = np.asarray(jnp.std(drawn, axis=0) / jnp.std(sampled, axis=0))
    np.testing.assert_allclose(ratio, 1.0, atol=0.04)
    assert abs(np.sqrt(np.mean(ratio**2)) - 1) < 0.012


def test_the_share_is_what_arrives_of_an_extra_current(x64):
    # own-column derivative of the network over the cell's voltage, both ways
    G = jax.random.uniform(jax.random.key(0), (9, 7), minval=9.0, maxval=88.0)
    forward = jax.jit(jax.jacobian(lambda g, w: w.currents(g, jnp.ones(9))))
    backward = jax.jit(jax.jacobian(lambda g, w: w.backward_currents(g, jnp.ones(7))))
    for options in ({}, {"driven": "both", "sensed": "both"}):
        wires = Wires(**{name: 0.02 * r for name, r in LINES.items()}, **options)
        solution = wires.solve(G, jnp.ones(9))
        slopes = forward(G, wires)
        exact = jnp.stack([slopes[j, :, j] for j in range(7)], axis=1) / (solution.word - solution.bit)
        np.testing.assert_allclose(wires.share(G), exact, atol=3e-2 * float(jnp.max(1 - exact)))
        solution = wires.solve(G, jnp.ones(7), backward=True)
        np.testing.assert_allclose(solution.currents, wires.backward_currents(G, jnp.ones(7)), rtol=1e-10)
        slopes = backward(G, wires)
        exact = jnp.stack([slopes[i, i] for i in range(9)]) / (solution.bit - solution.word)
        np.testing.assert_allclose(wires.share(G, backward=True), exact, atol=3e-2 * float(jnp.max(1 - exact)))


def test_gradients_reach_wires_conductances_and_noise(problem, x64):
    W, x, _ = problem
    encoding = Differential(**WINDOW)
    wires = Wires(**LINES, curve=CubicCurve(0.4))
    kernel = Kernel(encoding, DAC(cubic=0.1), ADC(range=40.0, gain=1.1, offset=0.3, sigma=0.05), V_READ, wires=wires)
    rng = np.random.default_rng(5)
    rough = jnp.asarray(rng.uniform(0.2, 1.5, (ROWS, 2 * OUTPUTS)))

    def scalar(kernel):
        cells = Cells(kernel.encoding.targets(jnp.asarray(W)), rough)
        return jnp.sum(jnp.sin(kernel(cells, 0.8 * x, jax.random.key(0))))

    # without rounding the range of the ADC only clips, and nothing steps
    flat = ("adc.range", "dac.quantiser.estimator.width", "adc.quantiser.estimator.width")
    check_parameter_gradients(kernel, scalar, tolerance=1e-5, insensitive=flat)

    G = encoding.targets(jnp.asarray(W))
    moved = jnp.asarray(rng.normal(size=G.shape))

    @jax.jit
    def of_cells(t, s):
        return jnp.sum(jnp.sin(kernel(Cells(G + t * moved, rough + s * moved), x, jax.random.key(0))))

    for argument in (0, 1):
        slope = jax.jit(jax.grad(of_cells, argnums=argument))(0.0, 0.0)
        step = 1e-4
        ends = [of_cells(*(sign * step if i == argument else 0.0 for i in range(2))) for sign in (1, -1)]
        assert float(slope) == pytest.approx(float(ends[0] - ends[1]) / (2 * step), rel=1e-6)


def test_what_comes_back_on_the_chip_goes_through_the_same_wires(problem):
    W, x, delta = problem
    encoding = Differential(**WINDOW)
    kernel = kernel_of(encoding, backward="analog")
    cells = Cells(encoding.targets(jnp.asarray(W, jnp.float32)))
    _, pull = jax.vjp(lambda v: kernel(cells, v), jnp.asarray(x, jnp.float32))
    (back,) = pull(jnp.asarray(delta, jnp.float32))
    np.testing.assert_allclose(back, kernel.transposed(cells, delta), rtol=1e-5)
    assert float(jnp.max(jnp.abs(back - delta @ W.T))) > 0.05
