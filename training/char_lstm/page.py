"""The committed page of the character network."""

from training.char_lstm.job import table
from training.publish import footer, markdown, only
from training.pulsed.names import LABELS

FIGURES = ("char_lstm_curves", "char_lstm_ageing")


def page(results: list[dict]) -> str:
    """The page of one run."""
    result = only(results)
    value = {name: entry["value"] for name, entry in result["metrics"].items()}
    settings = result["configuration"]
    rules = tuple(settings["rules"])
    it = table(value, rules)
    lines = [
        "# A character network trained by pulses",
        "",
        f"{settings['layers']} LSTM layers of {settings['hidden']}, {value['vocabulary']} characters, "
        f"{settings['batch']} streams in chunks of {settings['sequence']}, dropout {settings['dropout']:g}; "
        f"{value['characters'][0]:,} characters to train, then {value['characters'][1]:,} to choose by and "
        f"{value['characters'][2]:,} to test, read once. Text: {settings['text'][:19]}....",
        "",
        "![Loss over epochs](../figures/char_lstm_curves.png)",
        "",
        f"{it.caption}:",
        "",
        *markdown(it),
        "",
        "![Left alone](../figures/char_lstm_ageing.png)",
        "",
        "## What they write",
        "",
    ]
    for name in rules:
        lines += [f"{LABELS[name]}:", "", "```", value[f"{name}_text"], "```", ""]
    return "\n".join([*lines, *footer(results)])
