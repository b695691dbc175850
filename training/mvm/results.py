"""The numbers of the benchmark, ours beside the published ones; notes that read them."""

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from hfsim.cards import Card, load_card
from hfsim.crossbar import CrossbarDesign
from hfsim.units import seconds
from training.job import metric
from training.mvm.cases import CASES, CMO, TIMES

FIRST, LAST = TIMES.index("1 s"), TIMES.index("10 years")
RATIOS = {
    "wires_none": ("wan", "cmo"),
    "wires": ("wan_wires", "cmo_wires"),
    "extrapolated": ("wan_extrapolated", "cmo"),
}
"""Whose error is divided by whose."""


def published() -> Card:
    """What the article says."""
    return load_card(Path(__file__).with_name("published.toml"))


def metrics(errors: dict[str, Float[np.ndarray, "chips times readings measures"]], size: int) -> dict[str, Any]:
    """Entries of metrics.json from the finished cases' errors: means and standard deviations over chips."""
    found = {"times": metric([seconds(time) for time in TIMES], "s")}
    for name, error in errors.items():
        mean = error.mean(axis=0)
        deviation = error.std(axis=0, ddof=1) if len(error) > 1 else np.full(mean.shape, np.nan)
        found[f"{name}_rmse"] = metric(mean[:, 0, 0], "1")
        found[f"{name}_rmse_sd"] = metric(deviation[:, 0, 0], "1")
        found[f"{name}_rmse_unquantised"] = metric(mean[:, 1, 0], "1")
        found[f"{name}_rmse_unquantised_sd"] = metric(deviation[:, 1, 0], "1")
        found[f"{name}_rmse_best_gain"] = metric(mean[:, 0, 1], "1")
    for name, (theirs, ours) in RATIOS.items():
        if theirs in errors and ours in errors:
            ratio = errors[theirs].mean(axis=0)[..., 0] / errors[ours].mean(axis=0)[..., 0]
            found[f"ratio_wan_to_cmo_{name}"] = metric(ratio[:, 0], "1")
            found[f"ratio_wan_to_cmo_{name}_unquantised"] = metric(ratio[:, 1], "1")
    return found | _published_metrics(size)


def _published_metrics(size: int) -> dict[str, Any]:
    card = published()
    found = {}
    for section, name in (("rmse", "value"), ("ratio", "low"), ("ratio", "high")):
        label = "published_rmse" if section == "rmse" else f"published_ratio_wan_to_cmo_{name}"
        found[label] = metric(np.asarray(card.quantity(section, name, "1")), "1")
    found["published_times"] = metric(np.asarray(card.quantity("rmse", "times", "s")), "s")
    found["measured_times"] = metric(np.asarray(card.quantity("relaxation", "times", "s")), "s")
    found["measured_points_rmse_unquantised"] = metric(rmse_of_measured_points(size), "1")
    return found


def rmse_of_measured_points(size: int) -> Float[np.ndarray, " times"]:
    """Error of unrounded products if all devices relaxed as the published points at 50 uS.

    sqrt(n <x^2> (shift^2 + sigma^2))/g, with <x^2> = 1/3 of uniform inputs and g half the window.
    """
    card = published()
    shift = np.asarray(card.quantity("relaxation", "mean", "uS")) - float(card.quantity("relaxation", "G", "uS"))
    sigma = np.asarray(card.quantity("relaxation", "sigma", "uS"))
    gain = float(CrossbarDesign.from_card(load_card(CMO)).encoding.gain)
    return np.sqrt(size / 3 * (shift**2 + sigma**2)) / gain


def choice_rows(value: dict[str, Any]) -> list[tuple[str, float, float]]:
    """Label, error at 1 s and at 10 years for the base case and each choice that was computed, on CMO/HfOx."""
    if "cmo_rmse" not in value:
        return []
    rows = [("the base case", *_ends(value["cmo_rmse"])), ("not rounded", *_ends(value["cmo_rmse_unquantised"]))]
    rows.append(("programming alone (0 s)", value["cmo_rmse"][0], value["cmo_rmse"][0]))
    for name, case in CASES.items():
        if f"{name}_rmse" in value and case.card == CMO and name != "cmo":
            label = "wires" if name == "cmo_wires" else case.label
            rows.append((label, *_ends(value[f"{name}_rmse"])))
    if "cmo_wires_rmse" in value:
        rows.append(("wires, best common gain", *_ends(value["cmo_wires_rmse_best_gain"])))
        rows.append(("wires, not rounded", *_ends(value["cmo_wires_rmse_unquantised"])))
    return rows


def notes(value: dict[str, Any]) -> list[str]:
    """What the numbers of the 64 x 64 benchmark say about the published ones, as far as they were computed."""
    said = []
    if {"cmo_rmse", "outputs_rmse", "cmo_wires_rmse"} <= value.keys():
        said += _errors_note(value)
    if {"ratio_wan_to_cmo_wires_none", "ratio_wan_to_cmo_extrapolated"} <= value.keys():
        said.append(_ratio_note(value))
    return said


def choice_notes(value: dict[str, Any]) -> list[str]:
    """Why the large changes are there, as far as they were computed."""
    wanted = ("no_drift", "reference", "pair", "digital", "pair_wires", "reference_wires")
    if not {f"{name}_rmse" for name in wanted} <= value.keys():
        return []
    drift, reference, pair, digital, pair_wires, reference_wires = (value[f"{name}_rmse"] for name in wanted)
    return [
        "What all devices have in common multiplies the sum of the inputs: without the drift of the mean "
        f"{drift[LAST]:.3f} is left at 10 years. A pair removes it, and has twice the signal ({pair[LAST]:.3f}); a "
        f"reference column removes it too, but its own spread enters every output ({reference[LAST]:.3f}).",
        f"An offset that has to fit into the converter's range makes outputs clip ({digital[FIRST]:.3f} at 1 s). With "
        f"wires a reference column has {reference_wires[FIRST]:.3f} at 1 s and a pair {pair_wires[FIRST]:.3f}.",
    ]


def _errors_note(value: dict[str, Any]) -> list[str]:
    first, last = value["published_rmse"]
    names = ("cmo_rmse", "cmo_rmse_unquantised", "outputs_rmse", "cmo_wires_rmse")
    base, plain, outputs, wires = (_ends(value[name]) for name in names)
    text = (
        f"The article says {first:g} at 1 s and {last:g} at 10 years. Ours, without wires: {base[0]:.3f} and "
        f"{base[1]:.3f}; without rounding {plain[0]:.3f} and {plain[1]:.3f}; with rounded outputs alone "
        f"{outputs[0]:.3f} and {outputs[1]:.3f}"
    )
    agrees = [f"{x:.1g}" for x in outputs] == [f"{x:.1g}" for x in (first, last)]
    text += ", which to one digit are the article's." if agrees else "."
    text += f" With wires of 0.35 ohm a cell: {wires[0]:.3f} and {wires[1]:.3f}."
    if wires[0] > 2 * first:
        text += (
            " So the published errors do not contain the lines' whole network under a single device per weight whose "
            "offset is subtracted as if there were no lines."
        )
    points = value["measured_points_rmse_unquantised"]
    measured = (
        "If all devices relaxed as the article's measured ones at 50 uS, errors without rounding would be "
        f"{points[0]:.3f} at 1 s and {points[-1]:.3f} after a week; the law fitted to all levels gives {plain[0]:.3f} "
        f"and {value['cmo_rmse_unquantised'][TIMES.index('1 week')]:.3f}."
    )
    return [text, measured]


def _ratio_note(value: dict[str, Any]) -> str:
    names = ("wires_none", "wires_none_unquantised", "extrapolated_unquantised")
    rounded, plain, on = (_ends(value[f"ratio_wan_to_cmo_{name}"]) for name in names)
    low, high = value["published_ratio_wan_to_cmo_low"], value["published_ratio_wan_to_cmo_high"]
    return (
        f"Against Wan et al. the article says {low[0]:g} to {high[0]:g} times at 1 s, {low[1]:g} times at 10 years. "
        f"Ours: {rounded[0]:.1f} and {rounded[1]:.1f} rounded, {plain[0]:.1f} and {plain[1]:.1f} not rounded; the "
        f"squares of the latter, ratios of mean square errors, are {plain[0] ** 2:.0f} and {plain[1] ** 2:.1f}. Which "
        "of them the article compares is not known to us. Wan's spreads are published at 1 s, 1 day and 2 days. Later "
        "they rest here, so that the ratio at 10 years is a lower bound; a spread that goes on in ln t as between 1 s "
        f"and 1 day gives {on[1]:.1f} ({on[1] ** 2:.1f} squared). Their programming is part of the spread at 1 s, so "
        "that 0 s is 1 s for them."
    )


def _ends(values) -> tuple[float, float]:
    return values[FIRST], values[LAST]
