"""Figure of the pulsed page: noisy ramps of CMO/HfOx, steps of all models, a train at once against single steps."""

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import hfsim
from hfsim.devices.pulsed import (
    AdditiveNoise,
    ConstantStep,
    ExponentialStep,
    LinearStep,
    PiecewiseStep,
    PowerStep,
    SoftBounds,
    StepTable,
    pulsed_device,
    pulsed_metrics,
)

COUNT, TRAIN = 40_000, 31


def _models() -> dict:
    common = {"dw_min": 0.1, "up_down": 0.0, "w_min": -1.0, "w_max": 1.0, "G_0": 48.6, "g": 39.6}
    common = {name: jnp.asarray(value) for name, value in common.items()} | {"noise": AdditiveNoise(jnp.asarray(0.0))}
    table = StepTable(jnp.array([0.4, 1.5, 1.1, 0.9, 0.2]), jnp.ones(5))
    return {
        "constant": ConstantStep(**common),
        "linear": LinearStep(**common, slope_up=0.4, slope_down=0.4),
        "soft bounds": SoftBounds(**common),
        "exponential": ExponentialStep(**common, A_up=0.25, A_down=0.25, gamma_up=1.4, gamma_down=1.4),
        "power 0.5": PowerStep(**common, gamma_up=0.5, gamma_down=0.5),
        "piecewise": PiecewiseStep(**common, table=table),
    }


def _ramps(device, axis):
    def step(state, i):
        direction = jnp.where(i % 80 < 40, 1, -1)
        state = device.step(state, direction, jax.random.fold_in(jax.random.key(1), i))
        return state, device.conductance(state)

    start = device.program(device.init((4,)), jnp.full(4, -1.0))
    G = np.asarray(jax.jit(lambda s: jax.lax.scan(step, s, jnp.arange(160))[1])(start))
    axis.plot(np.arange(1, 161), G, lw=0.8)
    G_star = float(device.G_0 + device.g * pulsed_metrics(device).symmetry_point)
    axis.axhline(G_star, color="0.4", lw=0.8, ls="--")
    axis.text(158, G_star + 1, "symmetry point", fontsize=7, ha="right", color="0.3")
    axis.set(xlabel="pulse (40 up, 40 down)", ylabel="conductance [uS]", title="CMO/HfOx, four devices")


def _distributions(device, axis):
    n = jnp.full((COUNT,), TRAIN)
    state = device.program(device.init((COUNT,)), jnp.full(COUNT, -0.2))
    key = jax.random.key(2)

    def step(state, i):
        return device.step(state, 1, jax.random.fold_in(key, i)), None

    single = jax.jit(lambda s: jax.lax.scan(step, s, jnp.arange(TRAIN))[0])(state).w
    bins = np.linspace(0.0, 1.0, 41)
    axis.hist(single, bins, density=True, color="0.8", label=f"{TRAIN} single steps")
    for rounds, style in ((1, ":"), (2, "-")):
        train = jax.jit(lambda s, r=rounds: device.pulses(s, n, key, rounds=r).w)(state)
        height, _ = np.histogram(np.asarray(train), bins, density=True)
        axis.stairs(height, bins, ls=style, lw=1.2, label=f"at once, {rounds} round{'s' * (rounds > 1)}")
    axis.set(xlabel=f"weight after {TRAIN} pulses from -0.2", ylabel="density", title="a train onto the bound")
    axis.legend(frameon=False, fontsize=7, loc="upper left")


def figure():
    """Left: noisy ramps. Middle: mean steps. Right: the distribution after a train."""
    device = pulsed_device(hfsim.load_card("cmo-hfox-2025-pulsed"))
    fig, (left, middle, right) = plt.subplots(1, 3, figsize=(10, 3), layout="constrained")
    _ramps(device, left)
    w = jnp.linspace(-1, 1, 201)
    for name, model in _models().items():
        middle.plot(w, model.magnitude(w, jnp.ones(w.shape, bool)), label=name)
    middle.set(xlabel="weight", ylabel="mean step up", title="the six models, dw_min = 0.1", ylim=(0, 0.29))
    middle.legend(frameon=False, fontsize=7, ncols=2, loc="upper center")
    _distributions(device, right)
    for axis in (left, middle, right):
        axis.title.set_fontsize(9)
    return fig
