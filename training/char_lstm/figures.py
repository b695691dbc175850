"""Figures of training by pulses on a text."""

from typing import Any

from matplotlib.figure import Figure

from training.plotting import GREY, new_figure
from training.pulsed.figures import LEFT_ALONE, ageing
from training.pulsed.names import COLOURS, FLOAT, LABELS


def curves(value: dict[str, Any], rules: tuple[str, ...]) -> Figure:
    """Losses over epochs."""
    figure, axes = new_figure()
    epochs = value["epochs_at_points"]
    for name in rules:
        colour, label = COLOURS[name], LABELS[name]
        axes.plot(epochs, value[f"{name}_validation_loss_at_points"], color=colour, lw=1.8, label=label)
        axes.plot(epochs, value[f"{name}_training_loss_at_points"], color=colour, lw=0.8, ls=":")
    axes.axhline(value["frequencies_test_loss"], color=GREY, ls="--", lw=1, label="characters'\nfrequencies")
    axes.set(xlabel="epoch", ylabel="loss [nats per character]")
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def draw(value: dict[str, Any], rules: tuple[str, ...]) -> dict[str, tuple[Figure, str]]:
    """All figures, with captions."""
    said = "Loss over epochs: of the validation part (full), and while learning, under dropout (dotted)."
    drawn = {"char_lstm_curves": (curves(value, rules), said)}
    if any(name != FLOAT for name in rules):
        drawn["char_lstm_ageing"] = (
            ageing(value, rules, "loss", "test loss [nats per character]"),
            f"Test loss of the trained networks, {LEFT_ALONE}",
        )
    return drawn
