"""Figure of the page on the write path."""

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import hfsim
from hfsim.circuits.wires import Wires
from hfsim.crossbar.write_path import Gated, HalfVoltage, ThirdVoltage, disturb, update_voltages
from hfsim.devices import CMOCell, Pulse, ferroelectric_capacitor
from hfsim.devices.memristor import SelectResistance

COUNTS = np.unique(np.geomspace(1, 1e9, 46).astype(int))
LINES, SEGMENT = 128, 0.4  # lines, ohm


def figure():
    drawing, axes = plt.subplots(1, 3, figsize=(10.5, 3.4), layout="constrained")
    films(axes[0])
    card = hfsim.load_card("cmo-hfox-2025")
    cell = card.build(CMOCell, "cell", series=card.build(SelectResistance, "series"))
    ambient = card.quantity("conditions", "T_0", "K")
    cells(axes[1], cell, card, ambient)
    lines(axes[2], cell, card, ambient)
    for panel, letter in zip(axes, "abc", strict=True):
        panel.set_title(letter, loc="left", fontweight="bold")
    return drawing


def films(axis):
    capacitor = ferroelectric_capacitor(hfsim.load_card("cea-leti-2025-hybrid"))
    counts = COUNTS[COUNTS <= 10**6]
    start = capacitor.init(counts.shape, up=0.0)

    @jax.jit
    def flipped(voltage, width):
        after = disturb(capacitor, start, Pulse(voltage, width), counts)
        return 50 * (1 + capacitor.polarisation(after) / capacitor.P_r)

    for color, (voltage, width) in enumerate(((3.0, 2000.0), (4.0, 4.0), (3.0, 1.0))):
        for scheme, style in ((HalfVoltage(), "-"), (ThirdVoltage(), "--")):
            name = "V/2" if style == "-" else "V/3"
            axis.semilogx(
                counts,
                flipped(voltage * scheme.cells().column, width),
                style,
                color=f"C{color}",
                label=f"{name} of {voltage:g} V, {width:g} ns",
            )
        axis.axhline(flipped(voltage, width)[0], color=f"C{color}", lw=0.6, ls=":")
    axis.set(xlabel="writes of other cells on its lines", ylabel="FeCAP: flipped (%)", ylim=(0, 102))
    axis.legend(frameon=False, fontsize=6.5, title="dotted: one full pulse", title_fontsize=6.5, loc="lower right")


def cells(axis, cell, card, ambient):
    count = jnp.asarray(COUNTS)
    for color, G in enumerate((30.0, 55.0, 85.0)):
        start = cell.at_conductance(jnp.full(count.shape, G), temperature=ambient)
        for section in ("set_pulse", "reset_pulse"):
            pulse = card.build(Pulse, section)
            for scheme, style in ((HalfVoltage(), "-"), (ThirdVoltage(), "--")):
                seen = Pulse(scheme.cells().column * pulse.voltage, pulse.width)
                after = jax.jit(lambda s, p=seen: disturb(cell, s, p, count, temperature=ambient))(start)
                label = f"{'V/2' if style == '-' else 'V/3'}, from {G:g} uS" if section == "set_pulse" else None
                axis.semilogx(
                    COUNTS, cell.conductance(after, temperature=ambient), style, color=f"C{color}", label=label
                )
    axis.set(
        xlabel="writes of other cells on its lines",
        ylabel="CMO/HfOx: conductance (uS)",
        ylim=(20, 132),
        yticks=range(20, 100, 10),
    )
    axis.set(xlim=(1e3, 1e9))
    axis.legend(
        frameon=False, fontsize=6.5, loc="upper left", ncols=2, title="lines up: SET, down: RESET", title_fontsize=6.5
    )


def lines(axis, cell, card, ambient):
    """Voltage over the cells of the row farthest from the columns' ends, in a 1T1R array."""
    pulse, wires = card.build(Pulse, "set_pulse"), Wires(r_wl=SEGMENT, r_bl=SEGMENT)
    state = cell.at_conductance(jnp.full((LINES, LINES), 55.0), temperature=ambient)

    @jax.jit
    def delivered(written):
        current = lambda V: cell.operating_point(state, V, temperature=ambient)[0]  # noqa: E731
        return update_voltages(current, pulse.voltage, Gated(), written, wires)

    column, row = jnp.arange(LINES), jnp.arange(LINES)[:, None]
    for number, style in ((1, "o"), (8, "s"), (32, "^"), (LINES, "-")):
        firsts = [0] if number == LINES else np.linspace(0, LINES - number, 5).astype(int)
        for first in firsts:
            chosen = (column >= first) & (column < first + number)
            found = delivered((row == 0) & chosen)
            where = np.flatnonzero(chosen)
            label = f"{number} at once" if first == 0 else None
            axis.plot(where, np.asarray(found.voltage)[0, where], style if number == 1 else "-", ms=3,
                      color={1: "k", 8: "C0", 32: "C1", LINES: "C3"}[number], label=label)  # fmt: skip
    axis.axhline(pulse.voltage, color="0.6", lw=0.8, ls=":")
    axis.set(xlabel="column of the cell", ylabel="SET voltage that arrives (V)")
    axis.legend(frameon=False, fontsize=6.5, title=f"{SEGMENT} ohm a segment", title_fontsize=6.5, loc="lower left")
