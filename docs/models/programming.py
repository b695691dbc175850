"""Figure of the page on programming."""

import equinox as eqx
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import hfsim
from hfsim.crossbar.programming import PublishedProgramming, staircase, statistics
from hfsim.crossbar.write_verify import PhysicalProgramming, PulsedProgramming, RateNoise

TARGETS = np.linspace(9.0, 88.2, 35)
OWN = TARGETS[(TARGETS >= 28.0) & (TARGETS <= 88.0)]
PUBLISHED = {0.2: 89.0, 2.0: 11.0}
DEVICES = 500
climb = eqx.filter_jit(staircase)


def figure():
    card, pulsed = hfsim.load_card("cmo-hfox-2025"), hfsim.load_card("cmo-hfox-2025-pulsed")
    rate = card.build(RateNoise, "rate_noise")
    loops = {
        "pulsed device": (TARGETS, lambda a: PulsedProgramming.from_card(pulsed, a, limit=6000)),
        "compact model, noise of ln C": (OWN, lambda a: PhysicalProgramming.from_card(card, a)),
        "compact model, noise of the rate": (OWN, lambda a: PhysicalProgramming.from_card(card, a, noise=rate)),
    }
    drawing, axes = plt.subplots(1, 3, figsize=(10.5, 3.4), layout="constrained")
    shades = {0.2: 1.0, 2.0: 0.45}
    for color, (name, (targets, loop)) in enumerate(loops.items()):
        for acceptance, alpha in shades.items():
            done = climb(loop(acceptance), jax.random.key(0), jnp.asarray(targets, jnp.float32), (DEVICES,))
            found = statistics(targets, done)
            style = dict(color=f"C{color}", alpha=alpha, label=f"{name}, {acceptance:g} %")
            counts = np.sort(np.asarray(done.pulses).ravel())
            axes[0].step(np.maximum(counts, 0.7), np.linspace(0, 100, counts.size), lw=1.2, **style)
            axes[1].plot(found.target, found.pulses, lw=1.2, **style)
            if color < 2:
                axes[2].plot(found.target, 1e3 * np.asarray(found.sigma), ".", ms=4, **style)
    for acceptance in PUBLISHED:
        law = PublishedProgramming.from_card(card, acceptance).retention.programming_sigma(TARGETS)
        axes[2].plot(TARGETS, 1e3 * np.asarray(law), "k--", lw=1)
        for panel, line in ((axes[0], axes[0].axvline), (axes[1], axes[1].axhline)):
            line(PUBLISHED[acceptance], color="k", ls="--", lw=0.8)
            panel.set_xscale("log") if panel is axes[0] else panel.set_yscale("log")
    axes[0].set(xlabel="pulses", ylabel="devices and levels done (%)", xlim=(0.6, 3000))
    axes[1].set(xlabel="target (uS)", ylabel="mean number of pulses", ylim=(1, 1e3))
    axes[1].text(88, 95, "published means", fontsize=7, ha="right", va="bottom")
    axes[2].set(xlabel="target (uS)", ylabel="deviation from the target (nS)", yscale="log", ylim=(4, 3000))
    axes[2].text(88, 105, "published, 0.2 %", fontsize=7, ha="right", va="bottom")
    axes[2].text(88, 1250, "published, 2 %", fontsize=7, ha="right", va="bottom")
    handles = axes[1].get_legend_handles_labels()
    drawing.legend(*handles, frameon=False, fontsize=7, ncols=3, loc="outside lower center")
    for panel, letter in zip(axes, "abc", strict=True):
        panel.set_title(letter, loc="left", fontweight="bold")
    return drawing
