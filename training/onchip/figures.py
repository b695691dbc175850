"""The figures of the main job's report."""

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from hfsim.hybrid import WORDS_PER_CODE
from training.hybrid.ageing import TIMES
from training.onchip.configuration import OnChip
from training.onchip.evaluation import AMPLITUDES
from training.onchip.results import Measured
from training.plotting import CHIP, FLOAT, GREY, new_figure


def learning_curve(results: Measured) -> Figure:
    """Validation accuracy over epochs, chip and floating point, with the spread over chips."""
    figure, axes = new_figure()
    for name, label, colour in (("chip", "on the chip", CHIP), ("float", "floating point", FLOAT)):
        if name not in results.curves:
            continue
        curve = 100 * np.asarray(results.curves[name])
        online = 100 * np.asarray(results.curves[f"{name}_online"]).mean(axis=1)
        epochs = np.arange(1, len(curve) + 1)
        axes.plot(epochs, curve.mean(axis=1), color=colour, label=f"{label}, validation", lw=2)
        axes.plot(epochs, online, color=colour, ls=":", label=f"{label}, while learning")
        if curve.shape[1] > 1:
            axes.fill_between(epochs, curve.min(axis=1), curve.max(axis=1), color=colour, alpha=0.15, lw=0)
    axes.set(xlabel="epoch", ylabel="accuracy [%]", ylim=(min(80.0, axes.get_ylim()[0]), 100.5))
    axes.xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(integer=True))
    axes.legend(loc="lower right")
    return figure


def confusion_matrix(results: Measured) -> Figure:
    """True against predicted class on the test images."""
    figure, axes = new_figure(4.6, 4.2)
    table = results.confusion
    share = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(table):
        if count:
            colour = "white" if share[row, column] > 0.5 else "black"
            axes.text(column, row, str(count), ha="center", va="center", color=colour, fontsize=8)
    axes.grid(visible=False)
    classes = range(len(table))
    axes.set(xlabel="predicted digit", ylabel="true digit", xticks=classes, yticks=classes)
    return figure


def level_distributions(results: Measured) -> Figure:
    """Conductances of the programmed memristors for each of the eight codes."""
    assert results.chip is not None
    levels = results.chip.levels
    figure, axes = new_figure(7.2, 3.8)
    filled = [s for s in levels.samples if s.size]
    bins = np.linspace(min(s.min() for s in filled), max(s.max() for s in filled), 120)
    colours = matplotlib.colormaps["viridis"](np.linspace(0, 0.92, len(levels.samples)))
    for number, (samples, colour) in enumerate(zip(levels.samples, colours, strict=True)):
        if samples.size:
            weights = np.full(samples.size, 1 / samples.size)
            axes.hist(samples, bins=bins, weights=weights, histtype="stepfilled", color=colour, alpha=0.45)
            axes.axvline(samples.mean(), color=colour, lw=1)
            axes.annotate(
                str(number),
                (samples.mean(), 1.0),
                xycoords=("data", "axes fraction"),
                ha="center",
                va="bottom",
                color=colour,
                weight="bold",
            )
    axes.set(xlabel="conductance after transfer [uS]", ylabel="fraction of devices in the code")
    axes.text(-0.01, 1.02, "code", transform=axes.transAxes, ha="right", fontsize=9)
    return figure


def hidden_against_analogue(results: Measured) -> Figure:
    """Each weight's hidden word and what the memristors make of it."""
    assert results.chip is not None
    figure, axes = new_figure(5.4, 4.4)
    limit = max(7.5, float(np.abs(results.chip.analogue).max()))
    drawn = axes.hexbin(
        results.chip.hidden,
        results.chip.analogue,
        gridsize=(73, 60),
        extent=(-512, 512, -limit, limit),
        bins="log",
        cmap="magma_r",
        mincnt=1,
        linewidths=0.1,
    )
    words = np.arange(-511, 512)
    axes.plot(words, np.sign(words) * (np.abs(words) // WORDS_PER_CODE), color=FLOAT, lw=1, label="sign + 3 MSB")
    axes.set(xlabel="hidden word", ylabel="analogue weight [levels]")
    axes.legend(loc="upper left")
    figure.colorbar(drawn, ax=axes, label="weights")
    return figure


def ten_years(results: Measured) -> Figure:
    """Test accuracy of the untouched chip over time, for multiples of the card's relaxation."""
    assert results.chip is not None
    figure, axes = new_figure()
    seconds = np.asarray(list(TIMES.values()))
    aged = 100 * results.chip.ageing
    colours = matplotlib.colormaps["plasma"](np.linspace(0.1, 0.85, len(AMPLITUDES)))
    for amplitude, accuracy, colour in zip(AMPLITUDES, aged, colours, strict=True):
        label = "card" if amplitude == 1 else f"x {amplitude:g}"
        axes.plot(
            seconds, accuracy.mean(axis=-1), "o-", color=colour, lw=2.4 if amplitude == 1 else 1.2, ms=4, label=label
        )
    axes.set(xscale="log", xlabel="time since training", ylabel="test accuracy [%]")
    axes.set_xticks(seconds, [name.replace(" ", "\n") for name in TIMES])
    axes.minorticks_off()
    axes.legend(title="relaxation", loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def wear(results: Measured) -> Figure:
    """How often each weight was rewritten."""
    assert results.chip is not None
    figure, axes = new_figure()
    updates = results.chip.updates
    axes.hist(updates, bins=min(80, max(1, int(np.ptp(updates)) + 1)), color=CHIP, alpha=0.8)
    axes.axvline(updates.mean(), color="black", lw=1, label=f"mean {updates.mean():,.0f}")
    axes.axvline(updates.max(), color=GREY, ls="--", lw=1, label=f"worst {updates.max():,}")
    axes.set(xlabel="updates of a weight over the training", ylabel="weights")
    axes.legend()
    return figure


def draw(results: Measured, config: OnChip) -> dict[str, tuple[Figure, str]]:
    """All figures that the results allow, each with its caption."""
    several = config.chips > 1
    bands = f" Bands: all {config.chips} chips." if several else ""
    summed = "; summed over chips" if several else ""
    how = f"{config.transfer} transfer" + (f", {config.mechanism}" if config.transfer == "circuit" else "")
    drawn = {
        "learning_curve": (
            learning_curve(results),
            f"Accuracy on the validation part after each epoch, and on each training sample before its update.{bands}",
        ),
        "confusion_matrix": (confusion_matrix(results), f"Test images, used once, after training{summed}."),
    }
    if results.chip is None:
        return drawn
    return drawn | {
        "levels": (
            level_distributions(results),
            f"A test pattern transferred to the trained chip: every code on an eighth of the weights ({how}).",
        ),
        "hidden_against_analogue": (
            hidden_against_analogue(results),
            "Hidden 10-bit word in the FeCAPs against the weight that the memristors hold.",
        ),
        "ten_years": (
            ten_years(results),
            "Nothing is refreshed or compensated. The article states levels that are stable for a month and gives no "
            "drift law: the card's amplitude is chosen, so it is swept here.",
        ),
        "wear": (wear(results), "Updates of each weight: every one reads and rewrites the 14 FeCAPs of its synapse."),
    }
