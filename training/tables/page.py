"""What the committed pages of the tables have in common."""

from collections.abc import Callable
from typing import Any

from training.job import Table
from training.publish import footer, markdown

Value = dict[str, Any]


def write_page(
    title: str,
    said: str,
    figure: str,
    results: list[dict],
    table: Callable[[Value, dict[str, Any]], Table],
    *further: Table,
    tested: str = "Test samples were used once.",
) -> str:
    """A page: title, what was done, the figure of the first run, the table of each, commands and versions.

    `table` makes a run's from its values by name and its configuration; `further` tables follow those of all runs;
    `tested` says how often test samples were looked at.
    """
    settings = results[0]["configuration"]
    epochs = settings["epochs"]
    length = "" if epochs is None else f", {epochs} epochs in place of the article's"
    lines = [
        f"# {title}",
        "",
        f"{settings['seeds']} systems side by side, each with its own initial weights, order of samples and draws"
        f"{length}. {said} Settings "
        "are the article's where it states them; what it leaves open was chosen on a validation part "
        f"([choices](../choices.md)). {tested}",
        "",
        f"![{title}](../figures/{figure}.png)",
        "",
    ]
    for result in results:
        value = {name: entry["value"] for name, entry in result["metrics"].items()}
        lines += [*markdown(table(value, result["configuration"])), ""]
    for own in further:
        lines += [*markdown(own), ""]
    return "\n".join([*lines, *footer(results)])
