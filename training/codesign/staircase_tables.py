"""The tables of the staircase study, from what its stages found."""

from typing import Any

import numpy as np

from training.codesign.stage import Found
from training.codesign.staircase_model import MECHANISMS
from training.job import Table

_UNITS = {
    "cells": "minimum cells",
    "drive.V_SL": "V",
    "drive.V_BL": "V",
    "drive.V_SET": "V",
    "drive.width": "ns",
    "transistor.W": "um",
}


def designs_table(found: dict[str, Found]) -> Table:
    """Before and after: gap, misread, weight error, energy, wear, and what drawn synapses say."""
    head = ["design", "smallest gap, sigma", "worst misread", "counted", "weight error, levels", "counted"]
    rows = []
    for mechanism in MECHANISMS:
        one = found.get(f"design {mechanism}", {})
        for which in [which for which in ("before", "after") if which in one]:
            line, checked = one[which], found.get(f"check {mechanism}", {}).get(which)
            rows.append(
                [
                    f"{mechanism}, {'as published' if which == 'before' else 'found'}",
                    f"{min(line['gaps']):.2f}",
                    f"{max(line['misreads']):.1%}",
                    _counted(checked, "misread", "{:.1%}"),
                    f"{line['weight_error']:.3f}",
                    _counted(checked, "weight error", "{:.3f}"),
                    f"{line['energy'] / 1e6:.2f}",
                    f"{line['damage']:.1e}",
                ]
            )
        searched = found.get(f"searches {mechanism}", {})
        for which, other in searched.items():
            line = other["after"]
            gap, misread = f"{min(line['gaps']):.2f}", f"{max(line['misreads']):.1%}"
            ends = [f"{line['weight_error']:.3f}", "", f"{line['energy'] / 1e6:.2f}", f"{line['damage']:.1e}"]
            rows.append(
                [f"{mechanism}, {which} search" if which == "random" else f"{mechanism}, grid", gap, misread, ""]
            )
            rows[-1] += ends
    return Table("Designs", [*head, "energy of a transfer, nJ", "damage of a transfer"], rows)


def _counted(checked: Any, name: str, form: str) -> str:
    if not checked:
        return ""
    one = checked[name]
    return f"{form.format(one['measured'])} ± {form.format((one['high'] - one['low']) / 2)}"


def values_table(found: dict[str, Found]) -> Table:
    """Values of the free parameters and levels."""
    done = [m for m in MECHANISMS if f"design {m}" in found]
    if not done:
        return Table("Values", ["parameter"], [])
    head = ["parameter", *(f"{m}, {which}" for m in done for which in ("published", "found"))]
    rows = []
    for name, unit in _UNITS.items():
        cells = [found[f"design {m}"]["values"][which][name] for m in done for which in ("before", "after")]
        rows.append([f"{name}, {unit}", *(" ".join(f"{x:.4g}" for x in np.ravel(cell)) for cell in cells)])
    levels = [found[f"design {m}"][which]["levels"] for m in done for which in ("before", "after")]
    rows.append(["levels, uS", *(" ".join(f"{x:.1f}" for x in one) for one in levels)])
    return Table("Values, on the manufacturing grid", head, rows)


def free_table(found: dict[str, Found]) -> Table:
    """With the window free, and the spread following a power of the conductance."""
    rows = []
    for mechanism in MECHANISMS:
        for exponent, one in found.get(f"free {mechanism}", {}).items():
            before, after = one["before"], one["after"]
            row = [f"{mechanism}, G^{exponent}"]
            row += [f"{max(before['misreads']):.1%}", f"{max(after['misreads']):.1%}"]
            row += [f"{before['weight_error']:.3f}", f"{after['weight_error']:.3f}"]
            rows.append([*row, f"{after['levels'][0]:.1f} to {after['levels'][-1]:.1f}"])
    head = ["own spread", "worst misread, published", "found", "weight error, published", "found", "window found, uS"]
    return Table("Window and spread free", head, rows)


def slopes_table(found: dict[str, Found]) -> Table:
    """Largest differences between gradients and central differences, of each term and free number."""
    rows = []
    for mechanism in MECHANISMS:
        one = found.get(f"slopes {mechanism}")
        if one is None:
            continue
        gradient, expected = np.asarray(one["gradient"]), np.asarray(one["differences"])
        for name, g, e in zip(one["terms"], gradient, expected, strict=True):
            scale = max(float(np.abs(e).max()), 1e-300)
            row = [f"{x:.1e}" if abs(x) > 1e-12 * scale else "0" for x in e]
            rows.append([f"{mechanism}, {name}", *row, f"{np.abs(g - e).max() / scale:.0e}"])
        labels = one["labels"]
    head = ["term", *labels, "largest error of the gradient"] if rows else ["term"]
    return Table(
        "Slopes in the free numbers (central differences), and the gradient's error over the largest", head, rows
    )


def accuracy_table(found: dict[str, Found]) -> Table:
    """Networks that learned on the levels before and after."""
    one = found.get("accuracy")
    if not one:
        return Table("Accuracy", ["levels"], [])
    rows = [[name, f"{np.mean(a):.2%} ± {np.std(a, ddof=1):.2%}"] for name, a in one["accuracy"].items()]
    epochs, seeds = one["epochs"], len(next(iter(one["accuracy"].values())))
    caption = f"{one['task']}, {epochs} epoch{'s' * (epochs > 1)}, {seeds} seeds, spread 8.7 uS"
    return Table(caption, ["levels", "test accuracy"], rows)
