"""Wires of a crossbar against badcrossbar on the same work: 32 inputs, 9-88 uS, 0.35 ohm a segment, float32.

Inputs are shared out over the cores (one host device each), and solved 8 at a time. badcrossbar is an optional import;
`badcrossbar.compute` needs numpy, scipy, pathvalidate and sigfig (its plots also cairo: `pip install --no-deps` does
without).
"""

import functools
import importlib
import logging
import time
import warnings

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.measure import Row, best_seconds, on_all_cores
from hfsim.circuits.read_curve import SinhCurve
from hfsim.circuits.wires import Wires

INPUTS, SEGMENT = 32, 0.35
BAR_RATIO, BAR_GRADIENT, BAR_ERROR = 20.0, 2.5, 1e-5


@functools.cache
def _work(size: int, hard: bool = False):
    """Conductances [uS], inputs [V] and weights of a loss; with `hard` all devices at 100 uS."""
    generator = np.random.default_rng(size)
    G = np.full((size, size), 100.0) if hard else generator.uniform(9.0, 88.0, (size, size))
    V = generator.uniform(-0.2, 0.2, (INPUTS, size))
    return tuple(x.astype(np.float32) for x in (G, V, generator.normal(size=(INPUTS, size))))


def _peer(G, V) -> tuple[float, np.ndarray] | None:
    """badcrossbar's seconds and currents [uA], or None where it is not installed."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its plots do without cairo
            compute = importlib.import_module("badcrossbar").compute
    except (ImportError, AttributeError):
        return None
    logging.disable(logging.INFO)  # the package turns logging on when it is imported
    R, applied = 1e6 / np.float64(G), np.float64(V).T
    took = []
    for _ in range(3 if len(G) < 256 else 1):
        began = time.perf_counter()
        output = compute(applied, R, r_i=SEGMENT, all_currents=False, node_voltages=False).currents.output
        took.append(time.perf_counter() - began)
    logging.disable(logging.NOTSET)
    return min(took), 1e6 * np.asarray(output)


def _against_peer(size: int) -> tuple[Row, float]:
    G, V, _ = _work(size)
    wires = Wires(SEGMENT, SEGMENT)
    run = on_all_cores(lambda v: wires.currents(G, v))
    seconds = best_seconds(lambda: run(V), repeats=5)
    case = f"wires: {size} x {size}, {INPUTS} inputs"
    peer = _peer(G, V)
    if peer is None:
        return Row(case, seconds, "badcrossbar", None, None, f"at least {BAR_RATIO:g} times faster", None), seconds
    peer_seconds, currents = peer
    error = float(np.abs(run(V) - currents).max() / np.abs(currents).max())
    ratio = peer_seconds / seconds
    case = f"{case}, within {error:.1e} of its currents"
    bar = f"at least {BAR_RATIO:g} times faster"
    return Row(case, seconds, "badcrossbar", peer_seconds, ratio, bar, ratio >= BAR_RATIO), seconds


def _gradient(size: int, forward: float) -> Row:
    """Value and gradient in all conductances, inputs and resistances."""
    G, V, weight = _work(size)

    def both(shared):
        def loss(wires, G, V):
            return jnp.sum(shared[1] * wires.currents(G, V))

        value, slopes = jax.value_and_grad(loss, argnums=(0, 1, 2))(Wires(SEGMENT, SEGMENT), G, shared[0])
        return jax.tree.map(lambda x: x[None], (value, slopes))

    run = on_all_cores(both)
    seconds = best_seconds(lambda: run((V, weight)), repeats=5)
    case = f"  {size} x {size}, value and gradient in conductances, inputs and all resistances"
    bar = f"at most {BAR_GRADIENT:g} times the value"
    return Row(case, seconds, "its value", forward, forward / seconds, bar, seconds <= BAR_GRADIENT * forward)


def _precision(size: int, hard: bool) -> Row:
    """float32 against float64 of the same inputs, relative to the largest current."""
    G, V, _ = _work(size, hard)
    V = V[:8]
    run = jax.jit(lambda g, v: Wires(SEGMENT, SEGMENT).currents(g, v))
    seconds = best_seconds(lambda: run(G, V), repeats=3)
    single = np.asarray(run(G, V))
    with jax.enable_x64(True):
        double = jax.jit(lambda g, v: Wires(SEGMENT, SEGMENT).currents(g, v))
        wide = G.astype(float), V.astype(float)
        reference = best_seconds(lambda: double(*wide), repeats=1)
        exact = np.asarray(double(*wide))
    error = float(np.abs(single - exact).max() / np.abs(exact).max())
    case = f"  {size} x {size}, {'100' if hard else '9-88'} uS, 8 inputs, one core: {error:.1e} from float64"
    bar = f"float32 within {BAR_ERROR:g}"
    return Row(case, seconds, "float64", reference, reference / seconds, bar, error <= BAR_ERROR)


def _first_order(size: int, forward: float) -> Row:
    """The price of the correction, and what it leaves of the error that the wires make."""
    G, V, _ = _work(size)
    wires = Wires(SEGMENT, SEGMENT)
    run = jax.jit(lambda g, v: wires.first_order(g, v))
    seconds = best_seconds(lambda: run(G, V))
    exact = wires.currents(G, V)
    rms = lambda x: float(jnp.sqrt(jnp.mean((x - exact) ** 2) / jnp.mean(exact**2)))  # noqa: E731
    case = f"  {size} x {size}, first order: rms error {rms(run(G, V)):.2%}, {rms(V @ G):.0%} without wires"
    return Row(case, seconds, "the solution", forward, forward / seconds, "cheaper", seconds < forward)


def _curved(size: int, forward: float) -> Row:
    G, V, _ = _work(size)
    wires = Wires(SEGMENT, SEGMENT, curve=SinhCurve(0.2))
    run = on_all_cores(lambda v: wires.currents(G, v))
    seconds = best_seconds(lambda: run(V), repeats=3)
    case = f"  {size} x {size}, sinh devices of V_0 = 0.2 V, inputs of 0.2 V"
    return Row(case, seconds, "ohmic devices", forward, forward / seconds, "none", None)


def rows() -> list[Row]:
    """Speed against badcrossbar, the price of gradients, precision, the first order, curved devices."""
    result = []
    for size in (128, 512):
        row, forward = _against_peer(size)
        result += [row, _gradient(size, forward), _precision(size, hard=False), _first_order(size, forward)]
        if size == 128:
            result.append(_curved(size, forward))
    return [*result, _precision(512, hard=True)]
