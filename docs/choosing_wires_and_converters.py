"""`python -m docs.choosing_wires_and_converters`: the table of that page, seed 0, about a minute on two cores.

Uniform weights on the CMO/HfOx card's window, 16 uniform inputs of both signs, converters without rounding: the error
of x W over the deviation of x W, in brackets after the best common gain.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from hfsim.cards import load_card
from hfsim.crossbar import ADC, DAC, Cells, CrossbarDesign, Differential, ReferenceColumn, SingleEnded

ARRAYS = ((64, 0.35), (128, 0.1), (128, 0.35), (256, 0.35), (512, 0.35))  # cells, ohm a segment
INPUTS = 16


def errors(encoding, size: int, ohm: float, ends: str | None = None) -> tuple[float, float]:
    """Error before and after the best gain; `ends` "both" drives and senses lines at both ends."""
    generator = np.random.default_rng(0)
    W, x = (jnp.asarray(generator.uniform(-1, 1, s), jnp.float32) for s in ((size, size), (INPUTS, size)))
    kernel = CrossbarDesign.from_card(load_card("cmo-hfox-2025")).kernel(encoding=encoding, wires=True)
    lines = {"r_wl": jnp.float32(ohm), "r_bl": jnp.float32(ohm)}
    if ends is not None:
        lines |= {"driven": ends, "sensed": ends}
    wires = dataclasses.replace(kernel.wires, **lines)
    kernel = dataclasses.replace(kernel, dac=DAC(), adc=ADC(range=1e9), wires=wires)
    y, exact = (
        np.asarray(kernel(Cells(encoding.targets(W)), x)),
        np.asarray(jnp.matmul(x, W, precision=jax.lax.Precision.HIGHEST)),
    )
    gain = np.sum(y * exact) / np.sum(exact**2)
    return float(np.std(y - exact) / np.std(exact)), float(np.std(y / gain - exact) / np.std(exact))


def main() -> None:
    """Print the table."""
    design = CrossbarDesign.from_card(load_card("cmo-hfox-2025"))
    window = {"G_min": design.G_min, "G_max": design.G_max}
    columns = {
        "one device": (SingleEnded(**window), None),
        "reference column": (ReferenceColumn(**window), None),
        "a pair, side by side": (Differential(**window), None),
        "a pair, positive columns first": (Differential(**window, positive="first"), None),
        "pair, lines driven and sensed at both ends": (Differential(**window), "both"),
    }
    print("| cells, segment | " + " | ".join(columns) + " |")
    print("|---" * (len(columns) + 1) + "|")
    for size, ohm in ARRAYS:
        cells = ("{:.1%} ({:.1%})".format(*errors(encoding, size, ohm, ends)) for encoding, ends in columns.values())
        print(f"| {size}, {ohm:g} ohm | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
