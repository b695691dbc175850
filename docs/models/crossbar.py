"""Figure of crossbar.md: error against bits, against time, and the error of first-order noise with wires."""

import dataclasses

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

from hfsim.cards import load_card
from hfsim.crossbar import ADC, DAC, Cells, CrossbarDesign, Differential, ReferenceColumn
from hfsim.devices.retention import CMORetention

TIMES = np.array([1.0, 60.0, 3600.0, 86400.0, 604800.0, 2629800.0, 31557600.0, 315576000.0])


def _errors(kernel, retention, W, x, chips):
    """RMSE of chips' products at TIMES."""

    def chip(key):
        state = retention.init(kernel.encoding.targets(W).shape, key)
        state = retention.program(state, kernel.encoding.targets(W))
        y = jax.vmap(lambda G: kernel(Cells(G), x))(retention.snapshots(state, TIMES))
        return jnp.sqrt(jnp.mean(jnp.square(y - x @ W), axis=(1, 2)))

    return np.asarray(jax.jit(lambda keys: jax.lax.map(chip, keys))(jax.random.split(jax.random.key(0), chips))).mean(0)


def figure():
    generator = np.random.default_rng(0)
    W, x = (jnp.asarray(generator.uniform(-1, 1, s), jnp.float32) for s in ((64, 64), (100, 64)))
    card = load_card("cmo-hfox-2025")
    design, retention = CrossbarDesign.from_card(card), CMORetention.from_card(card)
    fig, (left, middle, right) = plt.subplots(1, 3, figsize=(10.5, 3.2), layout="constrained")

    window = {"G_min": design.G_min, "G_max": design.G_max}
    for name, encoding in (
        ("one device", design.encoding),
        ("reference column", ReferenceColumn(**window)),
        ("a pair", Differential(**window)),
    ):
        left.semilogx(TIMES, _errors(design.kernel(encoding=encoding), retention, W, x, 20), "o-", ms=3, label=name)
    left.set(
        xlabel="time since programming [s]", ylabel="RMSE of x W", title="64 x 64, 6-bit in, 8-bit out", ylim=(0, 0.3)
    )
    left.legend(frameon=False, fontsize=7)

    kernel = design.kernel()
    cells = Cells(kernel.encoding.targets(W))
    bits = range(3, 13)
    for largest, style in ((4.0, "--"), (15.0, "-")):
        error = []
        for b in bits:
            adc = ADC(bits=b, range=largest * kernel.encoding.gain * kernel.V_read)
            y = dataclasses.replace(kernel, dac=DAC(bits=b), adc=adc)(cells, x)
            error.append(float(jnp.sqrt(jnp.mean(jnp.square(y - x @ W)))))
        middle.semilogy(bits, error, style, label=f"outputs clipped at {largest:g}")
    middle.set(xlabel="bits of DAC and of ADC", title="exact conductances")
    middle.legend(frameon=False, fontsize=7)

    right.loglog(*_noise_error(design, W, x), "o-", ms=3)
    right.set(xlabel="resistance of a segment [ohm]", ylabel="first order / sampled - 1")
    right.set_title("deviation of a read's noise, 64 x 64")
    return fig


def _noise_error(design, W, x):
    """Relative error of the output noise's deviation with wires, against devices that are drawn one by one."""
    G = design.encoding.targets(W)
    sigma = 0.02 * G
    V = 0.2 * x[:8]
    ohms = np.array([0.1, 0.3, 1.0, 3.0, 10.0])
    error = []

    @jax.jit
    def deviations(ohm):
        kernel = dataclasses.replace(design.kernel(wires=True), adc=ADC(range=1e6))
        wires = dataclasses.replace(kernel.wires, r_wl=ohm, r_bl=ohm)
        solution = wires.solve(G, V, throw=False)
        share = jnp.square(sigma * wires.share(G))
        first = jnp.sqrt(jnp.sum(jnp.square(solution.word - solution.bit) * share, axis=-2))

        def sample(key):
            return wires.currents(G + sigma * jax.random.normal(key, G.shape), V) - solution.currents

        # exact to first order in sigma: the sum over all devices of what each one changes
        keys = jax.random.split(jax.random.key(1), 400)
        return first, jnp.std(jax.lax.map(sample, keys), axis=0)

    for ohm in ohms:
        first, sampled = deviations(ohm)
        error.append(abs(float(jnp.sqrt(jnp.mean(first**2) / jnp.mean(sampled**2))) - 1))
    return ohms, error
