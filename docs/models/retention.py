"""Figure of the page on retention."""

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import hfsim
from hfsim.devices.retention import CMORetention, PCMRetention, PolynomialRetention

DEVICES = 20_000
DAY, YEAR = 86400.0, 3.156e7


def figure():
    cmo, pcm, wan = (
        kind.from_card(hfsim.load_card(name), clip=False)
        for kind, name in (
            (CMORetention, "cmo-hfox-2025"),
            (PCMRetention, "pcm-nandakumar-2019"),
            (PolynomialRetention, "wan-2022-reram"),
        )
    )
    drawing, axes = plt.subplots(1, 3, figsize=(10.5, 3.3), layout="constrained")
    trajectories(axes[0], cmo)
    spreads(axes[1], {"CMO/HfOx, 20 uS": cmo, "Wan 2022, 20 uS": wan, "PCM, 20 uS": pcm})
    exponents(axes[2], pcm)
    for panel, letter in zip(axes, "abc", strict=True):
        panel.set_title(letter, loc="left", fontweight="bold")
    return drawing


def over_time(model, level, devices, times):
    state = model.program(model.init((devices,), jax.random.key(1)), level)
    read = jax.jit(lambda m, s, t: (m.conductance(m.wait(s, t)), m.mean(m.wait(s, t)), m.sigma(m.wait(s, t))))
    return tuple(np.array(x) for x in zip(*(read(model, state, jnp.float32(t)) for t in times), strict=True))


def trajectories(axis, model):
    times = np.geomspace(1e-6, 10 * YEAR, 200)
    G, mean, sigma = over_time(model, 50.0, 12, times)
    mean, sigma = mean.mean(1), sigma[:, 0]
    axis.semilogx(times, G, lw=0.7, alpha=0.8)
    axis.semilogx(times, mean, "k")
    axis.fill_between(times, mean - sigma, mean + sigma, color="0.85", zorder=0)
    axis.axvline(1.0, color="0.6", lw=0.8, ls=":")
    axis.text(0.6, 46.6, "published law\nfrom 1 s on", fontsize=7, ha="right", va="bottom")
    axis.set(
        xlabel="time since programming (s)", ylabel="conductance (uS)", title="CMO/HfOx, 12 devices, mean, 1 sigma"
    )
    axis.title.set_fontsize(8)


def spreads(axis, models):
    times = np.geomspace(1e-1, 10 * YEAR, 25)
    for name, model in models.items():
        G, mean, sigma = over_time(model, 20.0, DEVICES, times)
        line = axis.semilogx(times, sigma.mean(1), label=name)[0]
        axis.semilogx(times[::3], (G - mean).std(1)[::3], ".", color=line.get_color())
    axis.set(xlabel="time since programming (s)", ylabel="spread of conductance (uS)", ylim=(0, 5.4))
    axis.legend(frameon=False, fontsize=7, title="law; dots: 20,000 devices", title_fontsize=7, loc="upper left")


def exponents(axis, model):
    levels = jnp.tile(jnp.geomspace(0.2, 25.0, 60), (50, 1))
    state = model.program(model.init(levels.shape, jax.random.key(2)), levels)
    axis.semilogx(levels.ravel(), model.exponent(state).ravel(), ".", ms=1.5, color="0.5")
    axis.set(xlabel="programmed level (uS)", ylabel="drift exponent of each device")
    axis.set_title("PCM", fontsize=8)
