"""Figure of the learning rules: one weight each, a noisy gradient towards 0.4, a reference that is off by 0.2."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
from matplotlib.figure import Figure

import hfsim
from hfsim.devices.pulsed import at_symmetry_point, pulsed_device
from hfsim.learning import AGAD, ChoppedTikiTaka, Factors, MixedPrecision, PulsedSGD, PulsedSynapse, TikiTakaV2

DEVICES, STEPS, TARGET, ERROR, NOISE = 200, 6000, 0.4, 0.2, 1.0


def rules() -> dict:
    """Each rule on CMO/HfOx devices; the fast array's reference is off."""
    device = pulsed_device(hfsim.load_card("cmo-hfox-2025-pulsed"))
    exact = PulsedSynapse(device=at_symmetry_point(device))
    off = PulsedSynapse(device=at_symmetry_point(device, error=ERROR))
    common = {"key": jax.random.key(0), "learning_rate": jnp.asarray(0.002)}
    return {
        "pulsed SGD": PulsedSGD(synapse=exact, **common),
        "mixed precision": MixedPrecision(synapse=exact, **common),
        "TTv2": TikiTakaV2(fast=off, slow=exact, **common),
        "c-TTv2": ChoppedTikiTaka(fast=off, slow=exact, **common),
        "AGAD": AGAD(fast=off, slow=exact, **common),
    }


@partial(jax.jit, static_argnums=1)
def trajectory(rule, steps: int):
    """Weights of all devices after every sample: x = 1, delta = w - target + noise."""
    w = jnp.zeros((1, DEVICES))
    state = rule.init(w)

    def step(carry, number):
        w, state = carry
        noise = NOISE * jax.random.normal(jax.random.fold_in(jax.random.key(1), number), (1, DEVICES))
        updates, state = rule.update(None, state, w, factors=[Factors(jnp.ones((1, 1)), w - TARGET + noise)])
        w = optax.apply_updates(w, updates)
        return (w, state), w[0]

    return jax.lax.scan(step, (rule.read(w, state), state), jnp.arange(steps))[1]


def figure():
    """Mean and spread of the weights over samples, for each rule."""
    drawn = Figure(figsize=(7.6, 2.6), layout="constrained")
    panels = drawn.subplots(1, 5, sharey=True)
    for axes, (name, rule) in zip(panels, rules().items(), strict=True):
        w = np.asarray(trajectory(rule, STEPS))
        mean, spread = w.mean(axis=1), w.std(axis=1)
        axes.plot(mean, lw=1.0, color="#b3430f")
        axes.fill_between(np.arange(STEPS), mean - spread, mean + spread, alpha=0.2, color="#b3430f", lw=0)
        axes.axhline(TARGET, color="black", ls="--", lw=0.8)
        axes.set(title=f"{name}\n{mean[-1000:].mean():.2f} ± {w[-1000:].std():.2f}", xlabel="samples", ylim=(-0.2, 0.8))
        axes.title.set_fontsize(8)
        axes.set_xticks((0, STEPS))
    panels[0].set_ylabel("weight")
    return drawn
