"""Figure of destructive_read.md: line voltages of 16,384 cells, and bit errors against the reference."""

import dataclasses

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import hfsim
from hfsim.circuits import FloatingLine, SenseAmplifier, bit_error_rate, read_array
from hfsim.devices import Pulse, ageing_capacitor, ferroelectric_capacitor

CELLS = 16_384


def figure():
    card = hfsim.load_card("cea-leti-2025-hybrid")
    spread = card.quantity("array_read", "P_r_spread", "1")
    cell = dataclasses.replace(ferroelectric_capacitor(card, nodes=32), P_r_spread=spread)
    line, amplifier = card.build(FloatingLine, "bit_line", steps=8), card.build(SenseAmplifier, "sense_amplifier")
    pulse, cells = Pulse(3.0, 2000.0), cell.sample((CELLS,), jax.random.key(0))
    seen = jax.jit(lambda c: read_array(line, c, pulse, pulse))(cells)

    fig, (left, right) = plt.subplots(1, 2, figsize=(8.5, 3.2), layout="constrained")
    for name, values in (("0", seen.zero), ("1", seen.one)):
        left.hist(1e3 * np.asarray(values), bins=np.linspace(100, 800, 141), label=f"stored {name}", alpha=0.8)
    left.set(xlabel="bit line [mV]", ylabel="cells", yscale="log", ylim=(0.5, None))
    left.legend(frameon=False)
    left.set_title(f"median window {1e3 * np.median(seen.windows):.0f} mV, worst {1e3 * np.min(seen.windows):.0f} mV")

    reference = jnp.linspace(0.1, 0.45, 141)
    old = dataclasses.replace(ageing_capacitor(card, nodes=16), P_r=cells.P_r[:2048])
    weak = Pulse(1.8, 50.0)
    cases = {
        "3 V, 2 us": seen,
        "after 1e9 cycles": read_array(line, old, pulse, pulse, cycles=1e9, key=jax.random.key(1)),
        "1.8 V, 50 ns, 300 K": read_array(line, cells, weak, weak),
        "1.8 V, 50 ns, 398 K": read_array(line, cells, weak, weak, temperature=398.0),
    }
    for name, read in cases.items():
        right.semilogy(1e3 * reference, jnp.maximum(bit_error_rate(read, amplifier, reference), 1e-12), label=name)
    right.set(xlabel="reference voltage [mV]", ylabel="bit error rate", ylim=(1e-9, 1))
    right.legend(frameon=False, fontsize=7)
    return fig
