"""The committed page of the table of accuracies."""

from training.publish import footer, markdown
from training.tables.accuracy import accuracy_table

FIGURES = ("tables_accuracy",)


def page(results: list[dict]) -> str:
    """The page of one run, or of several of other tasks or storages."""
    settings = results[0]["configuration"]
    lines = [
        "# Accuracy of the hybrid memory, task by task",
        "",
        f"{settings['seeds']} systems side by side, each with its own initial weights, order of samples and draws. "
        "Settings are the article's where it states them; what it leaves open was chosen on a validation part "
        "([choices](../choices.md)). Test samples were used once.",
        "",
        "![Accuracy, ours and the article's](../figures/tables_accuracy.png)",
        "",
    ]
    for result in results:
        value = {name: entry["value"] for name, entry in result["metrics"].items()}
        lines += [*markdown(accuracy_table(value, result["configuration"]["part"])), ""]
    return "\n".join([*lines, *footer(results)])
