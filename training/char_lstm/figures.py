"""Figures of training by pulses on a text."""

from typing import Any

from matplotlib.figure import Figure

from hfsim.units import seconds
from training.mnist_mlp.figures import COLOURS
from training.plotting import GREY, new_figure
from training.pulsed.rules import FLOAT, LABELS


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


def ageing(value: dict[str, Any], rules: tuple[str, ...]) -> Figure:
    """Test loss over the time at rest after training."""
    figure, axes = new_figure()
    times = [seconds(age) for age in value["ages"]]
    for name in rules:
        if name == FLOAT:
            axes.axhline(value[f"{name}_test_loss"], color=COLOURS[name], ls="--", label=LABELS[name])
        else:
            axes.plot(times, value[f"{name}_loss_by_age"], "o-", ms=3, color=COLOURS[name], label=LABELS[name])
    axes.set(xscale="log", xlabel="time at rest after training", ylabel="test loss [nats per character]")
    axes.set_xticks(times, value["ages"], fontsize=8)
    axes.minorticks_off()
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def draw(value: dict[str, Any], rules: tuple[str, ...]) -> dict[str, tuple[Figure, str]]:
    """All figures, with captions."""
    said = "Loss over epochs: of the validation part (full), and while learning, under dropout (dotted)."
    drawn = {"char_lstm_curves": (curves(value, rules), said)}
    if any(name != FLOAT for name in rules):
        drawn["char_lstm_ageing"] = (ageing(value, rules), "Test loss of the trained networks, left alone.")
    return drawn
