"""The committed page of the main job."""

from training.publish import footer

FIGURES = ("learning_curve", "levels", "hidden_against_analogue", "ten_years")
SHOWN = (
    ("test_accuracy", "test accuracy on the chip"),
    ("test_accuracy_sd", "standard deviation over chips"),
    ("float_test_accuracy", "the same network in floating point"),
    ("accuracy_after_1_month", "after a month at rest"),
    ("accuracy_after_10_years", "after ten years at rest"),
)


def page(results: list[dict]) -> str:
    """The page of the results: one column a run."""
    settings = [result["configuration"] for result in results]
    head = [f"{s['transfer']}, {s['chips']} chips" for s in settings]
    lines = ["# The main job: a chip that learns digits", ""]
    lines += ["| | " + " | ".join(head) + " |", "|---|" + "---|" * len(head)]
    for name, label in SHOWN:
        values = [result["metrics"][name]["value"] for result in results]
        cells = ["–" if value is None else f"{100 * value:.2f} %" for value in values]
        lines.append(f"| {label} | " + " | ".join(cells) + " |")
    walls = [f"{result['wall_seconds']:.0f} s" for result in results]
    lines.append("| wall time, all chips | " + " | ".join(walls) + " |")
    lines += ["", "The article gives no result on these digits. Test images were used once, after training.", ""]
    return "\n".join([*lines, *footer(results)])
