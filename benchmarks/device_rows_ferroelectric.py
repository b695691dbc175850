"""The FeCAP: device-pulses a second of the GB2 ensemble, its error, the price of a gradient, a read of 16,384 cells.

Devices are computed in tiles of 64, which stay in the cache, one train of pulses after the other; the tiles are shared
out over the cores (`python -m benchmarks devices` makes one host device of each).
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

import hfsim
from benchmarks.measure import Row, best_seconds, on_all_cores
from hfsim.circuits import FloatingLine
from hfsim.devices import BuiltInSpread, FerroelectricCapacitor, Pulse, apply_train, ferroelectric_capacitor

NODES, TILE, TILES, PULSES = 32, 64, 64, 256
BAR_PLAIN, BAR_BUILT_IN, BAR_READ, BAR_GRADIENT = 15e6, 8e6, 50e-3, 5.0
CELLS, STEPS = 16_384, 8


def _capacitor(built_in: bool, nodes: int = NODES) -> FerroelectricCapacitor:
    capacitor = ferroelectric_capacitor(hfsim.load_card("hzo-8nm-switching"), nodes=nodes)
    spread = BuiltInSpread(0.3) if built_in else None
    return dataclasses.replace(capacitor, kinetics=dataclasses.replace(capacitor.kinetics, built_in=spread))


def _pulses() -> Pulse:
    generator = np.random.default_rng(0)
    return Pulse(generator.uniform(-2, 2, PULSES), 10 ** generator.uniform(1, 3, PULSES))


def _thicknesses() -> np.ndarray:
    return np.random.default_rng(1).normal(8.3, 0.1, (TILES, TILE)).astype(np.float32)


def _final(capacitor, thickness, pulses):
    """P/P_r of devices of these thicknesses after a train."""
    device = dataclasses.replace(capacitor, t=thickness)
    state = device.init(thickness.shape)
    return device.polarisation(apply_train(device, state, pulses)[0]) / device.P_r


def _error(built_in: bool) -> str:
    """Difference from 2,048 nodes in double precision after each pulse of the train: rms and largest, of 2 P_r."""
    thickness = _thicknesses()[0, :16]

    def trace(nodes, dtype):
        device = dataclasses.replace(_capacitor(built_in, nodes), t=thickness.astype(dtype))
        pulses = jax.tree.map(lambda x: jnp.asarray(np.asarray(x), dtype), _pulses())

        def run(device):
            record = lambda s, p: device.polarisation(s) / device.P_r  # noqa: E731
            return apply_train(device, device.init(thickness.shape), pulses, record=record)[1]

        return np.asarray(jax.jit(run)(device))

    coarse = trace(NODES, np.float32)
    with jax.enable_x64(True):
        difference = np.abs(coarse - trace(2048, np.float64)) / 2
    return f"{np.sqrt(np.mean(difference**2)):.2%} rms, {difference.max():.1%} at most, of 2 P_r"


def _ensemble(built_in: bool, bar: float) -> Row:
    capacitor, pulses = _capacitor(built_in), _pulses()
    run = on_all_cores(lambda t: jax.lax.map(lambda tile: _final(capacitor, tile, pulses), t))
    thickness = _thicknesses()
    seconds = best_seconds(lambda: run(thickness)) / (TILES * TILE * PULSES)
    kind = "with a built-in field per node" if built_in else "one field per device"
    case = f"GB2, {NODES} nodes, {kind}: a device-pulse ({1e-6 / seconds:.1f} M/s), error {_error(built_in)}"
    return Row(case, seconds, "the bar", 1 / bar, 1 / bar / seconds, f"at least {bar:g} a second", seconds * bar <= 1)


def _gradients() -> list[Row]:
    """Value and gradient in every parameter and amplitude, and how their memory grows."""
    capacitor, thickness = _capacitor(False), _thicknesses()[0]

    def total(capacitor, voltage, thickness):
        return jnp.sum(_final(capacitor, thickness, Pulse(voltage, 50.0)))

    forward, both = jax.jit(total), jax.jit(jax.value_and_grad(total, argnums=(0, 1)))

    def ahead(capacitor, voltage, thickness):
        return jax.jvp(lambda v: total(capacitor, v, thickness), (voltage,), (jnp.ones_like(voltage),))

    def kilobytes(function, count):
        compiled = jax.jit(function).lower(capacitor, jnp.ones(count), thickness).compile()
        return compiled.memory_analysis().temp_size_in_bytes / 1024

    voltage = jnp.asarray(_pulses().voltage)
    value = best_seconds(lambda: forward(capacitor, voltage, thickness)) / (TILE * PULSES)
    gradient = best_seconds(lambda: both(capacitor, voltage, thickness)) / (TILE * PULSES)
    reverse, tangent = ([kilobytes(f, n) for n in (PULSES, 16 * PULSES)] for f in (both, ahead))
    holds = reverse[1] <= 6 * reverse[0] and tangent[1] <= 1.5 * tangent[0] + 16 * PULSES * 8 / 1024
    memory = (
        f"  temporaries from {PULSES} to {16 * PULSES} pulses: reverse mode {reverse[0]:.0f} to {reverse[1]:.0f} KiB, "
        f"forward mode {tangent[0]:.0f} to {tangent[1]:.0f} KiB"
    )
    bar = f"at most {BAR_GRADIENT:g} times the value"
    case = "  value and gradient, a device-pulse"
    return [
        Row(case, gradient, "the value alone", value, value / gradient, bar, gradient <= BAR_GRADIENT * value),
        Row(memory, gradient, "the value alone", value, value / gradient, "square root; flat", holds),
    ]


def _array_read() -> Row:
    """One destructive read of 16,384 cells whose P_r, thickness and activation fields vary."""
    card = hfsim.load_card("cea-leti-2025-hybrid")
    capacitor = ferroelectric_capacitor(card, nodes=NODES)
    generator, cells = np.random.default_rng(2), (CELLS // TILE, TILE, 1)
    vary = lambda value, share: np.float32(float(value) * generator.normal(1, share, cells))  # noqa: E731
    spread = vary(capacitor.P_r, 0.1), vary(capacitor.t, 0.02), vary(capacitor.kinetics.b, 0.05)
    pulse = card.build(Pulse, "write_pulse")

    def reader(line):
        def tile(values):
            P_r, t, b = values
            kinetics = dataclasses.replace(capacitor.kinetics, b=b)
            device = dataclasses.replace(capacitor, P_r=P_r, t=t, kinetics=kinetics)
            return line.share(device, device.init((TILE, 1)), pulse)[1]

        return on_all_cores(lambda values: jax.lax.map(tile, values))

    read = reader(card.build(FloatingLine, "bit_line", steps=STEPS))
    seconds = best_seconds(lambda: read(spread))
    exact = reader(card.build(FloatingLine, "bit_line", steps=256))(spread)
    error = 1e3 * float(jnp.abs(read(spread) - exact).max())
    case = f"read of {CELLS:,} cells with spread, {STEPS} sub-steps, within {error:.3f} mV of 256 sub-steps"
    return Row(case, seconds, "the bar", BAR_READ, BAR_READ / seconds, f"below {BAR_READ:g} s", seconds < BAR_READ)


def rows() -> list[Row]:
    """Speed and error of the ensemble, the price of gradients, the read of an array."""
    return [_ensemble(False, BAR_PLAIN), _ensemble(True, BAR_BUILT_IN), *_gradients(), _array_read()]
