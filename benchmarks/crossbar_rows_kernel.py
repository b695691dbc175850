"""The kernel: a noisy product beside the bare one, and a thousand chips through ten years.

aihwkit is an optional import (`pip install --no-deps aihwkit`, which needs torch).
"""

import importlib.util
import time

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.measure import Row, best_seconds, interleaved_seconds, on_all_cores
from hfsim.cards import load_card
from hfsim.crossbar import ADC, DAC, Cells, CrossbarDesign, Kernel
from hfsim.devices.retention import CMORetention
from hfsim.draws import address

SIZE, BATCH, BAR_NOISY = 512, 128, 3.0
CHIPS, TILE, VECTORS, BAR_CHIPS = 1000, 64, 100, 0.28
PEER_CHIPS = 20
TIMES = (1.0, 3600.0, 86400.0, 604800.0, 2629800.0, 31557600.0, 315576000.0)


def _array(rows: int, columns: int, batch: int):
    """Conductances of uniform weights, the noise of their reads a day after programming, and uniform inputs."""
    generator = np.random.default_rng(0)
    card = load_card("cmo-hfox-2025")
    design, retention = CrossbarDesign.from_card(card), CMORetention.from_card(card)
    targets = design.encoding.targets(jnp.asarray(generator.uniform(-1, 1, (rows, columns)), jnp.float32))
    state = retention.init((rows, columns), jax.random.key(0))
    state = retention.wait(retention.program(state, targets), 86400.0)
    cells = Cells(retention.conductance(state), retention.read_sigma(state))
    return design, cells, jnp.asarray(generator.uniform(-1, 1, (batch, rows)), jnp.float32)


def _rates() -> tuple[float, float]:
    """The machine's own: float32 operations of a large product a second, and bytes a second of a copy."""
    n, m = 1024, 2**24
    a = jnp.ones((n, n), jnp.float32)
    product = jax.jit(lambda a, b: jnp.matmul(a, b, precision=jax.lax.Precision.HIGHEST))
    long = jnp.ones(m, jnp.float32)
    scaled = jax.jit(lambda x: 1.5 * x)
    return 2 * n**3 / best_seconds(lambda: product(a, a)), 8 * m / best_seconds(lambda: scaled(long))


def _noisy() -> list[Row]:
    """512 x 512, batch 128: 7-bit DAC, 9-bit ADC, read noise of each device."""
    design, cells, x = _array(SIZE, SIZE, BATCH)
    encoding = design.encoding
    adc = ADC(bits=9, range=0.1 * SIZE * encoding.gain * design.V_read)
    kernel = Kernel(encoding, DAC(bits=7), adc, design.V_read)
    key = jax.random.key(1)
    bare = jax.jit(lambda x, G: jnp.matmul(x, G, precision=jax.lax.Precision.HIGHEST))
    noisy = jax.jit(lambda k, c, x, key: k(c, x, key))
    quiet = jax.jit(lambda k, c, x: k(c, x))
    both = jax.jit(jax.value_and_grad(lambda k, c, x, key: jnp.sum(jnp.square(k(c, x, key))), argnums=(0, 1, 2)))
    calls = (
        lambda: bare(x, cells.G),
        lambda: noisy(kernel, cells, x, key),
        lambda: quiet(kernel, cells, x),
        lambda: both(kernel, cells, x, key),
    )
    bare_s, noisy_s, quiet_s, both_s = interleaved_seconds(calls)
    compute, bandwidth = _rates()
    share = 2 * BATCH * SIZE**2 / noisy_s / compute
    read = 8 * SIZE**2 / noisy_s / bandwidth  # each conductance and its noise once
    name = f"{SIZE} x {SIZE}, batch {BATCH}"
    case = (
        f"noisy product {name}: {noisy_s / bare_s:.2f} times the bare one; its multiplications are {share:.0%} of the "
        f"machine's {compute / 1e9:.0f} GFLOP/s, its conductances {read:.0%} of {bandwidth / 1e9:.0f} GB/s"
    )
    bar, matrix = f"at most {BAR_NOISY:g} times", "the bare float32 product"
    return [
        Row(case, noisy_s, matrix, bare_s, bare_s / noisy_s, bar, noisy_s <= BAR_NOISY * bare_s),
        Row("  without read noise", quiet_s, matrix, bare_s, bare_s / quiet_s, "none", None),
        Row("  value and all gradients", both_s, "the noisy product", noisy_s, noisy_s / both_s, "none", None),
    ]


def chip_errors(number, x, targets, ideal, kernel, retention, key):
    """RMSE of a chip's products with `x` at each of TIMES since programming; `number` addresses the chip."""
    state = retention.program(retention.init(targets.shape, address(key, number)), targets)
    snapshots = retention.snapshots(state, np.asarray(TIMES), coarse=True)
    y = jax.vmap(lambda G: kernel(Cells(G), x))(snapshots)
    return jnp.sqrt(jnp.mean(jnp.square(y - ideal), axis=(1, 2)))


def _aihwkit(W, x) -> tuple[float, float] | None:
    """Seconds of aihwkit for all chips, scaled from a few, and its RMSE at ten years; None where it is missing."""
    if importlib.util.find_spec("aihwkit") is None or importlib.util.find_spec("torch") is None:
        return None
    import torch
    from aihwkit.inference.noise.reram import ReRamCMONoiseModel
    from aihwkit.nn import AnalogLinear
    from aihwkit.simulator.configs import InferenceRPUConfig
    from aihwkit.simulator.parameters.enums import BoundManagementType, NoiseManagementType

    configuration = InferenceRPUConfig(drift_compensation=None, noise_model=ReRamCMONoiseModel(acceptance_range=0.002))
    forward = configuration.forward
    forward.inp_res, forward.inp_bound, forward.out_res, forward.out_bound = 1 / 62, 1.0, 1 / 254, 15.0
    forward.inp_noise = forward.out_noise = forward.w_noise = 0.0
    forward.bound_management, forward.noise_management = BoundManagementType.NONE, NoiseManagementType.NONE
    configuration.mapping.weight_scaling_omega = 0.0
    layer = AnalogLinear(TILE, TILE, bias=False, rpu_config=configuration)
    weights, inputs = torch.tensor(np.asarray(W).T), torch.tensor(np.asarray(x))
    ideal = inputs @ weights.T
    layer.set_weights(weights)
    layer.eval()
    began, errors = time.perf_counter(), []
    with torch.no_grad():
        for _ in range(PEER_CHIPS):
            layer.set_weights(weights)
            layer.program_analog_weights()
            for seconds in TIMES:
                layer.drift_analog_weights(seconds)
                error = torch.sqrt(torch.mean((layer(inputs) - ideal) ** 2))
            errors.append(float(error))
    return (time.perf_counter() - began) * CHIPS / PEER_CHIPS, float(np.mean(errors))


def _chips() -> Row:
    """Programming, drift to ten years and 100 products each, of a thousand arrays of 64 x 64."""
    card = load_card("cmo-hfox-2025")
    kernel, retention = CrossbarDesign.from_card(card).kernel(), CMORetention.from_card(card)
    generator = np.random.default_rng(0)
    weights, x = (
        jnp.asarray(generator.uniform(-1, 1, shape), jnp.float32) for shape in ((TILE, TILE), (VECTORS, TILE))
    )
    key = jax.random.key(0)
    targets, ideal = kernel.encoding.targets(weights), jnp.matmul(x, weights, precision=jax.lax.Precision.HIGHEST)
    run = on_all_cores(lambda n: jax.lax.map(lambda i: chip_errors(i, x, targets, ideal, kernel, retention, key), n))
    numbers = jnp.arange(CHIPS)
    seconds = best_seconds(lambda: run(numbers))
    first, last = np.asarray(run(numbers)).mean(axis=0)[[0, -1]]
    case = (
        f"{CHIPS:,} chips x {len(TIMES)} times x {VECTORS} vectors on {TILE} x {TILE}, 16-bit normals: "
        f"RMSE {first:.3f} at 1 s, {last:.3f} at 10 years"
    )
    peer, reference, ratio = _aihwkit(weights, x), None, None
    if peer is not None:
        reference, ratio = peer[0], peer[0] / seconds
        case += f" (aihwkit {peer[1]:.3f})"
    name = f"aihwkit, scaled from {PEER_CHIPS} chips"
    return Row(case, seconds, name, reference, ratio, f"at most {BAR_CHIPS:g} s", seconds <= BAR_CHIPS)


def rows() -> list[Row]:
    """The kernel's rows."""
    return [*_noisy(), _chips()]
