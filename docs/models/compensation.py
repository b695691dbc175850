"""Figure of compensation.md: error of a product against time for each answer to drift; `table()` prints the numbers.

64 x 64, weights and 100 inputs uniform in [-1, 1], converters of the cards (6 and 8 bits); products without read noise
as in the published benchmark, calibration reads with it.
"""

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

from hfsim.cards import load_card
from hfsim.crossbar import Cells, CrossbarDesign, Differential, ReferenceColumn, SingleEnded
from hfsim.crossbar.compensation import DriftCompensation, Overshoot
from hfsim.devices.retention.from_card import retention

TIMES = np.array([1.0, 3600.0, 86400.0, 2629800.0, 31557600.0, 315576000.0])
NAMES = ("1 s", "1 h", "1 day", "1 month", "1 year", "10 years")
CHIPS = 40
READS = {
    "none": None,
    "factor of the array": DriftCompensation(),
    "factor of each column": DriftCompensation("column"),
    "common part of the array": DriftCompensation("none", "array"),
    "common part of each column": DriftCompensation("none", "column"),
    "both of each column": DriftCompensation("column", "column"),
}


def choices(name: str) -> dict:
    """(encoding, compensation, overshoot) of each curve of a card."""
    design, model = CrossbarDesign.from_card(load_card(name)), retention(load_card(name))
    own, window = design.encoding, {"G_min": design.G_min, "G_max": design.G_max}
    result = {label: (own, compensation, None) for label, compensation in READS.items()}
    if isinstance(own, SingleEnded):
        result["reference column"] = (ReferenceColumn(**window), None, None)
        result["a pair"] = (Differential(**window), None, None)
    overshoot = Overshoot(seconds=TIMES[-1], **window)
    low, high = overshoot.reachable(model)
    room = type(own)(G_min=jnp.maximum(low, design.G_min), G_max=jnp.minimum(high, design.G_max))
    result["overshoot for 10 years"] = (room, None, overshoot)
    return result


def errors(name: str, encoding, compensation, overshoot, chips: int = CHIPS) -> np.ndarray:
    """RMSE of x W over outputs and chips at TIMES, in units of full-scale input times weight."""
    card = load_card(name)
    model = retention(card)
    kernel = CrossbarDesign.from_card(card).kernel(encoding=encoding)

    def chip(key):
        keys = [jax.random.fold_in(key, i) for i in range(5)]
        W = jax.random.uniform(keys[0], (64, 64), minval=-1, maxval=1)
        x = jax.random.uniform(keys[1], (100, 64), minval=-1, maxval=1)
        exact = jnp.matmul(x, W, precision="highest")
        targets = encoding.targets(W)
        if overshoot is not None:
            targets = overshoot(model, targets)
        state = model.program(model.init(targets.shape, keys[2]), targets)

        def cells(seconds):
            aged = model.wait(state, seconds)
            return Cells(model.conductance(aged), model.read_sigma(aged))

        def error(seconds):
            now = cells(seconds)
            y = kernel(now, x)
            if compensation is not None:
                reference = compensation.calibrate(kernel, cells(1.0), keys[3])
                y = compensation.correction(kernel, now, reference, keys[4]).outputs(y, x)
            return jnp.mean(jnp.square(y - exact))

        return jax.lax.map(error, jnp.asarray(TIMES))

    keys = jax.random.split(jax.random.key(0), chips)
    return np.sqrt(np.asarray(jax.jit(lambda keys: jax.lax.map(chip, keys))(keys)).mean(0))


def table() -> str:
    """Markdown rows of every choice of every card."""
    rows = []
    for card in ("cmo-hfox-2025", "pcm-nandakumar-2019", "wan-2022-reram"):
        for label, choice in choices(card).items():
            numbers = " | ".join(f"{error:.3f}" for error in errors(card, *choice))
            rows.append(f"| {card} | {label} | {numbers} |")
    return "\n".join(["| card | answer | " + " | ".join(NAMES) + " |", "|---|---|" + "---|" * len(NAMES), *rows])


def figure():
    fig, axes = plt.subplots(1, 2, figsize=(10.5, 4.4), layout="constrained", sharex=True)
    dashes = {"factor": "--", "common": "-.", "both": ":"}  # curves that lie on each other
    for ax, card, top in zip(axes, ("cmo-hfox-2025", "pcm-nandakumar-2019"), (0.3, 2.0), strict=True):
        for number, (label, choice) in enumerate(choices(card).items()):
            style = dashes.get(label.split()[0], "-")
            ax.semilogx(
                TIMES, errors(card, *choice, chips=10), style, marker="o", ms=3, label=label, color=f"C{number}"
            )
        ax.set(title=card, xlabel="time since programming [s]", ylim=(0, top))
        ax.legend(frameon=False, fontsize=7, loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=3)
    axes[0].set_ylabel("RMSE of x W, 64 x 64")
    return fig


if __name__ == "__main__":
    print(table())
