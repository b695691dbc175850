"""The committed page of the ablation."""

from training.ablation.job import SIZES, tables
from training.publish import footer, markdown, only

FIGURES = ("ablation",)


def page(results: list[dict]) -> str:
    """The page of one run."""
    result = only(results)
    value = {name: entry["value"] for name, entry in result["metrics"].items()}
    settings = result["configuration"]
    rules, sweeps = tuple(settings["rules"]), tuple(settings["sweeps"])
    lines = [
        "# What a device's properties do to each learning rule",
        "",
        f"A network of {'-'.join(str(size) for size in SIZES)} sigmoids on scikit-learn's digits, {value['epochs']} "
        f"epochs, {settings['seeds']} seeds, learning rate {settings['learning_rate']:g} times {settings['decay']:g} "
        f"after each epoch, ceiling {settings['ceiling']:g}; products are exact. One property of the device of the "
        "card cmo-hfox-2025-pulsed is changed at a time; all else is the card's: up_down -0.22, 22 states, noise of "
        "0.86 of a step, an exact reference. The reference of both arrays of a rule moves with the symmetry point, "
        "but for the last sweep.",
        "",
        "![Test accuracy over each property](../figures/ablation.png)",
        "",
    ]
    for it in tables(value, rules, sweeps):
        lines += [f"{it.caption}:", "", *markdown(it), ""]
    return "\n".join([*lines, *footer(results)])
