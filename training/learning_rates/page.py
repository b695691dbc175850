"""The committed page of the comparison of learning rates."""

from training.learning_rates.job import robustness, table
from training.publish import footer, markdown, only
from training.pulsed.names import LABELS

FIGURES = ("learning_rates",)


def page(results: list[dict]) -> str:
    """The page of one run."""
    result = only(results)
    value = {name: entry["value"] for name, entry in result["metrics"].items()}
    settings = result["configuration"]
    lines = [
        f"# {LABELS[settings['rule']]} over learning rates",
        "",
        f"The network of mnist-mlp on {settings['dataset']}, {value['epochs']} epochs, learning rates times "
        f"{settings['decay']:g} after each; biases learn at {settings['digital_rate']:g}; products "
        f"{'pass converters and read noise' if settings['products'] == 'analog' else 'are exact'}. The ceiling of "
        f"{settings['ceiling']:g} bounds the random walk of the slow array "
        "([learning rules](../models/learning_rules.md)).",
        "",
        "![Accuracy over learning rates](../figures/learning_rates.png)",
        "",
        *markdown(table(value)),
        "",
        robustness(value),
        "",
        *footer(results),
    ]
    return "\n".join(lines)
