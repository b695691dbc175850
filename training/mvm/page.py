"""The committed page of the matrix-vector benchmark."""

from training.job import Table
from training.mvm.cases import TIMES
from training.mvm.job import choice_table, table
from training.mvm.results import choice_notes, notes
from training.publish import footer, markdown, only

FIGURES = ("mvm_over_time", "mvm_choices", "mvm_relaxation")


def page(results: list[dict]) -> str:
    """The page of one run."""
    result = only(results)
    value = {name: entry["value"] for name, entry in result["metrics"].items()}
    settings = result["configuration"]
    lines = [
        "# A 64 x 64 array multiplies for ten years",
        "",
        f"W and {settings['vectors']} vectors uniform in [-1, 1], 6-bit inputs, 8-bit outputs with a bound of 15, "
        f"write-verify to 0.2 %, no read noise; {settings['chips']} chips, each with its own weights, inputs and "
        "devices. Nothing is tuned. Wires: 0.35 ohm a cell, the whole network solved.",
        "",
        "![Error over time](../figures/mvm_over_time.png)",
        "",
        *markdown(table(value)),
        "",
        *[f"{note}\n" for note in notes(value)],
        "## Which choice moves it",
        "",
        "![Each choice](../figures/mvm_choices.png)",
        "",
        *markdown(choice_table(value)),
        "",
        "The base case has no wires. Each vector is a read with its own noise. A pair, a reference column and lines "
        "driven and sensed at both ends are other arrays; the rest models the same array otherwise.",
        "",
        *[f"{note}\n" for note in choice_notes(value)],
        "## Against Wan et al. (2022)",
        "",
        *markdown(ratio_table(value)),
        "",
        "![Relaxation at 50 uS](../figures/mvm_relaxation.png)",
        "",
        *footer(results),
    ]
    return "\n".join(lines)


def ratio_table(value: dict) -> Table:
    """Wan's error over that of CMO/HfOx."""
    names = {
        "wires_none": "rounded",
        "wires_none_unquantised": "not rounded",
        "extrapolated_unquantised": "not rounded, Wan extrapolated in ln t",
        "wires": "rounded, wires",
    }
    rows = [
        [label, *(f"{ratio:.1f}" for ratio in value[f"ratio_wan_to_cmo_{name}"])]
        for name, label in names.items()
        if f"ratio_wan_to_cmo_{name}" in value
    ]
    at = dict.fromkeys(TIMES, "")
    low, high = value["published_ratio_wan_to_cmo_low"], value["published_ratio_wan_to_cmo_high"]
    at["1 s"], at["10 years"] = f"{low[0]:g} to {high[0]:g}", f"{low[1]:g}"
    return Table("", ["Wan's error over that of CMO/HfOx", *TIMES], [*rows, ["the article", *at.values()]])
