"""The committed page of the table of ageing."""

from training.tables.ageing import ageing_table
from training.tables.page import write_page

FIGURES = ("tables_ageing",)


def page(results: list[dict]) -> str:
    """The page of one run, or of several storages."""
    said = (
        "Memristors relax by the card's law, whose amplitude is chosen, as the article gives none: rows are for 1, 10 "
        "and 30 times it. A refresh is one transfer of the words that the FeCAPs kept."
    )
    return write_page(
        "Ten years on a shelf",
        said,
        FIGURES[0],
        results,
        lambda value, _: ageing_table(value, [n[: -len("_accuracy")] for n in value if n.endswith("_accuracy")]),
    )
