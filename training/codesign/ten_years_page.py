"""The committed page of the study of ten years."""

from training.codesign.ten_years_present import chips, claims, counts, designs, notes, parts, remarks, slopes
from training.publish import footer, markdown, only

FIGURES = ("codesign_ten_years_search", "codesign_ten_years_chips")


def page(results: list[dict]) -> str:
    """The page of one run."""
    result = only(results)
    found = {name: entry["value"] for name, entry in result["metrics"].items()}
    lines = [
        "# Ten years: a CMO/HfOx network chosen for its last year",
        "",
        "One gradient from the loss of a network ten years after programming, at 25 C, to the conductance window, the "
        "acceptance of write-verify, the overshoot of its targets, number and weight of reference columns, and the "
        "noise with which the network is retrained. The energy of ten years may not exceed that of the published "
        "point: 9.0 to 88.2 uS, 0.2 %, nothing else. A perceptron 64-12-12-10 on scikit-learn's digits, narrow so that "
        "errors of devices are seen. Designs are judged on the validation part; whole chips below see the test part, "
        "once.",
        "",
        *markdown(designs(found)),
        "",
        "![Least objective so far](../figures/codesign_ten_years_search.png)",
        "",
        *notes(found),
        "",
        "## Checked by whole chips",
        "",
        "Other draws, retrainings and images; programmed pulse by pulse, each device's own trajectory, 6-bit inputs, "
        "8-bit outputs, read noise, reference columns in whole numbers.",
        "",
        *markdown(chips(found)),
        "",
        " ".join(remarks(found)),
        "",
        "![Accuracy over time, and loss over energy](../figures/codesign_ten_years_chips.png)",
        "",
        "Cross-entropy after ten years, the optimiser's claim beside fresh draws of its own model (mean and deviation "
        "over retrainings) and whole chips:",
        "",
        *markdown(claims(found)),
        "",
        "`compensated in numbers`: 8 calibration reads at 1 s and 8 at use take out the shift that the devices of a "
        "layer have in common ([drift compensation](../models/compensation.md)); a digital side can do this, and it "
        "needs no overshoot and no knowledge of the time.",
        "",
        "## What each choice is worth",
        "",
        *markdown(parts(found)),
        "",
        "## What it rests on",
        "",
        "- Relaxation is the published law, measured from 1 s to a week; ten years extrapolate it. It is the same for "
        "all levels, so the window's width is what it is measured against. Overshoot trusts its mean.",
        "- 85 C runs the clock by Arrhenius' law with 1.18 eV, which is inferred, not published.",
        "- The spread of programming lies on the power law through the two published acceptances. Pulses: fitted, "
        "A(G) + C(G)/acceptance at each level, to the write-verify loop on the pulsed card, from fresh devices; "
        "published are only means over 35 targets, 89 and 11.",
        "- Energy of a pulse: compact model, half SET, half RESET, flat part of 1 us. Reads: 0.2 V, 1 us, six uses of "
        "the network a day (chosen: so that reads and programming are of one order). No converters, no digital logic.",
        "- The network is trained without noise, then retrained for 200 steps with zero-mean noise; the gradient "
        "passes through all of them.",
        "",
        *markdown(counts(found)),
        "",
        "Slopes where no parameter is at a bound, retraining and sampled chips included:",
        "",
        *markdown(slopes(found)),
        "",
        *footer(results),
    ]
    return "\n".join(lines)
