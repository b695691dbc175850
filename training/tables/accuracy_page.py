"""The committed page of the table of accuracies."""

from training.tables.accuracy import accuracy_table
from training.tables.page import write_page

FIGURES = ("tables_accuracy",)


def page(results: list[dict]) -> str:
    """The page of one run, or of several of other tasks or storages."""
    said = "The figure is of the first run below; black: the article's means of five runs."
    return write_page(
        "Accuracy of the hybrid memory, task by task",
        said,
        FIGURES[0],
        results,
        lambda value, settings: accuracy_table(value, settings["part"]),
    )
