"""Pulsed devices: n pulses at once against a compiled scan of n single steps, in device-pulses a second.

Every device gets its own number of pulses, -31 to 31, as a learning rule sends them; a case's device-pulses count only
those that are applied, while the scan of single steps has to run to the longest train.
"""

import jax
import jax.numpy as jnp

import hfsim
from benchmarks.measure import Row, best_seconds
from hfsim.devices.pulsed import (
    AbstractPulsedDevice,
    AdditiveNoise,
    PiecewiseStep,
    PowerStep,
    StepTable,
    pulsed_device,
)

SHAPE, LONGEST = (512, 512), 31


def devices() -> dict[str, AbstractPulsedDevice]:
    """A device of each kind of train, all of CMO/HfOx granularity."""
    soft = pulsed_device(hfsim.load_card("cmo-hfox-2025-pulsed"))
    common = {name: getattr(soft, name) for name in ("dw_min", "up_down", "w_min", "w_max", "G_0", "g")}
    table = StepTable(jnp.linspace(1.5, 0.1, 8), jnp.linspace(0.1, 1.5, 8))
    gamma = {"gamma_up": jnp.asarray(1.4), "gamma_down": jnp.asarray(0.7)}
    return {
        "soft bounds, closed": soft,
        "power step, scanned": PowerStep(**common, noise=AdditiveNoise(jnp.asarray(0.86)), **gamma),
        "piecewise step, scanned": PiecewiseStep(**common, noise=AdditiveNoise(jnp.asarray(0.86)), table=table),
    }


def _singles(device, state, n, key):
    def step(state, i):
        own = jax.random.fold_in(key, i)
        return device.step(state, jnp.where(i < jnp.abs(n), jnp.sign(n), 0), own), None

    return jax.lax.scan(step, state, jnp.arange(LONGEST))[0]


def rows() -> list[Row]:
    """Seconds of an event of trains on 512 x 512 devices, and of value and gradient together."""
    key = jax.random.key(0)
    n = jax.random.randint(key, SHAPE, -LONGEST, LONGEST + 1)
    applied = int(jnp.sum(jnp.abs(n)))
    result = []
    for name, device in devices().items():
        state = device.init(SHAPE)
        single = jax.jit(_singles)
        reference = best_seconds(lambda f=single, d=device, s=state: f(d, s, n, key), repeats=3)
        options = [{"rounds": 2}, {"rounds": 1}] if "closed" in name else [{}]
        for option in options:
            train = jax.jit(lambda d, s, n, k, o=option: d.pulses(s, n, k, limit=LONGEST, **o))
            seconds = best_seconds(lambda f=train, d=device, s=state: f(d, s, n, key))
            label = "".join(f", {k} {v}" for k, v in option.items())
            case = f"pulsed: {name}{label}: {applied / seconds / 1e6:.0f} M device-pulses/s"
            ratio = reference / seconds
            result.append(Row(case, seconds, f"{LONGEST} single steps", reference, ratio, "cheaper", ratio > 1))
        result.append(_gradient(name, device, state, n, key))
    return result


def _gradient(name, device, state, n, key) -> Row:
    def total(device):
        return jnp.sum(device.pulses(state, n, key, limit=LONGEST).w)

    forward = best_seconds(lambda f=jax.jit(total): f(device))
    both = best_seconds(lambda f=jax.jit(jax.value_and_grad(total)): f(device))
    case = f"pulsed: {name}: value and gradient"
    return Row(case, both, "its value", forward, forward / both, "at most 5 times", both <= 5 * forward)
