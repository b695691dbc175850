"""The committed page of training by pulses on images."""

from training.mnist_mlp.job import table
from training.publish import footer, markdown, only
from training.pulsed.configuration import HIDDEN
from training.pulsed.figures import LEFT_ALONE
from training.pulsed.names import FLOAT, LABELS

FIGURES = ("mnist_mlp_curves", "mnist_mlp_ageing")
BAR = 1.5
"""Points below floating point that AGAD was to stay within."""


def page(results: list[dict]) -> str:
    """The page of one run."""
    result = only(results)
    value = {name: entry["value"] for name, entry in result["metrics"].items()}
    settings = result["configuration"]
    rules = tuple(settings["rules"])
    hidden = "-".join(str(size) for size in HIDDEN[settings["dataset"]])
    lines = [
        "# A perceptron trained by pulses",
        "",
        f"Data: {settings['dataset']}; hidden layers {hidden} of sigmoids, batches of {settings['batch']}, "
        f"{value['epochs']} epochs, learning rate {settings['learning_rate']:g}, of rules with two arrays "
        f"{settings['transfer_learning_rate']:g} cut by their ceiling of {settings['ceiling']:g}, of floating point "
        f"{settings['float_learning_rate']:g}; times {settings['decay']:g} after each. Weights in devices of the card "
        "cmo-hfox-2025-pulsed: 22 states, up_down -0.22, noise of 0.86 of a step. Products "
        f"{'through converters and read noise' if settings['products'] == 'analog' else 'exact'}. Settings "
        "were chosen on the validation part.",
        "",
        "![Validation accuracy over epochs](../figures/mnist_mlp_curves.png)",
        "",
        *markdown(table(value, rules)),
        "",
        *_verdict(value, rules),
        "![Left alone](../figures/mnist_mlp_ageing.png)",
        "",
        f"Test accuracy of the trained networks, {LEFT_ALONE} Devices relax by the card cmo-hfox-2025, which shifts "
        "all of a column alike. Unlike a pair, one device per weight sees that shift; a digital correction, found by "
        "reads of known inputs ([drift compensation](../models/compensation.md)), takes it away. Here it is the mean "
        "shift itself, without errors of those reads.",
        "",
        "Pulses that a device got, on average:",
        "",
        *_pulses(value, rules),
        "",
        *footer(results),
    ]
    return "\n".join(lines)


def _verdict(value: dict, rules: tuple[str, ...]) -> list[str]:
    if FLOAT not in rules or "agad" not in rules:
        return []
    exact = value[f"{FLOAT}_test_accuracy"]
    below = {name: 100 * (exact - value[f"{name}_test_accuracy"]) for name in rules if name != FLOAT}
    met = "met" if below["agad"] <= BAR else "missed"
    others = ", ".join(f"{LABELS[name]} {points:.1f}" for name, points in below.items() if name != "agad")
    said = f"AGAD ends {below['agad']:.1f} points below floating point (bar: {BAR}, {met})."
    return [f"{said} Points of the others: {others}." if others else said, ""]


def _pulses(value: dict, rules: tuple[str, ...]) -> list[str]:
    lines = []
    for name in rules:
        arrays = {"fast": "fast array", "slow": "slow array", "array": "array"}
        counts = {said: value.get(f"{name}_{side}_pulses_per_device") for side, said in arrays.items()}
        found = [f"{said} {pulses:,.1f}" for said, pulses in counts.items() if pulses is not None]
        if found:
            lines.append(f"- {LABELS[name]}: {', '.join(found)}")
    return lines
