"""The committed page of the staircase study."""

from training.codesign.staircase_tables import accuracy_table, designs_table, free_table, slopes_table, values_table
from training.publish import footer, markdown, only

FIGURES = ("codesign_staircase", "codesign_staircase_search", "codesign_staircase_tolerances")


def page(results: list[dict]) -> str:
    """The page of one run."""
    result = only(results)
    found = result["metrics"]["found"]["value"]
    lines = [
        "# Straighten the staircase",
        "",
        "The published levels bunch at the top: neighbours overlap by up to 32 % in the article's table. Rows `as "
        "published` are of the circuit that was fitted to that table. Areas of the three capacitors, "
        "source- and bit-line voltages, width of the pulses and of the transistor were chosen together by gradients "
        "through the transfer line (L-BFGS from the published chip), within the published window, supply, energy and "
        "wear of a transfer. Eight even levels would be misread in 20.0 %. `counted`: synapses drawn with keys of "
        "their own, with the mismatch of their capacitors and transistors and the memristor's own spread, 95 % "
        "confidence; the mean over the populations of the largest of seven counts. Limits are soft, and values are "
        "rounded to the manufacturing grid afterwards, so one may be exceeded by some percent.",
        "",
        "![Levels and misreads](../figures/codesign_staircase.png)",
        "",
        *markdown(designs_table(found)),
        "",
        "Random search and grid spent at most as many evaluations, a gradient counted as five; neither finds eight "
        "rising levels. A grid of eight axes has two points on each.",
        "",
        "![Search and front](../figures/codesign_staircase_search.png)",
        "",
        *markdown(values_table(found)),
        "",
        "![What tolerances do](../figures/codesign_staircase_tolerances.png)",
        "",
        "## Window and spread free",
        "",
        "The window is free, the memristor's own spread follows a power of its conductance (equal to the published "
        "one in the middle of the window), and mismatch follows the areas. Supply, energy and wear stay limits. At "
        "every power the designs were found anew. No level above 104 uS was measured: what a wide window gives "
        "rests on the power alone; a spread that is the same at all levels makes any window worth its energy. The "
        "worst misread is what is lowered; the weight error may rise for it.",
        "",
        *markdown(free_table(found)),
        "",
        "## Networks",
        "",
        f"{accuracy_table(found).caption}: transfers to these levels in place of the published table.",
        "",
        *markdown(accuracy_table(found)),
        "",
        "Straight levels are no gain for this network: differences are of the order of the spread over seeds.",
        "",
        "## Slopes",
        "",
        f"{slopes_table(found).caption}, double precision, at the published chip.",
        "",
        *markdown(slopes_table(found)),
        "",
        *footer(results),
    ]
    return "\n".join(lines)
